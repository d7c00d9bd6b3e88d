"""The verdict: what the comparisons show, good or bad, in plain words and in figures."""

from dataclasses import dataclass
from pathlib import Path

from deepinfomax.evaluation.few_labels import LabelBudget, parse_measure_name
from deepinfomax.report.comparisons import FIRST, WHOLE, Cell, Comparison, Standing, against, objective_types
from deepinfomax.report.reading import Run, at, number

_CONTROLS = {"random_encoder": "a random encoder", "pixels": "raw pixels", "pixels_pca": "PCA of pixels"}
#: the same for somebody who has read nothing about any of this
_PLAIN = {
    "pixels": "comparing raw pixels",
    "pixels_pca": "the main components of the pixels",
    "random_encoder": "the same network before training",
}
#: what a measure that gives an accuracy has found out, of {} in 100 test images
_FOUND = {
    "knn": "the nearest training images tell the class of {} in 100 test images",
    "linear": "a weighted sum of what it gives tells the class of {} in 100 test images",
    "mlp": "a small network on top of it tells the class of {} in 100 test images",
    "svm": "a linear classifier on top of it tells the class of {} in 100 test images",
    "semi_supervised": "trained on with labels, it tells the class of {} in 100 test images",
}
_FEW = {"per_class": "{} labelled images of each class", "percent": "{} % of the labels", "folds": "few labels"}
#: part of the note on an encoder that was trained on the images it is tested on; it belongs beside the verdict
SEEN = "trained on the test images"


@dataclass(frozen=True)
class Verdict:
    """What the figures show: in plain words, in one sentence with figures, and over all measures."""

    words: str
    sentence: str
    tally: str
    standing: Standing


def verdict(compared: list[Comparison], run: Run | None = None, guess: float | None = None) -> Verdict:
    """What the figures say, good or bad.

    Args:
        run: where they come from, for the words.
        guess: the fraction of right answers, at the figure that matters, that are had without looking.
    """
    run = run or Run(Path())
    choice = headline(compared)
    if choice is None:
        return Verdict(
            _without_labels(run), "Not measured yet: no figure says what this encoder is worth.", "", "alone"
        )
    comparison, level = choice
    own = comparison.trained.cells[level]
    assert own is not None
    on = "" if level == WHOLE else f" on {level}"
    said = f"{comparison.title}{on}: {comparison.trained.name} {own.value:.2f}"
    rivals = comparison.rivals(level)
    words = _in_words(run, comparison, own, rivals, guess)
    if not rivals:
        return Verdict(words, f"{said}. No control was measured, so the figure says little.", _tally(compared), "alone")
    groups: dict[str, list[str]] = {"above": [], "level": [], "below": []}
    for kind in ("pixels", "pixels_pca", "random_encoder"):
        if kind in rivals:
            groups[against(own, rivals[kind], comparison.count)].append(f"{_CONTROLS[kind]} {rivals[kind].value:.2f}")
    spelt = {"above": "above", "level": "level with", "below": "below"}
    clauses = [f"{spelt[key]} {_listed(names)}" for key, names in groups.items() if names]
    said += ", " + (", but ".join(clauses) if groups["below"] and len(clauses) == 2 else ", ".join(clauses)) + "."
    standing = comparison.standing(level)
    if standing == "below" and not groups["above"]:
        said += " Here training has not paid."
    return Verdict(words, said, _tally(compared), standing)


def caveats(notes: list[str]) -> list[str]:
    """The remarks of an evaluation without which its verdict would be misread."""
    return [f"{note[:1].upper()}{note[1:]}." for note in notes if SEEN in note]


def _in_words(run: Run, comparison: Comparison, own: Cell, rivals: dict[str, Cell], guess: float | None) -> str:
    """The main figure in words for a reader who knows neither probes nor controls."""
    base, budget = parse_measure_name(comparison.measure)
    if base not in _FOUND or comparison.score != "accuracy":
        return f"{comparison.title}: {own.value:.2f}, from 0 to 1."
    labels = "supervised" in objective_types(run)
    found = _FOUND[base].format(_in_hundred(own))
    said = [f"{'Trained on labels' if labels else 'Trained without labels'}{_after(budget)}: {found}."]
    others = [(_PLAIN[kind], _in_hundred(rivals[kind])) for kind in _PLAIN if kind in rivals]
    if guess is not None:
        others.append(("guessing", f"{100 * guess:.0f}" if guess >= 0.01 else "fewer than 1"))
    if others:
        (first, count), *rest = others
        said.append(f"By {first} it is {count}{''.join(f', by {way} {count}' for way, count in rest)}.")
    if rivals:
        said.append(_conclusion({kind: against(own, cell, comparison.count) for kind, cell in rivals.items()}))
    return " ".join(said)


def _after(budget: LabelBudget | None) -> str:
    return "" if budget is None else f", then shown {_FEW[budget.unit].format(budget.count)}"


def _conclusion(standings: dict[str, Standing]) -> str:
    beaten = [_PLAIN[kind] for kind in _PLAIN if standings.get(kind) == "above"]
    others = [_PLAIN[kind] for kind in _PLAIN if standings.get(kind) in ("level", "below")]
    if not others:
        return "Training has paid."
    if not beaten:
        return "Training has not paid." if "below" in standings.values() else "Training is not shown to have paid."
    return f"It beats {_listed(beaten)}, but not {_listed(others)}."


def _without_labels(run: Run) -> str:
    """What can be said where nothing was compared by labels."""
    entry = at(run.evaluation, "measures", "rank")
    rank = number(at(entry, "effective_rank"))
    if rank is None:
        return "Not measured yet. Are images that are near each other below alike to you?"
    units = number(at(entry, "units"))
    fresh = number(at(run.evaluation, "controls", "random_encoder", "rank", "effective_rank"))
    said = f"Measured without labels: y uses {rank:.0f}{f' of its {units:.0f}' if units else ''} directions"
    said += f", the same network before training {fresh:.0f}" if fresh is not None else ""
    return f"{said}. Whether it sees what you see, only the neighbours below can tell."


def _in_hundred(cell: Cell) -> str:
    return f"{100 * cell.value:.0f}"


def headline(compared: list[Comparison]) -> tuple[Comparison, str] | None:
    """The figure of the verdict: y before fc before conv, kNN first since it trains nothing; with controls if any."""
    order = {name: i for i, name in enumerate(FIRST)}
    ranked = sorted(compared, key=lambda c: order.get(c.measure, len(order)))
    pairs = [
        (comparison, level)
        for comparison in ranked
        for level in reversed(comparison.levels)
        if comparison.trained.cells.get(level) is not None
    ]
    return next((p for p in pairs if p[0].rivals(p[1])), pairs[0] if pairs else None)


def _tally(compared: list[Comparison]) -> str:
    standings = [c.standing(level) for c in compared for level in c.levels]
    with_control = [s for s in standings if s != "alone"]
    if len(with_control) < 2:
        return ""
    above, level, below = (with_control.count(s) for s in ("above", "level", "below"))
    return (
        f"Over all {len(with_control)} figures with a control: above every control in {above}, "
        f"level with the best in {level}, below the best in {below}."
    )


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
