"""The model card of an encoder: what it is, how to use it, and all measured figures with their controls."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import ModelCardData

from deepinfomax import __version__
from deepinfomax.report.comparisons import WHOLE, Cell, Comparison, Row, comparisons, method
from deepinfomax.report.page import caveats, data_name, facts, guessing, lead, measured_on, notes, shortened
from deepinfomax.report.quantities import quantities
from deepinfomax.report.reading import at, read
from deepinfomax.report.rendering import templates
from deepinfomax.report.verdict import headline, verdict

if TYPE_CHECKING:
    from deepinfomax.encoders.storage import EncoderDescription

#: facts that say where a run was made, which is nobody's business
_PRIVATE = ("data",)


def model_card(run: Path, repo: str, description: "EncoderDescription") -> str:
    """README.md of a model on the hub: its head in YAML, then Markdown.

    Args:
        run: the run folder; figures come from its evaluation.json.
        repo: OWNER/NAME, for the line that loads it.
        description: what its encoder.json says.
    """
    contents = read(run)
    compared = comparisons(contents)
    choice = headline(compared)
    guess = None if choice is None else guessing(contents, choice[0])
    environment = templates(autoescape=False)
    environment.filters["plain"] = plain
    return environment.get_template("model_card.md").render(
        head=head().to_yaml(),
        title=f"{method(contents)} on {shortened(data_name(contents))}",
        lead=lead(contents),
        verdict=verdict(compared, contents, None if guess is None else guess.fraction),
        caveats=caveats(notes(contents)),
        repo=repo,
        shape=", ".join(map(str, description.image_shape)),
        takes=takes(description),
        own_module=description.architecture == "wrapped" or ":" in description.architecture,
        tables=[table(comparison) for comparison in compared],
        measured_on=measured_on(contents),
        quantities=quantities(contents),
        facts=[fact for fact in facts(contents) if fact.name not in _PRIVATE],
        measured=at(contents.evaluation, "measures") is not None,
        version=__version__,
    )


def head() -> ModelCardData:
    """What the hub itself reads. The licence is the owner's to choose, so none is claimed."""
    return ModelCardData(
        library_name="deepinfomax",
        pipeline_tag="image-feature-extraction",
        tags=["deep-infomax", "self-supervised-learning", "mutual-information"],
    )


def takes(description: "EncoderDescription") -> str:
    """What numbers the encoder takes, in words."""
    if description.standardised:
        return "the numbers of the data themselves; the encoder standardises them"
    return "in [-1, 1]: a byte v becomes v · 2 / 255 − 1"


def table(comparison: Comparison) -> dict[str, Any]:
    """One comparison as the cells of a Markdown table."""
    levels = [level for level in comparison.levels if comparison.trained.cells.get(level) is not None]
    rows = [row for row in comparison.rows if any(_figure(row, level) is not None for level in levels)]
    return {
        "title": comparison.title,
        "head": [comparison.score if level == WHOLE else level for level in levels],
        "rows": [(row.name, [_cell(row, level) for level in levels]) for row in rows],
        "protocol": comparison.protocol,
        "score": comparison.score,
    }


def _figure(row: Row, level: str) -> Cell | None:
    return row.cells.get(level, row.cells.get(WHOLE))


def _cell(row: Row, level: str) -> str:
    cell = _figure(row, level)
    if cell is None:
        return "not run"
    return f"{cell.value:.3f}" + ("" if cell.std is None else f" ± {cell.std:.3f}")


def plain(text: str) -> str:
    """Words of the user's data as Markdown shows them: no sign of them makes a table, a link or a tag."""
    flat = " ".join(str(text).split())
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>|#" else sign for sign in flat)
