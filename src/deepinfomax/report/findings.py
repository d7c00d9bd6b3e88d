"""evaluation.json -> comparisons of the encoder with its controls, and what may be said of them in one sentence."""

import math
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from deepinfomax.features import LEVELS
from deepinfomax.report.reading import Run, at, number, table

Standing = Literal["above", "level", "below", "alone"]

#: measure -> its name, and how the figure comes about
ACCURACIES = {
    "knn": ("kNN", "vote of the nearest training images"),
    "linear": ("Linear probe", "logistic regression on frozen features"),
    "mlp": ("MLP probe", "the paper’s classifier on frozen features"),
    "svm": ("Linear SVM", "the paper’s support vector machine on frozen features"),
    "semi_supervised": ("Semi-supervised", "a copy of the encoder fine-tuned with the labels"),
    "attributes": ("Attributes", "a probe of every attribute on frozen features"),
}
#: measure -> its name and (key, name, unit, which way is better, what it says)
QUANTITIES = {
    "reconstruction": (
        "Reconstruction",
        (
            ("ms_ssim", "MS-SSIM", "", "higher", "likeness of images decoded from y and the originals; 1: identical"),
            ("ssim", "SSIM", "", "higher", "the same at a single scale"),
            ("mse", "Squared error", "", "lower", "mean over pixels"),
            (
                "mean_image_mse",
                "Squared error of the mean image",
                "",
                "",
                "what one picture for all would have",
            ),
        ),
    ),
    "rank": (
        "Shape of y",
        (
            ("effective_rank", "Effective rank", "", "", "directions that y uses"),
            ("uniformity", "Uniformity", "", "lower", "how evenly y covers the sphere"),
            ("alignment", "Alignment", "", "lower", "how far two views of an image lie apart"),
            ("dead_units", "Dead units", "", "lower", "units that are the same for every image"),
        ),
    ),
    "mine": (
        "MINE",
        (
            ("nats", "I(x; y)", "nats", "higher", "what y tells of the image, as a network estimates it"),
            ("lower_bound_nats", "Lower bound", "nats", "higher", "at most that, and below the truth in expectation"),
            ("cap", "Cap", "nats", "", "log of the test images in a block, which vouch for no more"),
        ),
    ),
    "ndm": (
        "NDM",
        (
            ("nats", "Dependence of units", "nats", "lower", "0: the units of y are independent"),
            ("lower_bound_nats", "Lower bound", "nats", "lower", "below the truth in expectation"),
            ("gaussian_nats", "Gaussian control", "nats", "lower", "of a Gaussian with the correlations of y"),
            (
                "nats_sigmoid",
                "After a sigmoid",
                "nats",
                "lower",
                "the same quantity, as a critic sees it there",
            ),
            ("lower_bound_nats_sigmoid", "Lower bound after a sigmoid", "nats", "lower", ""),
            ("gaussian_nats_sigmoid", "Gaussian control after a sigmoid", "nats", "lower", ""),
            ("cap", "Cap", "nats", "", "log of the held-out images, which vouch for no more"),
        ),
    ),
    # beside the accuracy of `ACCURACIES`
    "attributes": (
        "Attributes",
        (
            ("mean_average_precision", "Mean average precision", "", "higher", "mean over attributes"),
            ("balanced_cross_entropy", "Balanced cross-entropy", "nats", "lower", "0.69: guessing"),
        ),
    ),
}
MEASURES = ("mlp", "linear", "knn", "svm", "semi_supervised", "reconstruction", "mine", "ndm", "rank")
CONTROLS = {
    "random_encoder": "random encoder",
    "pixels": "raw pixels",
    "pixels_pca": "PCA of pixels",
    "supervised": "supervised",
}
#: figures with a standard error of their own
_ERRORS = {
    "nats": "standard_error",
    "nats_sigmoid": "standard_error_sigmoid",
    "lower_bound_nats": "lower_bound_standard_error",
}
#: A supervised network is what labels can give, not a control to beat.
RIVALS = ("random_encoder", "pixels", "pixels_pca")
SAID_OF_CONTROLS = {"random_encoder": "a random encoder", "pixels": "raw pixels", "pixels_pca": "PCA of pixels"}
SCORES = ("accuracy", "balanced_accuracy", "mean_average_precision", "auc")  #: the first of them present is shown
WHOLE = "whole"  #: the level of a figure that belongs to the encoder as a whole
#: numbers in evaluation.json that say how a figure was obtained, and are none themselves
_BOOKKEEPING = (
    "std",
    "seconds",
    "n_train",
    "n_test",
    "settings",
    "seed",
    "constant_units",
    "schema",
    "C",
    "standard_error",
    "units",
)
_VERDICT_ORDER = ("knn", "linear", "mlp", "svm", "semi_supervised")
_METHODS = {
    "local": "DIM",
    "global": "DIM",
    "cpc": "CPC",
    "bigan": "BiGAN",
    "nat": "NAT",
    "vae": "VAE",
    "autoencoder": "autoencoder",
    "supervised": "supervised",
}


