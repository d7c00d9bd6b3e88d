"""Wrong values of every option and setting of every command: each refused in one line, or taken where it is right."""

import dataclasses
import shutil
from collections.abc import Iterator
from typing import Any

import typer

from harming.running import Count, Place, run
from harming.things import COUNT as IMAGES
from harming.things import things

LIMIT = 40.0  #: seconds; a setting that happens to be right may make a run longer, which Ctrl-C must end

#: what no option takes, or few do
ODD = (
    *("", " ", "-1", "0", "-0.5", "nan", "inf", "-inf", "1e400", "99999999999999999999", "0x10", "1_000", "٣", "1,5"),
    *("true", "none", "[]", "[[", "{}", "{a = 1}", "'", '"', "\\", "..", "/", "/dev/null", "/proc/self/mem", ".", "~x"),
    *(
        "a.npz",
        "run",
        "pictures",
        "missing",
        "ünï",
        "名前",
        "🦆",
        "a b",
        "a\nb",
        "a\tb",
        "\x1b[31m",
        "$x$",
        "%s",
        "{0}",
    ),
    *("<b>", "--", "-", "--seed", "*", "?", "x" * 300, "y" * 5000, "[" * 2000, "1" * 400, "cuda:99", "meta", "mps"),
    *("y,y", "y,", ",", "conv,z", "linear,linear", "knn,none", "l2", "smoke ", "SMOKE", "onnx,hub", "2.5", "1e3"),
)
#: settings of which a large right value only costs time or memory, so that it is no mistake
LONG = ("training.epochs", "training.steps", "repeats", "steps", "seeds", "epochs")

BASES: dict[str, tuple[str, ...]] = {
    "train": ("train", "a.npz", "--scale", "smoke", "--out", "new", "training.steps", "2", "local.places", "4"),
    "evaluate": (
        *("evaluate", "run", "--measures", "knn", "--scale", "smoke", "--controls", "none", "--levels", "y"),
        *("data.holdout", "0.25"),
    ),
    "evaluate embeddings": ("evaluate", "e.npz", "--measures", "knn", "--scale", "smoke"),
    "embed": ("embed", "run", "a.npz", "--out", "new.npz"),
    "neighbours": ("neighbours", "run", "a.npz", "--query", "3"),
    "estimate-mi": ("estimate-mi", "x.npy", "y.npy", "--steps", "5"),
    "report": ("report", "run"),
    "export": ("export", "run", "--format", "safetensors"),
    "data": ("data", "a.npz"),
    "recipes": ("recipes",),
    "explore": ("explore", "pictures", "--run", "run"),
    "doctor": ("doctor",),
    "reproduce": ("reproduce", "list", "--scale", "smoke", "--seeds", "1"),
    "quickstart": ("quickstart", "--out", "a.npz"),  # refused whatever else is said: a whole one takes a minute
}


def harm(place: Place, count: int) -> dict[str, Count]:
    """`count` wrong words, shared among the commands by how many options and settings they have."""
    import numpy as np

    folder = place.fresh("options")
    shutil.copytree(things(place), folder, symlinks=True)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((100, 2))
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", x + rng.standard_normal((100, 2)))
    ways = list(_ways())
    counts: dict[str, Count] = {name: Count() for name in BASES}
    for _ in range(count):
        name, words = place.rng.choice(ways)
        words = _spoilt(words, place)
        for path in ("new", "new.npz", "runs"):
            shutil.rmtree(folder / path, ignore_errors=True)
            if (folder / path).is_file():
                (folder / path).unlink()
        environment = {"DEEPINFOMAX_CACHE": str(folder / "cache")}
        ended = run(words, folder, limit=LIMIT, interrupt=True, environment=environment)
        counts[name].settle(ended, "wrong words", words)
    return counts


def _ways() -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Each command with each of its options and settings, the value None here; and with a word too many or too few."""
    from deepinfomax import cli

    commands = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    for name, base in BASES.items():
        command = commands[base[0]]
        for parameter in command.params:
            for option in parameter.opts:
                if option.startswith("--") and option != "--help":
                    yield name, (*base, option) if getattr(parameter, "is_flag", False) else (*base, option, None)
        yield name, (*base, None)
        yield name, (*base, None, None)
        yield name, (base[0], None, *base[2:])
        yield name, base[:-1]
        if command.context_settings.get("allow_extra_args"):
            for setting in _settings(base[0]):
                yield name, (*base, setting, None)


def _settings(command: str) -> Iterator[str]:
    from deepinfomax.config import Config, Data, resolve
    from deepinfomax.recipes import recipe

    sections = {"data": dataclasses.asdict(Data())}
    if command == "train":
        sections = dataclasses.asdict(resolve(recipe("cpu", "smoke")))
    yield from _leaves(sections, "")
    yield from ("data.nothing", "training", "objective", "objective.local", "nothing.at.all", "occlusion.size", "seed")
    yield from (field.name for field in dataclasses.fields(Config))


def _leaves(tree: dict[str, Any], above: str) -> Iterator[str]:
    for key, value in tree.items():
        path = f"{above}.{key}" if above else key
        if isinstance(value, dict) and value:
            yield from _leaves(value, path)
        else:
            yield path


def _spoilt(words: tuple[Any, ...], place: Place) -> tuple[str, ...]:
    """With odd values in place of None; now and then the value of another word is spoilt too."""
    long = any(word in LONG or (word or "").lstrip("-") in LONG for word in words)
    odd = [value for value in ODD if not (long and value in ("1_000", "1e3", "1" * 400))]
    chosen = [place.rng.choice(odd) if word is None else word for word in words]
    if place.rng.random() < 0.15 and len(chosen) > 2:
        chosen[place.rng.randrange(1, len(chosen))] = place.rng.choice(odd)
    if place.rng.random() < 0.1:
        chosen.insert(place.rng.randrange(1, len(chosen) + 1), str(place.rng.randrange(2 * IMAGES)))
    # No command line holds a NUL, so none is among them.
    return tuple(chosen)
