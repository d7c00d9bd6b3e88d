"""The page: fills the template with the results, and writes one file."""

import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from markupsafe import Markup

from deepinfomax import files
from deepinfomax.errors import count_of
from deepinfomax.report import bars, curves
from deepinfomax.report.comparisons import WHOLE, Comparison, comparisons, method, objective_types
from deepinfomax.report.curves import value
from deepinfomax.report.distribution import distribution
from deepinfomax.report.missing import can_be_measured, evaluate_command, not_run
from deepinfomax.report.quantities import quantities
from deepinfomax.report.reading import Run, at, number, read, table
from deepinfomax.report.rendering import script, templates, write_page
from deepinfomax.report.sheet import pairs, samples, sheet
from deepinfomax.report.verdict import caveats, headline, verdict


def write(run: Path) -> Path:
    """Write `report.html` into a run folder: one file that needs nothing beside it, and no network.

    What could not be read is said on stderr, as it is on the page.

    Returns:
        the path of the file.

    Raises:
        UserError: no such folder, or no run in it.
    """
    run = Path(run)
    contents = read(run)
    for name, why in contents.unreadable.items():
        print(f"note: {files.printable(run / name)}: {why}", file=sys.stderr)
    return write_page(run / files.REPORT, render(contents))


def render(run: Run) -> str:
    """The page as text. Everything that comes from the run is escaped."""
    environment = templates()
    environment.filters["figure"] = value
    environment.filters["fraction"] = "{:.2f}".format
    compared = comparisons(run)
    panels = curves.panels(run)
    choice = headline(compared)
    guess = None if choice is None else guessing(run, choice[0])
    written = notes(run)
    return environment.get_template("page.html").render(
        title=f"{method(run)} on {shortened(data_name(run))}",
        run=run,
        folder=shlex.quote(str(run.folder)),
        lead=lead(run),
        task=task(run),
        verdict=verdict(compared, run, None if guess is None else guess.fraction),
        caveats=caveats(written),
        facts=list(facts(run)),
        in_short=in_short(run),
        evaluate=evaluate_command(run) if can_be_measured(run) else "",
        panels=[(panel, curves.draw(panel)) for panel in panels],
        epochs=number(run.metrics.steps[-1].get("epoch")) if run.metrics.steps else None,
        comparisons=list(pictured(run, compared)),
        measured_on=measured_on(run),
        notes=written,
        supervised=supervised(run),
        quantities=quantities(run),
        sheet=sheet(run),
        distribution=distribution(run),
        pairs=pairs(run.reconstructions),
        own_pairs=pairs(run.generated.reconstructions),
        samples=samples(run),
        config=list(sections(run.config)),
        missing=not_run(run, compared),
        whole=WHOLE,
        **script(environment, "page.js"),
    )


def data_name(run: Run) -> str:
    """What the run calls its data."""
    for name in (
        at(run.metrics.start, "data", "name"),
        at(run.config, "data", "name"),
        at(run.config, "data", "source"),
    ):
        if isinstance(name, str) and name:
            return name
    return "unnamed data"


def task(run: Run) -> str:
    """What the labels of the data ask, where the data say so."""
    words = at(run.metrics.start, "data", "task")
    return words if isinstance(words, str) else ""


def in_short(run: Run) -> str:
    """What the folded table is about: recipe, steps, hardware."""
    named = {fact.name: fact.value for fact in facts(run)}
    said = [named[name] for name in ("recipe", "hardware") if name in named]
    if "steps" in named:
        said.insert(1, f"{named['steps']} steps")
    return ", ".join(said)


def shortened(source: str) -> str:
    """The last part of a whole path; the table of the run has all of it."""
    return source.rstrip("/").rsplit("/", 1)[-1] or source if source.startswith("/") else source


def lead(run: Run) -> str:
    """What was trained on what, in one sentence."""
    data = at(run.metrics.start, "data")
    count, shape, classes = number(at(data, "count")), at(data, "shape"), at(data, "classes")
    images = "images" if count is None else count_of(round(count), "image")
    if isinstance(shape, list) and shape:
        images += f" of {'×'.join(str(side) for side in shape)}"
    encoder = at(run.metrics.start, "encoder") or at(run.config, "encoder", "name")
    said = f"{_encoder(str(encoder))} trained" if encoder else "Trained"
    said += f" on {images}"
    if isinstance(classes, list) and classes:
        supervised = "supervised" in objective_types(run)
        said += f" of {len(classes)} classes, " + ("labels in use" if supervised else "without their labels")
    seconds = number(run.metrics.end.get("seconds"))
    if seconds is not None:
        said += f", in {duration(seconds)}"
    return said + "."


def _encoder(name: str) -> str:
    """ "An alexnet encoder"; a network of the user's own by its class, since no architecture of ours describes it."""
    if name == "wrapped":
        return "A network of your own"
    if ":" in name:
        return f"A network of your own ({name.split(':')[1]})"
    return f"{'An' if name[:1].lower() in 'aeiou' else 'A'} {name} encoder"


@dataclass(frozen=True)
class Fact:
    """A line of the headline's table."""

    name: str
    value: str


