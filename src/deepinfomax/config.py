"""What a run is made of: one frozen tree of settings, read from and written to TOML, strict about names.

The sections `augmentation`, `encoder`, `occlusion` and `objective.NAME` have no field list here: their fields are the
keyword arguments of the class they stand for, so a new encoder or objective needs no entry anywhere.
"""

import dataclasses
import difflib
import functools
import inspect
import math
import tomllib
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pydantic
import tomli_w
from accelerate.utils import LoggerType

from deepinfomax import encoders
from deepinfomax.data.augmentation import Augmentation
from deepinfomax.errors import UserError
from deepinfomax.objectives import OBJECTIVES
from deepinfomax.objectives.occlusion import Occlusion
from deepinfomax.seeds import check_seed

#: what Hugging Face Accelerate can log to
TRACKERS = tuple(str(kind.value) for kind in LoggerType if kind != LoggerType.ALL)
#: arguments of an objective that a run finds out by itself
FROM_THE_RUN = ("shapes", "image_shape", "classes", "images")


@dataclass(frozen=True)
class Data:
    """What to train on, see `deepinfomax.data.load`."""

    source: str = ""  #: a name, a folder, a file or a Hugging Face id
    split: str = "train"  #: the part to train on; "train+unlabeled" of STL-10, as in the paper
    root: str | None = None  #: folder of local copies of named data sets; None: $DEEPINFOMAX_DATA, then the hub
    size: int | None = None  #: pixels; None: as they are
    channels: int | None = None  #: 1 or 3; None: as they are
    limit: int | None = None  #: use so many training images, drawn by a fixed seed; None: all
    skip_bad: bool = False  #: leave out images that cannot be read, instead of stopping
    holdout: float | None = None  #: fraction kept as the test part where the source has none
    image: str | None = None  #: column (or array) of the images in a table; None: a usual name
    label: str | None = None  #: column (or array) of the labels in a table; None: a usual name
    max_pixels: int | None = None  #: of the largest image that is decoded; None: 179 million, against broken files


@dataclass(frozen=True)
class Training:
    """How long, how fast, on what."""

    epochs: int = 100  #: passes over the training images
    steps: int | None = None  #: stop after so many steps; None: when the epochs are over
    batch_size: int = 64  #: images per step and process
    lr: float = 1e-4  #: of Adam
    betas: tuple[float, float] = (0.5, 0.999)  #: of Adam; the authors' code, easy to miss
    weight_decay: float = 0.0
    warmup: int = 0  #: steps over which the learning rate rises from 0
    schedule: Literal["constant", "cosine"] = "constant"  #: of the learning rate, after the warm-up
    precision: Literal["no", "bf16", "fp16"] = "no"  #: mixed precision; scores stay float32. Slow on most CPUs
    channels_last: bool = False  #: memory layout of images and maps; a small gain on CPUs, a larger one in fp16
    compile: bool = False  #: torch.compile the encoder: about half a minute once, for some per cent on a CPU
    log_every: int = 20  #: steps between lines of metrics.jsonl
    checkpoint_every: float = 60.0  #: seconds between checkpoints
    trackers: tuple[str, ...] = ("tensorboard",)  #: names that Hugging Face Accelerate knows


@dataclass(frozen=True)
class Config:
    """One run."""

    recipe: str = ""  #: the recipe it came from, for the record
    seed: int = 0
    data: Data = field(default_factory=Data)
    augmentation: dict[str, Any] = field(default_factory=dict)  #: arguments of `data.augmentation.Augmentation`
    encoder: dict[str, Any] = field(default_factory=lambda: {"name": "dcgan"})
    objective: dict[str, dict[str, Any]] = field(default_factory=dict)  #: name -> weight and arguments
    occlusion: dict[str, Any] | None = None  #: arguments of `objectives.occlusion.Occlusion`; None: nothing is hidden
    training: Training = field(default_factory=Training)