@dataclass(frozen=True)
class Cell:
    """One measured figure."""

    value: float  #: fraction
    std: float | None = None  #: over repeated fits, where there were any


@dataclass(frozen=True)
class Row:
    """One contestant: the encoder or a control. `cells` by level; {WHOLE: ...} where levels make no difference."""

    kind: str
    name: str
    cells: dict[str, Cell | None]


@dataclass(frozen=True)
class Comparison:
    """One measure of the encoder beside the same measure of its controls."""

    measure: str
    title: str
    protocol: str
    score: str  #: "accuracy", ...
    levels: tuple[str, ...]
    trained: Row
    controls: tuple[Row, ...]
    count: int | None  #: of test images, where known

    @property
    def rows(self) -> tuple[Row, ...]:
        return (self.trained, *self.controls)

    def rivals(self, level: str) -> dict[str, Cell]:
        """Measured controls that a figure at this level stands against."""
        found = {row.kind: row.cells.get(level) or row.cells.get(WHOLE) for row in self.controls if row.kind in RIVALS}
        return {kind: cell for kind, cell in found.items() if cell is not None}

    def standing(self, level: str) -> Standing:
        """Of the encoder against the best control at this level."""
        own, rivals = self.trained.cells.get(level), self.rivals(level)
        if own is None or not rivals:
            return "alone"
        return against(own, max(rivals.values(), key=lambda cell: cell.value), self.count)


def against(own: Cell, other: Cell, count: int | None) -> Standing:
    """Above or below where the difference exceeds two standard errors, and half a per cent in any case.

    The standard error of a figure is the larger of its s.d. over fits and that of a fraction of `count` test images.
    Both figures come from the same test images, which makes their difference more certain than this allows for.
    """

    def variance(cell: Cell) -> float:
        sampling = max(cell.value * (1 - cell.value), 0.0) / count if count else 0.0
        return max(sampling, (cell.std or 0.0) ** 2)

    difference = own.value - other.value
    if abs(difference) < max(2 * math.sqrt(variance(own) + variance(other)), 0.005):
        return "level"
    return "above" if difference > 0 else "below"


def method(run: Run) -> str:
    """What the encoder was trained by: "DIM", or the name of a baseline."""
    objectives = table(run.config, "objective")
    for name, called in _METHODS.items():
        if name in objectives:
            return called
    return "this encoder"


def comparisons(run: Run) -> list[Comparison]:
    """Every measure that gave a score for the encoder, the known ones first."""
    measures = table(run.evaluation, "measures")
    keys = [*(m for m in ACCURACIES if m in measures), *(m for m in measures if m not in ACCURACIES)]
    found = (_comparison(run, key, measures[key]) for key in keys)
    return [comparison for comparison in found if comparison is not None]


