"""Names that other installed packages add: objectives, bounds, encoders, measures and data formats of their own.

A package names what it offers in its `pyproject.toml`, and that is all it takes:

    [project.entry-points."deepinfomax.objectives"]
    decorrelation = "my_package.objectives:Decorrelation"

The command line then knows `objective.decorrelation` as it knows its own objectives. The groups are
`deepinfomax.objectives`, `.bounds`, `.encoders`, `.measures` and `.data`.
"""

import functools
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

from deepinfomax.errors import UserError

T = TypeVar("T")


class Registry(Mapping[str, T]):
    """What has a name: the built-in things, then those of plug-ins, each loaded when it is first looked up.

    A built-in name always means the built-in thing, so that installing a package cannot change what a run computes.
    """

    def __init__(self, kind: str, builtin: Mapping[str, T]) -> None:
        self.kind, self.builtin = kind, builtin
        self._loaded: dict[str, T] = {}

    def __getitem__(self, name: str) -> T:
        if name in self.builtin:
            return self.builtin[name]
        if name not in self._loaded:
            self._loaded[name] = self._load(_plugins(self.kind)[name])
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:  # without loading it
        return name in self.builtin or name in _plugins(self.kind)

    def __iter__(self) -> Iterator[str]:
        yield from self.builtin
        yield from (name for name in _plugins(self.kind) if name not in self.builtin)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def working(self) -> Iterator[T]:
        """All things that can be loaded: a broken package does not break what has no need of it."""
        for name in self:
            with suppress(UserError):  # it is raised where somebody asks for that name
                yield self[name]

    def _load(self, plugin: EntryPoint) -> T:
        try:
            return plugin.load()
        except Exception as error:  # whatever the other package raises while it is imported
            package = plugin.dist.name if plugin.dist is not None else plugin.value
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise UserError(
                f"{plugin.name!r} of the package {package} cannot be loaded ({reason}); mend or remove that package"
            ) from error


def registry(kind: str, builtin: Mapping[str, T]) -> Registry[T]:
    """The built-in things of a kind ("objectives", "bounds", ...) and those of the entry points `deepinfomax.KIND`."""
    return Registry(kind, builtin)


@functools.cache
def _plugins(kind: str) -> dict[str, EntryPoint]:
    """The entry points of a group, by name; where two packages offer one name, the first in alphabetical order."""
    offered = sorted(entry_points(group=f"deepinfomax.{kind}"), key=lambda e: (e.name, e.value), reverse=True)
    return {plugin.name: plugin for plugin in offered}