def resolve(config: Config) -> Config:
    """The same with every field checked and every default written out.

    Raises:
        UserError: an unknown section, field or name, or a value of the wrong type; one line, with the nearest name.
    """
    check_seed(config.seed)  # as it was given: what checks types takes true for 1
    tree = _validated(Config, dataclasses.asdict(config), "")
    checked = Config(**tree)
    name = checked.encoder.get("name")
    if name not in encoders.ARCHITECTURES:
        raise UserError(f"encoder.name {name!r} is unknown{_nearest(str(name), encoders.ARCHITECTURES)}")
    arguments = {k: v for k, v in checked.encoder.items() if k != "name"}
    encoder = {"name": name, **settings(encoders.ARCHITECTURES[name], arguments, "encoder")}
    objective = {}
    if not checked.objective:
        raise UserError(
            f"no objective: give at least one section such as [objective.local], of {', '.join(OBJECTIVES)}"
        )
    for key, given in checked.objective.items():
        if key not in OBJECTIVES:
            raise UserError(f"objective.{key} is unknown{_nearest(key, OBJECTIVES)}")
        weight = _number(given.get("weight", 1.0), f"objective.{key}.weight")
        if not 0 <= weight < math.inf:
            raise UserError(f"objective.{key}.weight must be 0 or more, not {weight}")
        rest = {k: v for k, v in given.items() if k != "weight"}
        objective[key] = {"weight": weight, **settings(OBJECTIVES[key], rest, f"objective.{key}")}
        _check_sizes(objective[key] | {"weight": 1.0}, f"objective.{key}")
    augmentation = settings(Augmentation, checked.augmentation, "augmentation")
    occlusion = None if checked.occlusion is None else settings(Occlusion, checked.occlusion, "occlusion")
    _check_sizes(encoder, "encoder")
    _check_training(checked.training)
    return dataclasses.replace(
        checked, encoder=encoder, objective=objective, augmentation=augmentation, occlusion=occlusion
    )


def _check_sizes(section: Mapping[str, Any], where: str) -> None:
    """Of an encoder or objective: what is counted is at least one, what is measured is finite and not negative."""
    for name, value in section.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        least = 1 if isinstance(value, int) and name != "seed" else 0
        if not least <= value < math.inf:
            raise UserError(f"{where}.{name} must be {least} or more, not {value}")


def _check_training(training: Training) -> None:
    for name, least in (("epochs", 1), ("steps", 1), ("batch_size", 2), ("log_every", 1), ("warmup", 0)):
        value = getattr(training, name)
        if value is not None and value < least:
            raise UserError(f"training.{name} must be at least {least}, not {value}")
    if not 0 < training.lr < math.inf:
        raise UserError(f"training.lr must be above 0, not {training.lr}")
    if not 0 <= training.weight_decay < math.inf:
        raise UserError(f"training.weight_decay must be 0 or more, not {training.weight_decay}")
    if not all(0 <= beta < 1 for beta in training.betas):
        raise UserError(f"training.betas must be two numbers from 0 to below 1, not {list(training.betas)}")
    unknown = [name for name in training.trackers if name not in TRACKERS]
    if unknown:
        raise UserError(f"training.trackers {unknown[0]!r} is unknown{_nearest(unknown[0], TRACKERS)}")


