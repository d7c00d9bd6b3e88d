"""Declaring commands with typer, and ending them by Ctrl-C."""

from typing import Any

from typer.core import TyperCommand


class Stopped(Exception):
    """Ctrl-C with a message; typer would turn KeyboardInterrupt into an exit code and lose the message."""


class Command(TyperCommand):
    """A command whose usage line is written as people write it, RUN, [DATA], and whose Ctrl-C says what is saved."""

    settings: tuple[str, ...] = ()  #: what may follow, for the usage line

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            raise Stopped(str(stop)) from None

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return [
            *(piece.replace("{", "").replace("}", "") for piece in super().collect_usage_pieces(ctx)),
            *self.settings,
        ]


class WithSettings(Command):
    """A command that settings may follow."""

    settings = ("[section.field VALUE]...",)


class WithDataSettings(Command):
    """A command that settings of the data may follow."""

    settings = ("[data.field VALUE]...",)


_EXTRA = {"ignore_unknown_options": True, "allow_extra_args": True}

#: what typer is told of a command: one that takes no settings, any, or those of the data
PLAIN: dict[str, Any] = {"cls": Command}
WITH_SETTINGS: dict[str, Any] = {"cls": WithSettings, "context_settings": _EXTRA}
WITH_DATA_SETTINGS: dict[str, Any] = {"cls": WithDataSettings, "context_settings": _EXTRA}
