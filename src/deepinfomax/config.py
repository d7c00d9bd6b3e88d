"""The configuration of a run: one frozen tree of settings, read from and written to TOML; unknown names are errors.

Annotations say which values are allowed. The fields of the sections `augmentation`, `encoder`, `occlusion` and
`objective.NAME` are not listed here: they are the settings of the class that a section describes. So a new encoder or
objective needs no entry here.
"""

import copy
import dataclasses
import functools
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import tomli_w
from accelerate.utils import LoggerType
from pydantic import AfterValidator, BeforeValidator, Field
from pydantic.dataclasses import dataclass
from torch import nn

from deepinfomax import encoders
from deepinfomax.data.augmentation import Augmentation
from deepinfomax.data.section import Data
from deepinfomax.errors import UserError
from deepinfomax.objectives import OBJECTIVES
from deepinfomax.objectives.occlusion import Occlusion
from deepinfomax.scales import Section
from deepinfomax.seeds import check_seed
from deepinfomax.settings import Count, NotNegative, Positive, Whole, explain, nearest, one_line, parse_value, validate

#: which part of a step torch.compile compiles, see `training.compiling`
Compile = Literal[False, "encoder", "step", "graphs"]
#: what Hugging Face Accelerate can log to
TRACKERS = tuple(str(kind.value) for kind in LoggerType if kind != LoggerType.ALL)