def facts(run: Run) -> Iterator[Fact]:
    """What one wants to know of a run before its figures."""
    start, end, config = run.metrics.start, run.metrics.end, run.config
    last = curves.last(run, ("step", "epoch", "seconds", "rank", "units", "peak_memory_mb", "images_per_second"))
    rank, units = last.get("rank"), number(last.get("units"))
    speed = number(end.get("images_per_second")) or last.get("images_per_second")
    steps = number(end.get("step")) or last.get("step")
    seconds = number(end.get("seconds")) or last.get("seconds")
    candidates = [
        ("data", data_name(run) if at(start, "data") else ""),
        ("recipe", _text(at(start, "recipe") or at(config, "recipe"))),
        ("loss", " + ".join(_objectives(config))),
        ("parameters", _counted(at(start, "parameters"))),
        ("steps", _counted(steps) + (f" ({value(last['epoch'])} epochs)" if "epoch" in last else "") if steps else ""),
        ("time", duration(seconds) if seconds is not None else ""),
        ("speed", f"{value(speed)} images/s" if speed is not None else ""),
        ("hardware", _text(at(start, "device"))),
        ("peak memory", f"{last['peak_memory_mb']:,.0f} MB" if "peak_memory_mb" in last else ""),
        ("rank of y", (value(rank) + (f" of {units:.0f}" if units is not None else "")) if rank is not None else ""),
        ("seed", _text(at(config, "seed"))),
        ("deepinfomax", _text(at(start, "deepinfomax"))),
        ("processes", _text(at(start, "processes"))),
        ("torch", _text(at(start, "torch"))),
    ]
    for name, text in candidates:
        if text:
            yield Fact(name, text)


def _objectives(config: dict[str, Any]) -> Iterator[str]:
    for name, section in table(config, "objective").items():
        weight, bound = number(at(section, "weight")), at(section, "bound")
        yield (f"{weight:g} " if weight is not None else "") + name + (f" ({bound})" if isinstance(bound, str) else "")


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _counted(value: Any) -> str:
    count = number(value)
    return "" if count is None else f"{count:,.0f}"


def duration(seconds: float) -> str:
    """42 s, 5 min 20 s, 3 h 12 min; the spaces do not break."""
    whole = round(seconds)
    if whole < 100:
        said = f"{whole} s"
    elif whole < 3600:
        said = f"{whole // 60} min {whole % 60} s"
    else:
        said = f"{whole // 3600} h {whole % 3600 // 60} min"
    return said.replace(" ", "\N{NO-BREAK SPACE}")


@dataclass(frozen=True)
class Guessing:
    """What can be had without looking at an image."""

    fraction: float
    says: str


def guessing(run: Run, comparison: Comparison) -> Guessing | None:
    """For the scores of which it is known."""
    if comparison.score == "balanced accuracy":
        return Guessing(0.5, "guessing")
    if comparison.score != "accuracy":
        return None
    majority = number(at(run.evaluation, "data", "test", "majority"))
    if majority is not None:
        return Guessing(majority, "always saying the commonest class")
    classes = at(run.metrics.start, "data", "classes")
    if isinstance(classes, list) and len(classes) > 1:
        return Guessing(1 / len(classes), "guessing among equally frequent classes")
    return None


def pictured(run: Run, compared: list[Comparison]) -> Iterator[tuple[Comparison, Markup, Guessing | None]]:
    """Every comparison with its bars, on one scale, and what guessing gives."""
    guesses = [guessing(run, comparison) for comparison in compared]
    end = bars.scale_of(compared, [guess.fraction for guess in guesses if guess is not None])
    for comparison, guess in zip(compared, guesses, strict=True):
        yield comparison, bars.draw(comparison, end, None if guess is None else guess.fraction), guess


def other_data(run: Run) -> str:
    """What the evaluation is of, where it is not the run's own data; "" where it is, or nobody knows."""
    name, own = at(run.evaluation, "data", "test", "name"), at(run.metrics.start, "data", "name")
    known = isinstance(name, str) and isinstance(own, str) and "" not in (name, own)
    return shortened(name) if known and name != own else ""


def measured_on(run: Run) -> str:
    """On how many images, of what where they are not the run's own, and how thoroughly."""
    parts = [(table(run.evaluation, "data", part), part) for part in ("train", "test")]
    # Where only some have labels, the others were left out.
    counts = [(number(data.get("labelled")) or number(data.get("count")), part) for data, part in parts]
    said = " and ".join(f"{count:,.0f} {'training' if part == 'train' else 'test'}" for count, part in counts if count)
    scale = at(run.evaluation, "scale")
    other = other_data(run)
    said += " images" + (f" of {other}" if other else "") if said else ""
    options = at(run.evaluation, "options")
    words = [word for word in options if isinstance(word, str)] if isinstance(options, list) else []
    given = [f"{name} {value}" for name, value in pairwise(words) if name.startswith("data.")]
    said += f" with {', '.join(given)}" if given and said else ""
    on = f"Measured on {said}" if said else ""
    return f"{on or 'Measured'} at scale “{scale}”." if isinstance(scale, str) else f"{on}." if on else ""


def supervised(run: Run) -> str:
    """How the supervised control was trained; "" if there is none."""
    protocol = at(run.evaluation, "controls", "supervised", "protocol")
    return protocol if isinstance(protocol, str) else ""


def notes(run: Run) -> list[str]:
    """What the evaluation noted on the way."""
    written = at(run.evaluation, "notes")
    return [note for note in written if isinstance(note, str)] if isinstance(written, list) else []


def sections(tree: dict[str, Any], path: str = "") -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A nested configuration -> (section, [(field, value)]), in the order of the file."""
    own = [(str(key), toml(item)) for key, item in tree.items() if not isinstance(item, dict)]
    if own:
        yield path, own
    for key, item in tree.items():
        if isinstance(item, dict):
            yield from sections(item, f"{path}.{key}" if path else str(key))


def toml(item: Any) -> str:
    """A value much as TOML has it."""
    if isinstance(item, bool):
        return str(item).lower()
    if isinstance(item, str):
        return f'"{item}"'
    if isinstance(item, list):
        return f"[{', '.join(toml(part) for part in item)}]"
    if isinstance(item, dict):
        return f"{{ {', '.join(f'{key} = {toml(part)}' for key, part in item.items())} }}"
    return str(item)