def _comparison(run: Run, measure: str, entry: Any) -> Comparison | None:
    cells = _cells(entry)
    if not cells:
        return None
    levels = (WHOLE,) if WHOLE in cells else _ordered({*LEVELS, *cells})
    few = _few(measure)[1]
    controls = []
    for kind, name in CONTROLS.items():
        whole = at(run.evaluation, "controls", kind)
        of_control = _cells(at(whole, measure))
        if kind == "supervised" and not of_control:  # trained through to the labels: all of them, or as few
            of_control = _cells(whole if few is None else at(whole, few), own_only=True)
        if kind != "random_encoder" and WHOLE not in of_control and len(of_control) == 1:
            of_control = {WHOLE: next(iter(of_control.values()))}  # pixels have one level, whatever it is called
        if kind.startswith("pixels") and levels == (WHOLE,) and not of_control:
            continue  # what is measured of a network as a whole cannot be measured of pixels
        by_level = kind == "random_encoder" and levels != (WHOLE,) and WHOLE not in of_control
        expected = levels if by_level else (WHOLE,) if len(of_control) < 2 else levels
        controls.append(Row(kind, name, {level: of_control.get(level) for level in expected}))
    title, protocol = _described(measure)
    stated = dict.fromkeys(text for text in _each(entry, "protocol") if isinstance(text, str))
    return Comparison(
        measure=measure,
        title=title,
        protocol="; ".join(stated) or protocol,
        score=next((s for s in SCORES if s in _keys(entry)), SCORES[0]).replace("_", " "),
        levels=levels,
        trained=Row("trained", method(run), {level: cells.get(level) for level in levels}),
        controls=tuple(controls),
        count=_test_count(run, entry),
    )


def _described(measure: str) -> tuple[str, str]:
    """Title and protocol: "linear" -> "Linear probe", "linear_10_per_class" -> "Linear probe, 10 a class"."""
    probe, few = _few(measure)
    title, protocol = ACCURACIES.get(probe, (probe.replace("_", " "), ""))
    if few is None:
        return title, protocol
    short, long = _FEW[few.lstrip("0123456789_")]
    count = few.partition("_")[0]
    return f"{title}, {short.format(count)}", f"{protocol}, from {long.format(count)}" if protocol else ""


#: What stands behind the name of a measure that sees few labels -> in a title, in a protocol
_FEW = {
    "per_class": ("{} a class", "{} labels of each class"),
    "percent": ("{} %", "{} % of the labels of each class"),
    "folds": ("folds", "the published folds"),
}


def _few(measure: str) -> tuple[str, str | None]:
    """ "linear_10_per_class" -> ("linear", "10_per_class"); "linear" -> ("linear", None)."""
    found = re.fullmatch(r"(\w+?)_(\d+_per_class|\d+_percent|folds)", measure)
    return (found[1], found[2]) if found else (measure, None)


def _each(entry: dict[str, Any], key: str) -> list[Any]:
    """What a measure says once, or at each of its levels."""
    return [part[key] for part in (entry, *entry.values()) if isinstance(part, dict) and key in part]


def _cells(entry: Any, *, own_only: bool = False) -> dict[str, Cell]:
    """{"accuracy": a} -> {WHOLE: a};  {level: {"accuracy": a}, ...} -> {level: a, ...}."""
    if not isinstance(entry, dict):
        return {}
    for score in SCORES:
        if (value := number(entry.get(score))) is not None:
            return {WHOLE: Cell(value, number(entry.get("std")))}
    if own_only:
        return {}
    return {level: cell for level, inner in entry.items() for cell in _cells(inner, own_only=True).values()}


def _keys(entry: Any) -> set[str]:
    inner = [set(v) for v in entry.values() if isinstance(v, dict)]
    return set(entry).union(*inner)


def _ordered(levels: set[str]) -> tuple[str, ...]:
    return (*(level for level in LEVELS if level in levels), *sorted(levels - set(LEVELS)))