def _known_trackers(names: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [name for name in names if name not in TRACKERS]
    if unknown:
        raise UserError(f"training.trackers {unknown[0]!r} is unknown{nearest(unknown[0], TRACKERS)}")
    return names


def _what_is_compiled(value: object) -> object:
    """true, from earlier versions, means "encoder"."""
    if value is True:
        return "encoder"
    if value is not False and value not in ("encoder", "step", "graphs"):
        raise UserError(f"training.compile must be false, encoder, step or graphs, not {value!r}")
    return value


Seed = Annotated[int, BeforeValidator(check_seed)]  # checked before conversion, which would turn true into 1
Beta = Annotated[float, Field(ge=0, lt=1)]
_strict = pydantic.ConfigDict(extra="forbid")


@one_line("training")
@dataclass(frozen=True, config=_strict)
class Training:
    """The section `training`: length, optimizer, precision, logging."""

    epochs: Count = 100  #: passes over the training images
    steps: Count | None = None  #: the most steps; None: when the epochs are over
    batch_size: Annotated[int, Field(ge=2)] = 64  #: images per step and process
    views: Count = 1  #: number of views of each image in a step
    small_views: Whole = 0  #: further views of `augmentation.small` pixels, for encoders that take both sizes
    optimizer: Literal["adam", "adamw", "sgd", "lars"] = "adam"  #: of both players; sgd has Nesterov momentum
    lr: Positive = 1e-4  #: the learning rate
    betas: tuple[Beta, Beta] = (0.5, 0.999)  #: of Adam and AdamW; as in the authors' code, not PyTorch's default
    momentum: Beta = 0.9  #: of sgd and lars
    trust: Positive = 1e-3  #: of lars: the step's share of a weight's length
    weight_decay: NotNegative = 0.0  #: added to the gradient, except by adamw
    warmup: Whole = 0  #: steps over which the learning rate rises from 0
    schedule: Literal["constant", "cosine"] = "constant"  #: of the learning rate, after the warm-up
    first_layer: Literal["default", "whitening"] = "default"  #: of a new encoder, see `encoders.whitening`
    precision: Literal["no", "bf16", "fp16", "auto"] = "no"  #: mixed; scores stay float32. auto: bf16 where it is fast
    tf32: bool = True  #: on NVIDIA GPUs, for products and convolutions of the networks; scores stay float32
    deterministic: bool = False  #: a GPU repeats a run bit for bit, but more slowly; a CPU always does
    sync_batchnorm: bool = True  #: several GPUs: BatchNorm over all images, if losses compare them; false: never
    channels_last: bool = False  #: memory layout of images and maps; a small gain on CPUs, a larger one in fp16
    compile: Annotated[Compile, BeforeValidator(_what_is_compiled)] = False  #: by torch.compile, see `compiling`
    log_every: Count = 20  #: steps between lines of metrics.jsonl
    checkpoint_every: NotNegative = 60.0  #: seconds between checkpoints
    trackers: Annotated[tuple[str, ...], AfterValidator(_known_trackers)] = ("tensorboard",)  #: of Accelerate's names


@one_line("")
@dataclass(frozen=True, config=_strict)
class Config:
    """One run."""

    recipe: str = ""  #: the recipe it came from, for the record
    seed: Seed = 0
    data: Data = field(default_factory=Data)
    augmentation: Section = field(default_factory=dict)  #: settings of `data.augmentation.Augmentation`
    encoder: Section = field(default_factory=lambda: {"name": "dcgan"})
    objective: dict[str, Section] = field(default_factory=dict)  #: name -> weight, settings, and type if not the name
    occlusion: Section | None = None  #: settings of `objectives.occlusion.Occlusion`; None: nothing is hidden
    training: Training = field(default_factory=Training)


def resolve(config: Config) -> Config:
    """The same configuration with every section checked and all defaults filled in.

    Raises:
        UserError: an unknown name or setting (the message suggests the nearest one), or a value that is not allowed.
    """
    if not config.objective:
        raise UserError(
            f"no objective: give at least one section such as [objective.local], of {', '.join(OBJECTIVES)}"
        )
    return dataclasses.replace(
        config,
        encoder=_encoder(config.encoder),
        objective={name: _objective(name, section) for name, section in config.objective.items()},
        augmentation=validate(Augmentation, config.augmentation, "augmentation"),
        occlusion=None if config.occlusion is None else validate(Occlusion, config.occlusion, "occlusion"),
    )


def _encoder(section: Section) -> Section:
    name = str(section.get("name"))
    if name not in encoders.ARCHITECTURES:
        raise UserError(f"encoder.name {name!r} is unknown{nearest(name, encoders.ARCHITECTURES)}")
    given = {key: value for key, value in section.items() if key != "name"}
    return {"name": name, **validate(encoders.ARCHITECTURES[name], given, "encoder")}


def _objective(name: str, section: Section) -> Section:
    kind, where = objective_type(name, section), f"objective.{name}"
    if hasattr(nn.ModuleDict(), name) or "/" in name or "." in name:  # the game keeps objectives in one by their names
        raise UserError(f"no objective can be called {name!r}: give it another name")
    if kind not in OBJECTIVES:
        said = where if kind == name else f"{where}.type {kind!r}"
        raise UserError(f"{said} is unknown{nearest(str(kind), OBJECTIVES)}")
    own = validate(_common, {key: section[key] for key in ("weight",) if key in section}, where)
    given = {key: value for key, value in section.items() if key not in ("weight", "type")}
    named = {} if kind == name else {"type": kind}
    return named | own | validate(OBJECTIVES[kind], given, where)


def _common(*, weight: NotNegative = 1.0) -> None:
    """The settings that every section of an objective may have in addition to its own."""


def objective_type(name: str, section: Mapping[str, Any]) -> str:
    """The kind of objective that a section under [objective] describes: its `type`, or else the section's name.

    So [objective.local] and [objective.fine] with type = "local" are two local objectives.
    """
    return section.get("type", name)


@functools.cache
def _adapter() -> pydantic.TypeAdapter[Config]:
    return pydantic.TypeAdapter(Config)


def from_tree(tree: Mapping[str, Any]) -> Config:
    """Make a resolved Config from a nested dictionary, as read from TOML. Raises UserError like `resolve`."""
    try:
        return resolve(_adapter().validate_python(dict(tree)))
    except pydantic.ValidationError as error:
        raise UserError(explain(error, "", _names)) from None


def _names(section: str) -> Iterable[str]:
    sections: dict[str, Any] = {"": Config, "data": Data, "training": Training}
    if section == "objective":
        return OBJECTIVES
    return [f.name for f in dataclasses.fields(sections[section])] if section in sections else ()


def override(config: Config, changes: Mapping[str, Any]) -> Config:
    """A configuration with some fields replaced: {"training.lr": 1e-3, "local.weight": 0.5}.

    `recipe` is not one of them: it says where the other fields came from, and changes none of them.

    "objective.local.weight" can be shortened to "local.weight". Values may be strings, as typed on a command line. If
    encoder.name changes, the new encoder has the settings given here and its own defaults for the rest. Raises
    UserError like `resolve`.
    """
    if changes.get("recipe", config.recipe) != config.recipe:
        raise UserError(
            "recipe is no setting: it only records where the settings came from; choose one by --recipe or, in Python, "
            f"by recipe={changes['recipe']!r}"
        )
    tree = dataclasses.asdict(config)
    # Copy a whole section that the caller gave, since other settings may change parts of it.
    changes = {path: parse_value(v) if isinstance(v, str) else copy.deepcopy(v) for path, v in changes.items()}
    name = tree["encoder"].get("name")
    if changes.get("encoder.name", name) != name:
        # Settings such as units mean something else in each architecture, so all of them are dropped, also those that
        # the scale of a recipe set: they cannot be distinguished from the user's any more.
        tree["encoder"] = {}
    for path, value in changes.items():
        keys = path.split(".")
        if keys[0] in tree["objective"] or (keys[0] in OBJECTIVES and keys[0] not in tree):
            keys = ["objective", *keys]
        if keys[0] == "objective" and len(keys) == 3:
            tree["objective"].setdefault(keys[1], {})
        branch = tree
        for i, key in enumerate(keys[:-1]):
            if branch.get(key) is None and keys[0] == "occlusion":
                branch[key] = {}
            if not isinstance(branch.get(key), dict):
                here = ".".join(keys[: i + 1])
                raise UserError(f"{here} is no section of the configuration{nearest(key, branch)}")
            branch = branch[key]
        branch[keys[-1]] = value
    return from_tree(tree)


def dumps(config: Config) -> str:
    """Write as TOML. Fields that are None are left out, and are None again when the file is read."""

    def drop_none(tree: Any) -> Any:
        if isinstance(tree, dict):
            return {k: drop_none(v) for k, v in tree.items() if v is not None}
        return list(tree) if isinstance(tree, tuple) else tree

    return tomli_w.dumps(drop_none(dataclasses.asdict(config)))


def load(path: str | Path) -> Config:
    """Read a configuration file. Raises UserError if it is missing, is not TOML, or has an unknown field."""
    return from_tree(read_tree(Path(path)))


def read_tree(path: Path) -> dict[str, Any]:
    """Read a configuration file without checking its fields. Raises UserError if it is missing or is not TOML."""
    if not path.is_file():
        raise UserError(f"no configuration at {path}; `deepinfomax train DATA --recipe NAME` needs none")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not TOML: {error}") from None
    except RecursionError:
        raise UserError(f"{path} is no configuration: it is nested too deep") from None


def flat(config: Config) -> dict[str, Any]:
    """Path of a field -> its value, as in {"seed": 0, "training.lr": 1e-4}; tuples as lists, for JSON."""

    def of(tree: Any, path: str) -> dict[str, Any]:
        if isinstance(tree, dict):
            return {k: v for key, sub in tree.items() for k, v in of(sub, f"{path}.{key}").items()}
        return {path[1:]: list(tree) if isinstance(tree, tuple) else tree}

    return of(dataclasses.asdict(config), "")


def from_flat(fields: Mapping[str, Any]) -> Config:
    """The inverse of `flat`; missing fields have their defaults. Raises UserError like `resolve`."""
    tree: dict[str, Any] = {}
    for path, value in fields.items():
        *sections, name = path.split(".")
        branch = tree
        for section in sections:
            branch = branch.setdefault(section, {})
        branch[name] = value
    return from_tree(tree)


def difference(a: Config, b: Config) -> list[str]:
    """Paths of the fields in which two configurations differ."""
    x, y = flat(a), flat(b)
    return sorted(k for k in x.keys() | y.keys() if x.get(k) != y.get(k))
