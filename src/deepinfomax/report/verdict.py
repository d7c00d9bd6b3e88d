"""What may be said of the comparisons, good or bad: one sentence on the figure that matters, one on all of them."""

from dataclasses import dataclass

from deepinfomax.report.comparisons import FIRST, WHOLE, Comparison, Standing, against

_CONTROLS = {"random_encoder": "a random encoder", "pixels": "raw pixels", "pixels_pca": "PCA of pixels"}


@dataclass(frozen=True)
class Verdict:
    """One sentence on the figure that matters, one on all of them."""

    sentence: str
    tally: str
    standing: Standing


def verdict(compared: list[Comparison]) -> Verdict:
    """What the figures say, good or bad."""
    choice = _headline(compared)
    if choice is None:
        return Verdict("Not measured yet: no figure says what this encoder is worth.", "", "alone")
    comparison, level = choice
    own = comparison.trained.cells[level]
    assert own is not None
    on = "" if level == WHOLE else f" on {level}"
    said = f"{comparison.title}{on}: {comparison.trained.name} {own.value:.2f}"
    rivals = comparison.rivals(level)
    if not rivals:
        return Verdict(f"{said}. No control was measured, so the figure says little.", _tally(compared), "alone")
    groups: dict[str, list[str]] = {"above": [], "level": [], "below": []}
    for kind in ("pixels", "pixels_pca", "random_encoder"):
        if kind in rivals:
            groups[against(own, rivals[kind], comparison.count)].append(f"{_CONTROLS[kind]} {rivals[kind].value:.2f}")
    words = {"above": "above", "level": "level with", "below": "below"}
    clauses = [f"{words[key]} {_listed(names)}" for key, names in groups.items() if names]
    said += ", " + (", but ".join(clauses) if groups["below"] and len(clauses) == 2 else ", ".join(clauses)) + "."
    standing = comparison.standing(level)
    if standing == "below" and not groups["above"]:
        said += " Here training has not paid."
    return Verdict(said, _tally(compared), standing)


def _headline(compared: list[Comparison]) -> tuple[Comparison, str] | None:
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
