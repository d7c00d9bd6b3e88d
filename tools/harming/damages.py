"""Random damage to a file of a run folder, of the cache or of embeddings, followed by a command that reads it.

What is changed must be noticed: the command gives the same figures all the same, or says what is wrong, or refuses.
"""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harming import figures
from harming.running import Count, Place, run
from harming.things import EVALUATE, things

Damage = Callable[[Path, Place], str]


def flip(file: Path, place: Place) -> str:
    content = bytearray(file.read_bytes())
    if not content:
        return ""
    at, bit = place.rng.randrange(len(content)), place.rng.randrange(8)
    content[at] ^= 1 << bit
    file.write_bytes(content)
    return f"bit {bit} of byte {at} of {len(content)} flipped"


def cut(file: Path, place: Place) -> str:
    content = file.read_bytes()
    length = place.rng.randrange(len(content)) if content else 0
    file.write_bytes(content[:length])
    return f"cut to {length} of {len(content)} bytes"


def blank(file: Path, place: Place) -> str:
    content = bytearray(file.read_bytes())
    if not content:
        return ""
    length = min(len(content), place.rng.choice((1, 16, 512, 4096)))
    at = place.rng.randrange(len(content) - length + 1)
    content[at : at + length] = bytes(length)
    file.write_bytes(content)
    return f"{length} bytes from {at} on are zero"


def append(file: Path, place: Place) -> str:
    more = place.rng.randbytes(place.rng.choice((1, 100, 5000)))
    with file.open("ab") as end:
        end.write(more)
    return f"{len(more)} bytes appended"


def delete(file: Path, place: Place) -> str:
    file.unlink()
    return "deleted"


def empty(file: Path, place: Place) -> str:
    file.write_bytes(b"")
    return "emptied"


def swap(file: Path, place: Place) -> str:
    """With the file of the same name of another run, else with one beside it."""
    twin = (
        things(place)
        / "other"
        / file.relative_to(file.parents[0] if file.parent.name != "checkpoint" else file.parents[1])
    )
    if twin.is_file():
        shutil.copyfile(twin, file)
        return "that of another run"
    beside = sorted(
        path for path in file.parent.iterdir() if path.is_file() and path != file and not path.name.startswith(".")
    )
    if not beside:
        return ""
    other = place.rng.choice(beside)
    content = file.read_bytes()
    shutil.copyfile(other, file)
    other.write_bytes(content)
    return f"swapped with {other.name}"


KNN = ("--measures", "knn", "--scale", "smoke")
DAMAGES: dict[str, Damage] = {d.__name__: d for d in (flip, cut, blank, append, delete, empty, swap)}
WEIGHTS = (6, 3, 3, 2, 2, 1, 2)


@dataclass(frozen=True)
class Reading:
    """A command that reads the damaged file."""

    words: tuple[object, ...]
    result: Callable[[Path, str], Any]  #: of the folder, and of what was printed


def page(folder: Path, run_name: str) -> str:
    file = folder / run_name / "report.html"
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def readings() -> dict[str, Reading]:
    def of_export(folder: Path, out: str) -> Any:
        return [figures.of_file(folder / "run/export" / name) for name in ("encoder.safetensors", "encoder.json")]

    return {
        "resume": Reading(
            ("train", "a.npz", "--out", "run", "--resume", "training.steps", "14"),
            lambda f, out: figures.of_training(f / "run"),
        ),
        "evaluate": Reading(
            (*EVALUATE, "run"),
            lambda f, out: {
                k: v for k, v in (figures.of_evaluation(f / "run/evaluation.json") or {}).items() if k != "notes"
            },
        ),
        "report": Reading(("report", "run"), lambda f, out: page(f, "run")),
        "report vae": Reading(("report", "vae"), lambda f, out: page(f, "vae")),
        "neighbours": Reading(("neighbours", "run", "--query", "3", "--json"), lambda f, out: out),
        "embed": Reading(
            ("embed", "run", "a.npz", "--out", "new.npz"), lambda f, out: figures.of_arrays(f / "new.npz")
        ),
        "export": Reading(("export", "run", "--format", "safetensors"), of_export),
        "data": Reading(("data", "pictures", "--json"), lambda f, out: (out, figures.of_cache(f / "cache"))),
        "evaluate .npz": Reading(
            ("evaluate", "e.npz", "--measures", "knn", "--scale", "smoke"), lambda f, out: _knn(f, "npz")
        ),
        "evaluate .parquet": Reading(
            ("evaluate", "e.parquet", "--measures", "knn", "--scale", "smoke"), lambda f, out: _knn(f, "parquet")
        ),
    }


