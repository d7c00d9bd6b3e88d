"""Checking settings against annotations: of the keyword arguments of a class, or of the fields of a dataclass.

An annotation such as `Annotated[int, Field(ge=1)]` says which values are allowed, so no other code has to check them.
The same check is used for a configuration file, the command line and a direct call from Python. Each error is one line.
"""

import difflib
import functools
import inspect
import tomllib
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, TypeVar

import pydantic
from pydantic import Field

from deepinfomax.errors import UserError

Count = Annotated[int, Field(ge=1)]  #: a number of things: at least one
Whole = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]

C = TypeVar("C", bound=type)


def checked(cls: C) -> C:
    """Class decorator: the constructor's keyword arguments are checked against their annotations.

    Raises, when the class is constructed:
        UserError: an unknown setting, with the nearest name, or a value that its annotation does not allow.
    """
    plain = cls.__init__  # type: ignore[misc]

    @functools.wraps(plain)
    def constructor(self: Any, *told: Any, **settings: Any) -> None:
        plain(self, *told, **validate(cls, settings, cls.__name__))

    cls.__init__ = constructor  # type: ignore[misc]
    return cls


def one_line(section: str) -> Callable[[C], C]:
    """Class decorator for a pydantic dataclass: a mistake in its fields raises UserError with one line.

    Args:
        section: the path that its fields have in a configuration, "" for the top.
    """

    def decorate(cls: C) -> C:
        plain = cls.__init__  # type: ignore[misc]

        @functools.wraps(plain)
        def constructor(self: Any, *values: Any, **fields: Any) -> None:
            try:
                plain(self, *values, **fields)
            except pydantic.ValidationError as error:
                raise UserError(explain(error, section, lambda _: cls.__pydantic_fields__)) from None  # type: ignore[attr-defined]

        cls.__init__ = constructor  # type: ignore[misc]
        return cls

    return decorate


def validate(target: Callable[..., Any], given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Check `given` against the settings of `target`, and fill in the defaults.

    Args:
        target: a class or a function; its settings are the arguments that have a default or are keyword-only.
        given: settings by name.
        where: stands in front of a setting's name in an error: "objective.local".

    Raises:
        UserError: an unknown setting, or a value that the annotation does not allow.
    """
    model = _model(target)
    try:
        values = model.model_validate(dict(given))
    except pydantic.ValidationError as error:
        raise UserError(explain(error, where, lambda _: model.model_fields)) from None
    return {name: getattr(values, name) for name in model.model_fields}


#: pydantic's kinds of error -> what to say, with the names in the error's context
_MESSAGES = {
    "greater_than_equal": "must be {ge} or more",
    "greater_than": "must be above {gt}",
    "less_than_equal": "must be {le} or less",
    "less_than": "must be below {lt}",
    "literal_error": "must be {expected}",
    "finite_number": "must be finite",
    "missing": "must be given",
    "tuple_type": 'must be a list, numbers as [0.5, 0.9] and words as ["tensorboard"]',
    "dataclass_type": "is a section with settings of its own, not a value",
    "dict_type": "is a section with settings of its own, not a value",
    **dict.fromkeys(("int_parsing", "int_type", "int_from_float"), "must be a whole number"),
    **dict.fromkeys(("float_parsing", "float_type"), "must be a number"),
    **dict.fromkeys(("bool_parsing", "bool_type"), "must be true or false"),
}


def parse_value(text: str) -> Any:
    """A value typed on the command line: as TOML if it is TOML (1e-3, true, [1, 2]); "none"; else the text itself."""
    if text.lower() in ("none", "null"):
        return None
    try:
        return tomllib.loads(f"value = {text.lower() if text.lower() in ('true', 'false') else text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return text


def explain(error: pydantic.ValidationError, where: str, names: Callable[[str], Iterable[str]]) -> str:
    """The message for the first mistake: the setting, what it must be, and the nearest name if it is unknown.

    Args:
        error: what pydantic found.
        where: stands in front of the setting's name.
        names: the settings of a section, by the section's path below `where` ("" for its own).
    """
    first, *others = error.errors()
    if first["type"] == "value_error":  # what a validator of ours raised says all by itself
        return str(first["ctx"]["error"])
    # A union's branches are in the path too ("constrained-int"); they are no part of the setting's name.
    keys: list[str] = []
    for key in first["loc"]:
        if isinstance(key, int) or not keys or key in names(".".join(keys)):
            keys.append(str(key))
    path = ".".join(part for part in (where, *keys) if part)
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        keys = [str(key) for key in first["loc"]]
        path = ".".join(part for part in (where, *keys) if part)
        return f"{path} is no setting{nearest(keys[-1], names('.'.join(keys[:-1])))}"
    same = [first, *(e for e in others if e["loc"][: len(keys)] == first["loc"][: len(keys)])]
    says = " or ".join(dict.fromkeys(_says(e) for e in same)).replace(" or must be ", " or ")
    whole = first["type"] in ("missing", "dataclass_type", "dict_type")  # which say by themselves what was given
    return f"{path} {says}" if whole else f"{path} {says}, not {first['input']!r}"


def _says(error: Any) -> str:
    template = _MESSAGES.get(error["type"])
    if template is None:
        return error["msg"][:1].lower() + error["msg"][1:]
    limits = {k: f"{v:g}" if isinstance(v, int | float) else v for k, v in error.get("ctx", {}).items()}
    return template.format(**limits)


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: "; did you mean 'local'?", or a list of all known names."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; choose one of {', '.join(known)}"


def _annotation(function: Any, name: str) -> Any:
    """The annotation of one argument; Any if there is none. Annotations of other arguments are not evaluated.

    Raises:
        UserError: the annotation cannot be evaluated, for example because a name is imported for type checkers only.
    """
    try:
        written = getattr(function, "__annotations__", {})
        if name not in written:
            return Any
        alone = types.SimpleNamespace(__annotations__={name: written[name]})
        return typing.get_type_hints(alone, function.__globals__, include_extras=True)[name]
    except NameError as error:
        raise UserError(
            f"the annotation of {name} in {function.__qualname__} cannot be read ({error}): import it outside of "
            "`if TYPE_CHECKING`"
        ) from None


@functools.cache
def _model(target: Callable[..., Any]) -> type[pydantic.BaseModel]:
    """The settings of `target` as a pydantic model. It is made once: making it takes longer than using it."""
    constructor = inspect.unwrap(target.__init__ if inspect.isclass(target) else target)
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(constructor).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.kind is parameter.KEYWORD_ONLY or parameter.default is not parameter.empty:
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[name] = (_annotation(constructor, name), default)
    config = pydantic.ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    return pydantic.create_model("settings", __config__=config, **fields)