def settings(target: Callable[..., Any], given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """`given` checked against the keyword arguments of `target`, with its defaults filled in."""
    return _validated(_model_of(target), dict(given), where)


@functools.cache
def _model_of(target: Callable[..., Any]) -> type[pydantic.BaseModel]:
    """The keyword arguments of a class or function as a model that refuses others."""
    constructor = target.__init__ if inspect.isclass(target) else target
    hints = typing.get_type_hints(constructor)
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(target).parameters.items():
        if name not in FROM_THE_RUN:
            default = ... if parameter.default is inspect.Parameter.empty else parameter.default
            fields[name] = (hints.get(name, Any), default)
    return pydantic.create_model("settings", __config__=pydantic.ConfigDict(extra="forbid"), **fields)


@functools.cache
def _adapter(model: Any) -> pydantic.TypeAdapter[Any]:
    """Made once: building one takes a hundred times as long as using it."""
    return pydantic.TypeAdapter(model)


def _validated(model: Any, tree: dict[str, Any], where: str) -> dict[str, Any]:
    if inspect.isclass(model) and issubclass(model, pydantic.BaseModel):
        adapter, names = _adapter(model), list(model.model_fields)
    else:
        _refuse_unknown(model, tree, where)
        adapter, names = _adapter(model), [f.name for f in dataclasses.fields(model)]
    try:
        value = adapter.validate_python(tree)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        path = ".".join(p for p in (where, *(str(part) for part in first["loc"])) if p)
        if first["type"] == "extra_forbidden":
            raise UserError(f"{path} is no setting{_nearest(str(first['loc'][-1]), names)}") from None
        raise UserError(f"{path}: {first['msg'][:1].lower()}{first['msg'][1:]}, not {first['input']!r}") from None
    return {name: getattr(value, name) for name in names}


def _refuse_unknown(dataclass_type: Any, tree: Mapping[str, Any], where: str) -> None:
    """Unknown fields anywhere in nested dataclasses (pydantic ignores them in plain dataclasses)."""
    known = {f.name: f for f in dataclasses.fields(dataclass_type)}
    hints = typing.get_type_hints(dataclass_type)
    for name, value in tree.items():
        path = f"{where}.{name}" if where else name
        if name not in known:
            raise UserError(f"{path} is no setting{_nearest(name, known)}")
        if dataclasses.is_dataclass(hints[name]):
            if not isinstance(value, Mapping):
                raise UserError(f"{path} is a section with fields of its own, not a value")
            _refuse_unknown(hints[name], value, path)


def _number(value: Any, path: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise UserError(f"{path} must be a number, not {value!r}") from None


def _nearest(name: str, known: typing.Iterable[str]) -> str:
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; choose one of {', '.join(known)}"


def from_tree(tree: Mapping[str, Any]) -> Config:
    """A nested dictionary, as TOML gives it -> Config, resolved."""
    _refuse_unknown(Config, tree, "")
    if "seed" in tree:
        check_seed(tree["seed"])
    try:
        return resolve(_adapter(Config).validate_python(dict(tree)))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{path}: {first['msg'][:1].lower()}{first['msg'][1:]}, not {first['input']!r}") from None


def override(config: Config, changes: Mapping[str, Any]) -> Config:
    """With some fields replaced: {"training.lr": 1e-3, "local.weight": 0.5}; an objective's name may stand alone.

    Values may be strings as typed on a command line. Another encoder.name takes the arguments given here, and its own
    defaults for the rest. Raises UserError as `resolve` does.
    """
    tree = dataclasses.asdict(config)
    changes = {path: parse_value(value) if isinstance(value, str) else value for path, value in changes.items()}
    name = tree["encoder"].get("name")
    if changes.get("encoder.name", name) != name:
        # Units mean something else in each architecture. Those that a recipe's scale set go too: it set them for the
        # encoder that is replaced, and by now nothing tells them from those that the user wrote in a file.
        tree["encoder"] = {}
    for path, value in changes.items():
        keys = path.split(".")
        if keys[0] in OBJECTIVES:
            keys = ["objective", *keys]
        if keys[0] == "objective" and len(keys) > 2 and keys[1] not in tree["objective"] and keys[1] in OBJECTIVES:
            tree["objective"][keys[1]] = {}
        branch = tree
        for i, key in enumerate(keys[:-1]):
            if branch.get(key) is None and keys[0] == "occlusion":
                branch[key] = {}
            if not isinstance(branch.get(key), dict):
                here = ".".join(keys[: i + 1])
                raise UserError(f"{here} is no section of the configuration{_nearest(key, branch)}")
            branch = branch[key]
        branch[keys[-1]] = value
    return from_tree(tree)


def parse_value(text: str) -> Any:
    """A value as typed: TOML where it is TOML (1e-3, true, [1, 2]), none, else the text itself."""
    if text.lower() in ("none", "null"):
        return None
    try:
        return tomllib.loads(f"value = {text.lower() if text.lower() in ('true', 'false') else text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def dumps(config: Config) -> str:
    """TOML; fields that are None are left out, which is what reading them back gives."""

    def drop_none(tree: Any) -> Any:
        if isinstance(tree, dict):
            return {k: drop_none(v) for k, v in tree.items() if v is not None}
        return list(tree) if isinstance(tree, tuple) else tree

    return tomli_w.dumps(drop_none(dataclasses.asdict(config)))


def load(path: str | Path) -> Config:
    """A configuration file. Raises UserError where it is missing, is no TOML, or has an unknown field."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no configuration at {path}; `deepinfomax train DATA --recipe NAME` needs none")
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not TOML: {error}") from None
    return from_tree(tree)


def difference(a: Config, b: Config) -> list[str]:
    """Paths of the fields in which two configurations differ."""

    def flat(tree: Any, prefix: str = "") -> dict[str, Any]:
        if isinstance(tree, dict):
            return {k: v for key, sub in tree.items() for k, v in flat(sub, f"{prefix}.{key}").items()}
        return {prefix[1:]: list(tree) if isinstance(tree, tuple) else tree}

    x, y = flat(dataclasses.asdict(a)), flat(dataclasses.asdict(b))
    return sorted(k for k in x.keys() | y.keys() if x.get(k) != y.get(k))