def _test_count(run: Run, entry: Any) -> int | None:
    """How many test images the figures rest on, wherever the evaluation says so."""
    data = at(run.evaluation, "data")
    candidates = [*_each(entry, "n_test"), at(data, "n_test"), at(data, "test"), at(data, "test", "count")]
    return next((int(n) for n in map(number, candidates) if n is not None and n >= 1), None)


@dataclass(frozen=True)
class Verdict:
    """One sentence on the figure that matters, one on all of them."""

    sentence: str
    tally: str
    standing: Standing


def verdict(run: Run, found: list[Comparison]) -> Verdict:
    """What the figures say, good or bad."""
    choice = _headline(found)
    if choice is None:
        return Verdict("Not measured yet: no figure says what this encoder is worth.", "", "alone")
    comparison, level = choice
    own = comparison.trained.cells[level]
    assert own is not None
    on = "" if level == WHOLE else f" on {level}"
    said = f"{comparison.title}{on}: {comparison.trained.name} {own.value:.2f}"
    rivals = comparison.rivals(level)
    if not rivals:
        return Verdict(f"{said}. No control was measured, so the figure says little.", _tally(found), "alone")
    groups: dict[str, list[str]] = {"above": [], "level": [], "below": []}
    for kind in ("pixels", "pixels_pca", "random_encoder"):
        if kind in rivals:
            groups[against(own, rivals[kind], comparison.count)].append(
                f"{SAID_OF_CONTROLS[kind]} {rivals[kind].value:.2f}"
            )
    words = {"above": "above", "level": "level with", "below": "below"}
    clauses = [f"{words[key]} {_listed(names)}" for key, names in groups.items() if names]
    said += ", " + (", but ".join(clauses) if groups["below"] and len(clauses) == 2 else ", ".join(clauses)) + "."
    standing = comparison.standing(level)
    if standing == "below" and not groups["above"]:
        said += " Here training has not paid."
    return Verdict(said, _tally(found), standing)


def _headline(found: list[Comparison]) -> tuple[Comparison, str] | None:
    """The figure of the verdict: y before fc before conv, kNN first since it trains nothing; with controls if any."""
    order = {name: i for i, name in enumerate(_VERDICT_ORDER)}
    ranked = sorted(found, key=lambda c: order.get(c.measure, len(order)))
    pairs = [
        (comparison, level)
        for comparison in ranked
        for level in reversed(comparison.levels)
        if comparison.trained.cells.get(level) is not None
    ]
    return next((p for p in pairs if p[0].rivals(p[1])), pairs[0] if pairs else None)


def _tally(found: list[Comparison]) -> str:
    standings = [c.standing(level) for c in found for level in c.levels]
    compared = [s for s in standings if s != "alone"]
    if len(compared) < 2:
        return ""
    above, level, below = (compared.count(s) for s in ("above", "level", "below"))
    return (
        f"Over all {len(compared)} figures with a control: above every control in {above}, "
        f"level with the best in {level}, below the best in {below}."
    )


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


@dataclass(frozen=True)
class Quantity:
    """A figure that is no score: a likeness, an error, nats."""

    measure: str
    name: str
    unit: str
    better: str  #: "higher", "lower" or ""
    says: str
    warning: str  #: what the measure itself warned of
    trained: Cell  #: `std` is the standard error, where there is one
    random_encoder: Cell | None


