"""Plug-ins: objectives, bounds, encoders, measures and data formats from other installed packages.

A package only has to list them in its `pyproject.toml`:

    [project.entry-points."deepinfomax.objectives"]
    decorrelation = "my_package.objectives:Decorrelation"

The command line then knows `objective.decorrelation` as it knows its own objectives. The groups are
`deepinfomax.objectives`, `.bounds`, `.encoders`, `.measures` and `.data`.
"""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from deepinfomax.errors import UserError

T = TypeVar("T")


class Registry(Mapping[str, T]):
    """A mapping from names to the built-in objects of a kind and those of plug-ins, loaded when first looked up.

    A built-in name always means the built-in object, so installing a package cannot change what a run computes. Objects
    of plug-ins are checked by `fault` when they are loaded.
    """

    def __init__(self, kind: str, builtin: Mapping[str, T], fault: "Fault") -> None:
        self.kind, self.builtin, self.fault = kind, builtin, fault
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
        """Yields all objects that can be loaded, so that a broken package does no harm if it is not used."""
        for name in self:
            with suppress(UserError):  # it is raised when this name is looked up
                yield self[name]

    def broken(self) -> list[str]:
        """The errors of all objects that cannot be loaded, one line each."""
        lines = []
        for name in self:
            try:
                self[name]
            except UserError as error:
                lines.append(str(error))
        return lines

    def _load(self, plugin: EntryPoint) -> T:
        package = plugin.dist.name if plugin.dist is not None else plugin.value
        try:
            thing = plugin.load()
        except Exception as error:  # whatever the other package raises while it is imported
            kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
            reason = " ".join(f"{kind}{error}".split())
            raise UserError(
                f"{plugin.name!r} of the package {package} cannot be loaded ({reason}); mend or remove that package"
            ) from error
        if fault := self.fault(plugin.name, thing):
            raise UserError(f"{plugin.name!r} of the package {package}, {plugin.value}, {fault}")
        return thing


#: (name, object) -> what is wrong with it, as the end of a sentence that begins with the object; "" if nothing is
Fault = Callable[[str, Any], str]


def registry(kind: str, builtin: Mapping[str, T], fault: Fault) -> Registry[T]:
    """The built-in objects of a kind ("objectives", "bounds", ...) and those of the entry points `deepinfomax.KIND`."""
    return Registry(kind, builtin, fault)


def no_record(wanted: type, thing: Any) -> str:
    """What is wrong with an object that must be of the class `wanted`; "" if it is."""
    if isinstance(thing, wanted):
        return ""
    return f"is {_kind(thing)}, but the entry point must name a {wanted.__name__}"


def no_module(first: str, thing: Any) -> str:
    """What is wrong with an object that must be a subclass of `nn.Module` with the first argument `first`; or ""."""
    from torch import nn  # commands look up names before torch is needed

    if not (inspect.isclass(thing) and issubclass(thing, nn.Module)):
        return f"is {_kind(thing)}, but the entry point must name a subclass of nn.Module"
    argument, others = None, [*inspect.signature(thing).parameters.values()]
    if others:
        argument = others.pop(0)
    of_its_own = any("__init__" in vars(cls) for cls in thing.__mro__[: thing.__mro__.index(nn.Module)])
    if argument is None or argument.kind is argument.KEYWORD_ONLY or not of_its_own:
        return f"takes no argument, but is made with {first}: __init__(self, {first}, *, ...)"
    for other in others:  # a setting is given by its name
        if other.kind in (other.POSITIONAL_ONLY, other.POSITIONAL_OR_KEYWORD) and other.default is other.empty:
            return f"has {other.name!r} in front of its settings: write __init__(self, {first}, *, {other.name}, ...)"
    return ""


def _kind(thing: Any) -> str:
    return f"the class {thing.__name__}" if inspect.isclass(thing) else f"a {type(thing).__name__}"


@functools.cache
def _plugins(kind: str) -> dict[str, EntryPoint]:
    """The entry points of a group, by name; if two packages have the same name, the alphabetically first package."""
    offered = sorted(entry_points(group=f"deepinfomax.{kind}"), key=lambda e: (e.name, e.value), reverse=True)
    return {plugin.name: plugin for plugin in offered}
