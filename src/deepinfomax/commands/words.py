"""The words behind a command, taken apart."""

from pathlib import Path

import typer

from deepinfomax import files
from deepinfomax.commands import arguments
from deepinfomax.errors import UserError


def names(text: str) -> list[str]:
    """ "mlp, knn" -> both names; "none" is no name."""
    return [name.strip() for name in text.split(",") if name.strip() and name.strip() != "none"]


def data_or_setting(data: str | None, context: typer.Context) -> str | None:
    """DATA; None if it was left out, and the first setting taken for it."""
    if data is None or not arguments.is_setting(data):
        return data
    context.args.insert(0, data)
    return None


def overrides(context: typer.Context) -> dict[str, str]:
    """`section.field VALUE`, `--section.field VALUE` or `section.field=VALUE`, in any number."""
    words, settings = list(context.args), {}
    while words:
        word = words.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("-") and not word.startswith(arguments.SECTIONS) and Path(word).exists():
            raise UserError(f"{files.printable(word)} is one word too many: other data are data.source PATH")
        if "." not in name and name != "seed":
            kind = "option" if word.startswith("-") else "argument"
            known = [o.lstrip("-") for p in context.command.params for o in p.opts if o.startswith("--")]
            options = ", --".join(known)
            raise UserError(f"unknown {kind} {word!r}; options are --{options}; settings are section.field VALUE")
        if not equals:
            if not words:
                raise UserError(f"{name} needs a value")
            value = words.pop(0)
        settings[name] = value
    return settings