def quantities(run: Run) -> list[Quantity]:
    """The figures of the evaluation that are no scores, and those that stand beside a score."""
    found = []
    for measure, entry in table(run.evaluation, "measures").items():
        if _cells(entry) and measure not in QUANTITIES:
            continue
        title, known = QUANTITIES.get(measure, (measure.replace("_", " "), ()))
        about = {key: (name, unit, better, says) for key, name, unit, better, says in known}
        control = at(run.evaluation, "controls", "random_encoder", measure)
        for path in _paths(entry):
            *above, key = path
            if key not in about and known:
                continue
            name, unit, better, says = about.get(key, (key.replace("_", " "), "", "", ""))
            own = _figure(entry, path)
            assert own is not None
            found.append(
                Quantity(
                    measure=title,
                    name=" · ".join((*above, name)),
                    unit=unit,
                    better=better,
                    says=says,
                    warning=_warning(at(entry, *above), key),
                    trained=own,
                    random_encoder=_figure(control, path),
                )
            )
    return found


def _figure(tree: Any, path: tuple[str, ...]) -> Cell | None:
    value = number(at(tree, *path))
    error = number(at(tree, *path[:-1], _ERRORS[path[-1]])) if path[-1] in _ERRORS else None
    return None if value is None else Cell(value, error)


def _warning(around: Any, key: str) -> str:
    if key == "effective_rank" and at(around, "collapsed") is True:
        return "y has collapsed: it is nearly the same for every image"
    warned = at(around, key.replace("nats", "warning")) if key in ("nats", "nats_sigmoid") else None
    return warned if isinstance(warned, str) else ""


def _paths(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Where the figures are in a nested dictionary."""
    for key, value in tree.items() if isinstance(tree, dict) else ():
        if key in _BOOKKEEPING:
            continue
        if number(value) is not None:
            yield (*path, key)
        else:
            yield from _paths(value, (*path, key))


@dataclass(frozen=True)
class Missing:
    """Something that was not run, and the command that runs it."""

    what: str
    command: str


def not_run(run: Run, found: list[Comparison]) -> list[Missing]:
    """What a complete report would have beside this one."""
    folder = shlex.quote(str(run.folder))
    missing = []
    if run.metrics.steps and not run.metrics.end:
        last = run.metrics.steps[-1]["step"]
        source = at(run.config, "data", "source")
        command = f"deepinfomax train {shlex.quote(str(source or 'DATA'))} --out {folder} --resume"
        missing.append(Missing(f"The rest of the training: it ends at step {last:,.0f} without a last word.", command))
    measures = table(run.evaluation, "measures")
    left = [name for name in MEASURES if name not in measures]
    if left:
        named = ", ".join(_title(name) for name in left)
        missing.append(Missing(f"Measures: {named}.", f"deepinfomax evaluate {folder} --measures {','.join(left)}"))
    if measures:
        controls = table(run.evaluation, "controls")
        left = [kind for kind in CONTROLS if kind not in controls]
        if left:
            named = ", ".join(CONTROLS[kind] for kind in left)
            done = ",".join(name for name in measures if name in MEASURES) or "knn"
            command = f"deepinfomax evaluate {folder} --measures {done} --controls {','.join(left)}"
            missing.append(Missing(f"Controls: {named}.", command))
        gaps: dict[str, list[str]] = {}
        for comparison in found:
            for row in comparison.rows:
                for level, cell in row.cells.items():
                    if cell is None and (row.kind == "trained" or row.kind in controls):
                        whose = row.name if level == WHOLE else f"{row.name} on {level}"
                        gaps.setdefault(whose, []).append(comparison.title)
        if gaps:
            named = "; ".join(f"{whose} ({', '.join(titles)})" for whose, titles in gaps.items())
            of = ",".join(c.measure for c in found)
            missing.append(Missing(f"Single figures: {named}.", f"deepinfomax evaluate {folder} --measures {of}"))
    if run.gallery is None or run.sample is None:
        what = [name for name, part in (("neighbours", run.gallery), ("a sample of y", run.sample)) if part is None]
        missing.append(Missing(f"The sheet: {' and '.join(what)}.", f"deepinfomax neighbours {folder}"))
    return missing


def _title(measure: str) -> str:
    if measure in ACCURACIES:
        return ACCURACIES[measure][0]
    return QUANTITIES[measure][0] if measure in QUANTITIES else measure
