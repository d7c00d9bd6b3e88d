"""SIGKILL at a random moment, then what a person would type next; the figures must be those of an undisturbed run."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harming import figures
from harming.running import Count, Ended, Place, run
from harming.things import EVALUATE, TRAIN, things

TWICE = 0.3  #: share of the cases in which the next command is killed too


@dataclass(frozen=True)
class Victim:
    """A command that is killed, and how its result is read."""

    words: tuple[object, ...]
    result: Callable[[Path], Any]  #: of the folder that it works in
    needs: tuple[str, ...] = ()  #: what lies there before, of `things`
    sound: Callable[[Path], str] = lambda _: ""  #: what is wrong right after the kill; "" where nothing is


def victims() -> dict[str, Victim]:
    def embedded(name: str) -> Callable[[Path], Any]:
        return lambda f: {path.name: figures.of_file(path) for path in sorted(f.glob(f"{name}*"))}

    return {
        "training": Victim((*TRAIN, "--out", "new"), lambda f: figures.of_training(f / "new")),
        "evaluation": Victim((*EVALUATE, "run"), lambda f: figures.of_evaluation(f / "run/evaluation.json"), ("run",)),
        "caching": Victim(("data", "pictures", "--json"), lambda f: figures.of_cache(f / "cache")),
        "embedding .npz": Victim(("embed", "run", "a.npz", "--out", "e.npz"), embedded("e"), ("run",)),
        "embedding .npy": Victim(
            ("embed", "run", "a.npz", "--out", "e.npy"), embedded("e"), ("run", "e.npy", "e.labels.npy"), _pair_is_one
        ),
        "embedding .parquet": Victim(("embed", "run", "a.npz", "--out", "e.parquet"), embedded("e"), ("run",)),
        "export safetensors": Victim(
            ("export", "run", "--format", "safetensors"),
            lambda f: {path.name: figures.of_file(path) for path in (f / "run/export").glob("*")},
            ("run",),
        ),
        "export onnx": Victim(
            ("export", "run", "--format", "onnx"),
            lambda f: figures.of_file(f / "run/encoder.onnx"),
            ("run",),
            _onnx_is_whole,
        ),
    }


SHARES = {"training": 0.4, "evaluation": 0.2, "caching": 0.1, "embedding .npz": 0.05, "embedding .npy": 0.1}


def harm(place: Place, count: int) -> dict[str, Count]:
    """`count` kills, shared among the commands."""
    counts: dict[str, Count] = {}
    every = victims()
    rest = [name for name in every if name not in SHARES]
    share = (1 - sum(SHARES.values())) / len(rest)
    for name, victim in every.items():
        cases = max(1, round(count * SHARES.get(name, share)))
        counts[name] = Count()
        expected, seconds = _undisturbed(place, victim)
        for _ in range(cases):
            _kill(place, victim, expected, seconds, counts[name])
        print(f"killed: {name}: {counts[name].fine} of {cases} as undisturbed", flush=True)
    return counts


def _prepared(place: Place, victim: Victim) -> Path:
    folder = place.fresh("killed")
    folder.mkdir()
    for name in ("a.npz", "pictures", *victim.needs):
        source = things(place) / name
        if source.is_dir():
            shutil.copytree(source, folder / name, symlinks=True)
        else:
            shutil.copy(source, folder / name)
    return folder


def _go(folder: Path, words: tuple[object, ...], **how: Any) -> Ended:
    return run(words, folder, environment={"DEEPINFOMAX_CACHE": str(folder / "cache")}, **how)


def _undisturbed(place: Place, victim: Victim) -> tuple[Any, float]:
    folder = _prepared(place, victim)
    ended = _go(folder, victim.words)
    assert ended.code == 0, ended
    return victim.result(folder), ended.seconds


def _kill(place: Place, victim: Victim, expected: Any, seconds: float, count: Count) -> None:
    folder = _prepared(place, victim)
    moment = place.rng.uniform(0, 1.05 * seconds)
    _go(folder, victim.words, kill_after=moment)
    harm = f"SIGKILL after {moment:.3f} of {seconds:.3f} s"
    if wrong := victim.sound(folder):
        count.fail(wrong, harm, victim.words)
        return
    words, ended = _next(folder, victim.words)
    if place.rng.random() < TWICE:
        folder_moment = place.rng.uniform(0, seconds)
        _go(folder, words, kill_after=folder_moment)
        harm += f" and again after {folder_moment:.3f} s"
        words, ended = _next(folder, victim.words)
    if ended is None:
        ended = _go(folder, words)
    if ended.code != 0:
        count.fail(ended.fault or "the next command does not go on", harm, words, ended)
        return
    count.settle(ended, harm, words, same=victim.result(folder) == expected)


def _next(folder: Path, words: tuple[object, ...]) -> tuple[tuple[object, ...], None]:
    """What a person types next: the same, and what a refusal advises."""
    if "train" in words and (folder / "new" / "config.toml").is_file():
        return (*words, "--resume"), None
    return words, None


def _pair_is_one(folder: Path) -> str:
    """Vectors and labels in two files must not be of two data sets."""
    vectors, labels = (figures.of_file(folder / name) for name in ("e.npy", "e.labels.npy"))
    earlier = figures.of_file(folder.parent / "things" / "e.npy")
    of_earlier = figures.of_file(folder.parent / "things" / "e.labels.npy")
    if labels and (vectors == earlier) != (labels == of_earlier):
        return "labels of other vectors"
    return ""


def _onnx_is_whole(folder: Path) -> str:
    import onnx

    file = folder / "run/encoder.onnx"
    try:
        if file.is_file():
            onnx.checker.check_model(onnx.load(file))
    except Exception as error:
        return f"half an ONNX file ({error})"
    return ""