#: kind of file -> where it is, and the commands that read it
FILES: dict[str, tuple[str, tuple[str, ...]]] = {
    "config.toml": ("run/config.toml", ("resume", "evaluate", "report", "embed")),
    "metrics.jsonl": ("run/metrics.jsonl", ("resume", "report")),
    "digests of its lines": ("run/.metrics.sums", ("resume", "report")),
    "journal": ("run/.sums", ("resume", "evaluate", "report", "embed")),
    "checkpoint": ("run/checkpoint/state.safetensors", ("resume",)),
    "encoder.safetensors": ("run/encoder.safetensors", ("evaluate", "embed", "neighbours", "export", "report")),
    "encoder.json": ("run/encoder.json", ("evaluate", "embed", "neighbours", "export", "report")),
    "evaluation.json": ("run/evaluation.json", ("evaluate", "report")),
    "gallery.npz": ("run/gallery.npz", ("report", "neighbours")),
    "embeddings_sample.npz": ("run/embeddings_sample.npz", ("report",)),
    "reconstructions.npz": ("run/reconstructions.npz", ("report",)),
    "generated.npz": ("vae/generated.npz", ("report vae",)),
    "report.html": ("run/report.html", ("report", "evaluate")),
    "cached pixels": ("images.npy", ("data",)),
    "cached labels": ("labels.npy", ("data",)),
    "cached facts": ("meta.json", ("data",)),
    "embeddings .npz": ("e.npz", ("evaluate .npz",)),
    "embeddings .parquet": ("e.parquet", ("evaluate .parquet",)),
    "figures of embeddings": ("e.npz.evaluation.json", ("evaluate .npz",)),
}


def harm(place: Place, count: int) -> dict[str, Count]:
    """`count` damages of each kind of file in turn, drawn at random."""
    counts = {kind: Count() for kind in FILES}
    expected: dict[str, Any] = {}
    for i in range(count):
        kind = list(FILES)[i % len(FILES)]
        where, commands = FILES[kind]
        name = place.rng.choice(commands)
        reading = readings()[name]
        if name not in expected:
            folder = _prepared(place)
            ended = _go(folder, reading)
            assert ended.code == 0, ended
            expected[name] = reading.result(folder, ended.out)
        folder = _prepared(place)
        (file,) = folder.glob(where) if "/" in where or where.startswith("e.") else folder.glob(f"cache/*/{where}")
        damage = place.rng.choices(list(DAMAGES), WEIGHTS)[0]
        before = page(folder, "run")
        said = DAMAGES[damage](file, place)
        ended = _go(folder, reading)
        now = reading.result(folder, ended.out) if ended.code == 0 else None
        harm_done = f"{kind}: {said}"
        counts[kind].settle(
            ended,
            harm_done,
            reading.words,
            same=now == expected[name],
            told=_told(ended.err, file, folder, before, name),
        )
    return counts


def _told(err: str, file: Path, folder: Path, before: str, name: str) -> bool:
    """Whether the file is named on stderr, or the page says that something is absent."""
    if file.name in err or "damaged" in err or "no checkpoint" in err:
        return True
    return name.startswith("report") and _absent(page(folder, name.partition(" ")[2] or "run")) > _absent(before)


def _absent(text: str) -> int:
    return len(re.findall('class="absent"|<code>deepinfomax', text))


def _prepared(place: Place) -> Path:
    folder = place.fresh("damaged")
    shutil.copytree(things(place), folder, symlinks=True)
    data = run(("data", "pictures", "--json"), folder, environment={"DEEPINFOMAX_CACHE": str(folder / "cache")})
    assert data.code == 0, data
    return folder


def _go(folder: Path, reading: Reading) -> Any:
    return run(reading.words, folder, environment={"DEEPINFOMAX_CACHE": str(folder / "cache")})


def _knn(folder: Path, kind: str) -> Any:
    found = figures.of_evaluation(folder / f"e.{kind}.evaluation.json") or {}
    return found.get("measures"), found.get("encoder"), found.get("data")
