"""`evaluate`: every measure asked for, at every level, beside its controls -> evaluation.json."""

import hashlib
import importlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn

from deepinfomax.data.images import ImageSet
from deepinfomax.errors import UserError
from deepinfomax.evaluation import controls as controlling
from deepinfomax.evaluation.draws import seeded, stream
from deepinfomax.evaluation.embeddings import Embeddings, EmbeddingsOfY, checked, embed, read_embeddings
from deepinfomax.evaluation.few_labels import LabelBudget, check_folds, mean_over_draws, parse_measure_name
from deepinfomax.evaluation.frozen import fingerprint, on_device, unchanged
from deepinfomax.evaluation.labels import check_attributes, check_labels
from deepinfomax.evaluation.measure import as_json
from deepinfomax.evaluation.old import LEAST, check_counts
from deepinfomax.evaluation.record import Record, describe
from deepinfomax.evaluation.scales import Scale, check_scale
from deepinfomax.features import LEVELS
from deepinfomax.progress import say, shown
from deepinfomax.seeds import check_seed

#: Measures of features (N, units) with labels, at each level and of pixels: name -> module and function.
PROBES = {
    "mlp": "mlp.mlp",
    "linear": "linear.linear",
    "knn": "knn.knn",
    "svm": "svm.svm",
    "attributes": "attributes.attributes",
}
#: Those that can be taken with few labels: NAME_N_per_class, NAME_P_percent, NAME_folds. The MLP's schedule is in
#: epochs, which a few labels make too short to mean anything.
FEW = ("linear", "knn", "svm", "semi_supervised")
FEW_SAYS = "linear_10_per_class, linear_1_percent, linear_folds"
#: Measures of an encoder as a whole: name -> module, with a function `measure`.
WHOLES = {
    "semi_supervised": "semi_supervised",
    "reconstruction": "reconstruction",
    "rank": "rank",
    "mine": "mine",
    "ndm": "ndm",
}
#: What a split column calls the two sets, in any case.
TRAIN_WORDS, TEST_WORDS = ("train", "training"), ("test", "testing")
NEED_LABELS = (*PROBES, "semi_supervised")
MEASURES = (*PROBES, *WHOLES)


def evaluate(
    encoder: nn.Module,
    train: ImageSet,
    test: ImageSet,
    *,
    measures: Sequence[str] = ("mlp", "linear", "knn"),
    levels: Sequence[str] = LEVELS,
    controls: Sequence[str] = ("pixels", "pixels_pca", "random_encoder"),
    scale: Scale = "cpu",
    seed: int = 0,
    device: torch.device | str | None = None,
    out: Path | None = None,
    make_encoder: Callable[[], nn.Module] | None = None,
    supervised_steps: int | None = None,
    folds: Sequence[np.ndarray] = (),
    notes: Sequence[str] = (),
    quiet: bool = False,
) -> dict[str, Any]:
    """Measure a frozen encoder, each figure beside its controls, obtained by the same probe.

    The file at `out` is written after every figure and continued where it has the same data, encoder, scale and seed,
    so that a killed evaluation keeps what it finished; figures of other folds and a supervised control of other steps
    are measured anew. Images labelled -1 have no label and are left out. Memory: the embeddings of one encoder at the
    levels asked for (4 bytes a unit and image, see `embed`), and one standardised copy of one level; then y alone,
    which measures of the whole encoder share (see `EmbeddingsOfY`).

    Args:
        measures: of `MEASURES`; linear, knn, svm and semi_supervised also with few labels: linear_10_per_class,
            linear_1_percent (any number), linear_folds.
        levels: of conv, fc, y; for the measures of features.
        controls: of pixels, pixels_pca, random_encoder, supervised. The first three go with measures of features;
            random_encoder with every measure.
        scale: "smoke", "cpu" or "paper": how long the probes are trained.
        out: evaluation.json; None: nothing is written.
        make_encoder: builds a fresh encoder of the same architecture, for the controls random_encoder and supervised.
        supervised_steps: of the supervised control; None: by scale.
        folds: positions of the labelled training images that each fold has, for measures that end in _folds.
        notes: what a reader of the figures should know besides.

    Returns:
        the contents of evaluation.json: schema, data, encoder, scale, seed, measures, controls, notes. Measures of
        features are {level: {"accuracy": fraction, "std": ..., ...}}, those of pixels without the level.

    Raises:
        UserError: unknown names or none, no labels where they are needed, labels of the wrong number or of one class
            only, features that are not finite, a control that cannot be had.
        EncoderChanged: a measure has altered the encoder it should only look at.
    """
    check_scale(scale)
    seed = check_seed(seed)
    _check_names(measures, levels, controls, make_encoder)
    if supervised_steps is not None and supervised_steps < 1:
        raise UserError(f"supervised_steps must be 1 or more, not {supervised_steps}")
    _check_sets(train, test, measures, controls)
    _check_folds(measures, folds, train.labels)
    _check_pixels(train, test, measures)
    used = [_used(images) for images in (train, test)]
    for measure in measures:
        check_counts(measure, parse_measure_name(measure)[0], *(len(labels) for labels in used))
    if train.labels is not None and test.labels is not None:
        _check_classes([*measures, *controls], used[0], used[1], seed, folds)
        if "attributes" in measures:
            check_attributes(*used)
    head = {
        "data": {"train": describe(train), "test": describe(test)},
        "encoder": {"fingerprint": fingerprint(encoder)[:16]},
        "scale": scale,
        "seed": seed,
    }
    console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
    record = Record(head, out, partial(console.print, markup=False))
    for note in notes:
        record.note(note)
    train, test = (_labelled(images, which, record) for images, which in ((train, "training"), (test, "test")))
    work = _Work(record, console, scale, seed, device or "cpu", folds)

    of_features = [m for m in measures if parse_measure_name(m)[0] in PROBES]
    of_wholes = [m for m in measures if parse_measure_name(m)[0] in WHOLES]
    _subject(work, ("measures",), encoder, train, test, of_features, of_wholes, levels, out and out.parent)
    paths = [("controls", kind, m) for kind in controls if kind.startswith("pixels") for m in of_features]
    if any(not work.has(path) for path in paths):
        with work.doing("pixels"):
            raw = controlling.pixels(train), controlling.pixels(test)
        if "pixels" in controls:
            _probes(work, ("controls", "pixels"), *raw, train, test, of_features)
        if "pixels_pca" in controls and any(not work.has(("controls", "pixels_pca", m)) for m in of_features):
            units = embed(encoder, train.take(slice(0, 1)), levels=("y",), device=device)["y"].shape[1]
            with work.doing(f"{units} principal components of pixels"):
                reduced = controlling.pixels_pca(*raw, units, seed)
            _probes(
                work, ("controls", "pixels_pca"), *reduced, train, test, of_features, components=reduced[0].shape[1]
            )
        del raw
    if "random_encoder" in controls:
        assert make_encoder is not None
        with work.doing("random encoder"):
            fresh = controlling.random_encoder(make_encoder, train, seed=seed, device=device or "cpu")
        _subject(work, ("controls", "random_encoder"), fresh, train, test, of_features, of_wholes, levels, None)
    if "supervised" in controls:
        assert make_encoder is not None
        counts = list(dict.fromkeys(few for m in measures if (few := parse_measure_name(m)[1]) is not None))
        _supervised(work, make_encoder, train, test, counts, supervised_steps)
    record.write()
    return record.contents


def evaluate_embeddings(
    source: str | Path | Embeddings,
    *,
    measures: Sequence[str] = ("mlp", "linear", "knn"),
    scale: Scale = "cpu",
    seed: int = 0,
    device: torch.device | str | None = None,
    out: Path | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """The measures of features, of any embeddings: a file (.npz, .npy, .parquet) or arrays, whoever made them.

    Where `split` does not say which rows are for training and which for testing, a fifth of each class, drawn by
    `seed`, is for testing; without labels, when only rank can be measured, all rows are. Rows of other splits are left
    out, with a note. Labels (N, 1) are classes, except for `attributes`. Rows labelled -1, NaN or "" have no label and
    are left out, with a note; `out` is continued as `evaluate` does.

    Returns:
        as `evaluate`, with {"accuracy": ...} of each measure directly, and no controls.

    Raises:
        UserError: no labels, no measures, unknown ones, or those that need images.
    """
    check_scale(scale)
    seed = check_seed(seed)
    if not measures:
        raise UserError(f"there is nothing to measure; choose of {', '.join(PROBES)}, rank")
    if any(_of_few_labels(m) and m.endswith("_folds") for m in measures):
        raise UserError("a file of embeddings has no folds: measure linear_10_per_class or linear_1_percent")
    known = [m for m in measures if m == "rank" or m in PROBES or _of_few_labels(m)]
    if len(known) < len(measures):
        odd = next(m for m in measures if m not in known)
        raise UserError(f"{odd!r} cannot be measured on embeddings; choose of {', '.join(PROBES)}, rank")
    found = checked(source, "embeddings") if isinstance(source, Embeddings) else read_embeddings(source)
    name = "embeddings" if isinstance(source, Embeddings) else Path(source).name
    # Any encoder may have made these; what identifies them is their bytes.
    identity = _digest(found.vectors)
    of_labels = _digest(*(column for column in (found.labels, found.split) if column is not None))
    notes = list(found.notes)
    if found.labels is not None and found.labels.shape[1:] == (1,) and "attributes" not in measures:
        found = found._replace(labels=found.labels[:, 0])
    found, left_out = _rows_with_labels(found)
    if left_out:
        notes.append(f'{left_out:,} embeddings have no label (-1, NaN or "") and were left out')
    if found.labels is None and any(m != "rank" for m in measures):
        raise UserError(f"{name} has no labels, so only rank can be measured: --measures rank, or call them `label`")
    labels = found.labels
    train_rows, test_rows, how, others = _split(found, seed)
    if others:
        notes.append(others)
    if len(test_rows) == 0 or (len(train_rows) == 0 and any(m != "rank" for m in measures)):
        raise UserError(
            f"{name} leaves {len(train_rows)} rows for training and {len(test_rows)} for testing"
            + (f"; {others}" if others else "")
        )
    for measure in measures:
        check_counts(measure, parse_measure_name(measure)[0], len(train_rows), len(test_rows))
    vectors = torch.from_numpy(found.vectors)
    flat = labels[:, 0] if labels is not None and labels.shape[1:] == (1,) else labels
    if labels is not None and flat is not None:
        if "attributes" in measures and labels.ndim == 1:
            raise UserError("attributes needs labels (N, K) of 0 and 1, one column each; for classes use linear")
        _check_classes(measures, flat[train_rows], flat[test_rows], seed)
        if "attributes" in measures:
            check_attributes(labels[train_rows], labels[test_rows])
    data = {"name": name, "units": vectors.shape[1], "split": how}
    data |= {"train": {"count": len(train_rows)}, "test": {"count": len(test_rows)}, "labels": of_labels}
    console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
    record = Record(
        {"data": data, "encoder": {"fingerprint": identity}, "scale": scale, "seed": seed},
        out,
        partial(console.print, markup=False),
    )
    work = _Work(record, console, scale, seed, device or "cpu")
    for note in notes:
        record.note(note)
    x, x_test = vectors[train_rows], vectors[test_rows]
    if labels is not None and flat is not None:
        for measure in (m for m in measures if m != "rank"):
            given = labels if measure == "attributes" else flat
            sets = (_bare(given[train_rows], name), _bare(given[test_rows], name))
            _probes(work, ("measures",), x, x_test, *sets, [measure])
    if "rank" in measures:
        of_vectors = _function("rank.of_vectors")
        work.measure(("measures", "rank"), lambda: of_vectors(x_test, scale=scale, seed=seed))
    record.write()
    return record.contents


class _Work:
    """What every step of one evaluation needs: where figures go, what a person sees, how long to train."""

    def __init__(
        self,
        record: Record,
        console: Console,
        scale: Scale,
        seed: int,
        device: torch.device | str,
        folds: Sequence[np.ndarray] = (),
    ) -> None:
        self.record, self.console, self.scale, self.seed, self.device = record, console, scale, seed, device
        self.folds = folds
        self._of_folds = {"folds": _digest(*(np.asarray(fold, dtype=np.int64) for fold in folds))}

    def identity(self, path: tuple[str, ...]) -> dict[str, Any]:
        """What a figure has of its own beyond what the whole file agrees in."""
        return self._of_folds if any(p == "folds" or p.endswith("_folds") for p in path) else {}

    def has(self, path: tuple[str, ...]) -> bool:
        return self.record.has(path, **self.identity(path))

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Shown while it runs; a line when it is done."""
        began = time.perf_counter()
        with shown(what, self.console):
            yield
        self.console.print(f"{what}: {time.perf_counter() - began:.1f} s", markup=False)

    def measure(self, path: tuple[str, ...], compute: Callable[[], Any], **more: Any) -> None:
        """Compute one figure and write it, unless it is there already; `compute` says how far it is."""
        if self.has(path):
            return
        what = " ".join(path[1:])
        with shown(what, self.console):
            found = as_json(compute()) | more | self.identity(path)
        remarks = _remarks(found)
        for remark in remarks:
            self.record.note(f"{what}: {remark}")
        self.record.put(path, found)
        self.console.print("\n".join([f"{what}: {_headline(found)}", *(f"  {r}" for r in remarks)]), markup=False)


def _subject(
    work: _Work,
    path: tuple[str, ...],
    encoder: nn.Module,
    train: ImageSet,
    test: ImageSet,
    of_features: Sequence[str],
    of_wholes: Sequence[str],
    levels: Sequence[str],
    folder: Path | None,
) -> None:
    """All measures of one encoder; a level is embedded only when a figure of it is missing."""
    y_of = EmbeddingsOfY(encoder, work.device, train, test)
    missing = [v for v in levels if any(not work.has((*path, m, v)) for m in of_features)]
    if missing:
        with work.doing(f"{' '.join(path[1:]) or 'encoder'}: embedding {len(train) + len(test):,} images"):
            x, x_test = (embed(encoder, s, levels=missing, device=work.device, progress=say) for s in (train, test))
        if "y" in missing:
            y_of.keep(train, x["y"])
            y_of.keep(test, x_test["y"])
        for level in missing:
            _probes(work, path, x.pop(level), x_test.pop(level), train, test, of_features, level=level)
    for name in of_wholes:
        base, few = parse_measure_name(name)
        measure = _function(f"{WHOLES[base]}.measure")
        settings: dict[str, Any] = {"scale": work.scale, "seed": work.seed, "device": work.device}
        if base == "reconstruction":
            settings["folder"] = folder
        if base != "semi_supervised":
            settings["y_of"] = y_of
        if few is not None:
            settings |= {"budget": few, "folds": work.folds}

        if base == "rank":
            settings["progress"] = say

        def compute(measure: Any = measure, settings: dict[str, Any] = settings) -> Any:
            with on_device(encoder, work.device), unchanged(encoder):
                return measure(encoder, train, test, **settings)

        work.measure((*path, name), compute)


def _probes(
    work: _Work,
    path: tuple[str, ...],
    x: Tensor,
    x_test: Tensor,
    train: ImageSet,
    test: ImageSet,
    names: Sequence[str],
    level: str | None = None,
    **more: Any,
) -> None:
    for name in names:
        base, few = parse_measure_name(name)
        probe = _function(PROBES[base])
        arguments = (x, train.labels, x_test, test.labels)
        settings: dict[str, Any] = {"scale": work.scale, "seed": work.seed, "device": work.device}
        if few is not None:
            probe, settings = partial(mean_over_draws, probe), settings | {"budget": few, "folds": work.folds}

        def compute(probe: Any = probe, arguments: Any = arguments, settings: Any = settings) -> Any:
            return probe(*arguments, **settings)

        work.measure((*path, name, *([] if level is None else [level])), compute, **more)


def _supervised(
    work: _Work,
    make_encoder: Callable[[], nn.Module],
    train: ImageSet,
    test: ImageSet,
    counts: Sequence[LabelBudget],
    steps: int | None,
) -> None:
    """The same architecture trained on all labels, and on as few as the measures with few labels have."""
    path = ("controls", "supervised")
    steps = controlling.SUPERVISED_STEPS[work.scale] if steps is None else steps

    def trained(part: ImageSet, steps: int, what: str) -> dict[str, Any]:
        with seeded_encoder(make_encoder, work.seed) as fresh, work.doing(what):
            return controlling.train_supervised(
                fresh,
                part,
                test,
                steps=steps,
                scale=work.scale,
                seed=work.seed,
                device=work.device,
                progress=say,
            )

    if not work.record.has(path, steps=steps):
        found = trained(train, steps, "supervised")
        work.record.put(path, found, beside=True)  # those with few labels stand beside it
        work.console.print(f"supervised: {_headline(found)}", markup=False)
    # So few images are learnt by heart long before the full number of steps.
    limit = min(steps, 100)
    for few in counts:
        own = work.identity((*path, few.name))
        if work.record.has((*path, few.name), steps=limit, **own):
            continue
        assert train.labels is not None
        (index, *_), _says = few.draw(train.labels, draws=1, seed=work.seed, folds=work.folds)
        part = train.take(index.numpy())
        work.record.put((*path, few.name), trained(part, limit, f"supervised, {few.name.replace('_', ' ')}") | own)


@contextmanager
def seeded_encoder(make_encoder: Callable[[], nn.Module], seed: int) -> Iterator[nn.Module]:
    """A fresh encoder whose initialisation follows `seed`."""
    with seeded(seed):
        encoder = make_encoder()
    yield encoder


def _function(name: str) -> Any:
    """A measure, imported when it is asked for: each brings its own libraries."""
    module, function = name.split(".")
    return getattr(importlib.import_module(f"deepinfomax.evaluation.{module}"), function)


def figure(found: dict[str, Any]) -> tuple[str, str] | None:
    """The one figure of a measure that a person reads first, as its name and its value with what belongs to it.

    A bound in nats comes with its standard error; the rank of a representation that has collapsed says so.
    """
    for name in ("accuracy", "mean_average_precision", "ms_ssim", "ssim", "nats", "effective_rank"):
        value = found.get(name)
        if not isinstance(value, int | float):
            continue
        if name == "nats":
            error = found.get("standard_error")
            return name, f"{value:.2f}" + (f" ± {error:.2f}" if isinstance(error, int | float) else "")
        return name, f"{value:.3f}" + (" COLLAPSED" if found.get("collapsed") else "")
    return None


def _headline(found: dict[str, Any]) -> str:
    """The figure of a measure and its seconds, for a person."""
    name, value = figure(found) or ("", "done")
    spread = "" if found.get("std") is None else f" ± {found['std']:.3f}"
    shown = f"{value} nats" if name == "nats" else f"{name.replace('_', ' ')} {value}{spread}".strip()
    return f"{shown} ({found.get('seconds', 0):.1f} s)"


def _remarks(found: dict[str, Any]) -> list[str]:
    """What a person should know before believing the figures of a measure."""
    remarks = []
    if constant := found.get("constant_units"):
        remarks.append(f"{constant} units are the same for every training image and were set to 0")
    if found.get("collapsed"):
        remarks.append(
            f"y HAS COLLAPSED: its effective rank is {found['effective_rank']:.1f} of {found['units']}, the mean "
            f"cosine between two images {found['mean_cosine']:.3f}"
        )
    for suffix in ("", "_sigmoid"):
        if warning := found.get(f"warning{suffix}"):
            remarks.append(f"warning{suffix.replace('_', ' of the ')}: {warning}")
    return remarks


def _check_names(
    measures: Sequence[str], levels: Sequence[str], controls: Sequence[str], make_encoder: Callable | None
) -> None:
    for name in measures:
        base, few = parse_measure_name(name)
        if name not in MEASURES and (few is None or base not in FEW):
            raise UserError(f"unknown measure {name!r}; choose of {', '.join(MEASURES)}, {FEW_SAYS}")
    for kind, given, known in (("level", levels, LEVELS), ("control", controls, controlling.CONTROLS)):
        for name in given:
            if name not in known:
                raise UserError(f"unknown {kind} {name!r}; choose of {', '.join(known)}")
    if not measures and "supervised" not in controls:
        raise UserError(f"there is nothing to measure; choose of {', '.join(MEASURES)}, {FEW_SAYS}")
    if not levels and any(parse_measure_name(m)[0] in PROBES for m in measures):
        raise UserError(f"there is no level to measure at; choose of {', '.join(LEVELS)}")
    needed = [c for c in controls if c in ("random_encoder", "supervised")]
    if needed and make_encoder is None:
        raise UserError(
            f"the control {needed[0]} needs an encoder of the same shape, which cannot be built for a wrapped module: "
            "leave it out of the controls, or pass make_encoder in Python"
        )


def _check_sets(train: ImageSet, test: ImageSet, measures: Sequence[str], controls: Sequence[str]) -> None:
    wanting = [m for m in measures if parse_measure_name(m)[0] in NEED_LABELS]
    wanting += [c for c in controls if c == "supervised"]
    for which, images in (("training", train), ("test", test)):
        name = images.name or "the data"
        if len(images) == 0:
            raise UserError(f"{name} has no {which} images to measure on")
        if images.labels is not None and len(images.labels) != len(images):
            raise UserError(
                f"{name} has {len(images.labels):,} labels for {len(images):,} {which} images; give one for each"
            )
        if wanting and (images.labels is None or (images.labels == -1).all()):
            free = [m for m in MEASURES if m not in NEED_LABELS]
            raise UserError(
                f"{name} has no {which} labels, which {', '.join(wanting)} need; without labels: "
                f"--measures {','.join(free)}"
            )
    if train.images.shape[1:] != test.images.shape[1:]:
        shapes = ["x".join(map(str, s.images.shape[1:])) for s in (train, test)]
        raise UserError(f"training images are {shapes[0]} and test images {shapes[1]}; resize one to the other")
    if wanting and train.labels is not None and test.labels is not None:
        multi = train.labels.ndim > 1
        single = [m for m in wanting if m != "attributes"]
        if multi and single:
            raise UserError(
                f"labels are {train.labels.shape[1]} attributes an image, which {', '.join(single)} cannot use; "
                "use --measures attributes"
            )
        if not multi and "attributes" in wanting:
            raise UserError("attributes needs labels (N, K) of 0 and 1, one column each; for classes use linear")


def _check_folds(measures: Sequence[str], folds: Sequence[np.ndarray], labels: np.ndarray | None) -> None:
    """Before anything is computed, rather than after hours."""
    fews = (parse_measure_name(m)[1] for m in measures)
    if any(few is not None and few.unit == "folds" for few in fews):
        check_folds(folds, 0 if labels is None else int((labels != -1).sum()))


def _check_pixels(train: ImageSet, test: ImageSet, measures: Sequence[str]) -> None:
    """What images must be like, whatever the encoder makes of them."""
    shape = train.shape
    if "reconstruction" in measures:
        side = importlib.import_module("deepinfomax.evaluation.reconstruction").KERNEL
        if len(shape) != 3 or min(shape[1:]) <= side:
            raise UserError(
                f"reconstruction needs images with sides above {side} pixels, not {'x'.join(map(str, shape))}"
            )
    for which, images in (("training", train), ("test", test)):
        if images.images.dtype.kind != "f":
            continue
        largest, bad = 0.0, 0
        for start in range(0, len(images), 1000):  # a memory map is not read at once
            with np.errstate(over="ignore"):
                part = np.asarray(images.images[start : start + 1000], dtype=np.float32).reshape(
                    -1, images.images[0].size
                )
            bad += int((~np.isfinite(part).all(1)).sum())
            largest = max(largest, float(np.abs(part).max()))
        name = images.name or "the data"
        if bad:
            raise UserError(
                f"{name} has {bad:,} {which} images with values that are not finite in float32 (NaN or infinity): "
                "leave them out"
            )
        if "reconstruction" in measures and largest > 1.001:  # room for rounding
            raise UserError(
                f"reconstruction needs values in [-1, 1], and {name} has {which} images of values up to {largest:.3g}: "
                "scale them"
            )


def _used(images: ImageSet) -> np.ndarray:
    """The labels of the images that `_labelled` keeps; -1 for each image of a set without labels."""
    if images.labels is None:
        return np.full(len(images), -1)
    if images.labels.ndim > 1 or (images.labels == -1).all():
        return images.labels
    return images.labels[images.labels != -1]


def _check_classes(
    names: Sequence[str], train: np.ndarray, test: np.ndarray, seed: int, folds: Sequence[np.ndarray] = ()
) -> None:
    """Labels that the measures, and the supervised control, among `names` can use; few labels, as they are drawn."""
    for name in names:
        base, few = parse_measure_name(name)
        if base == "attributes" or base not in (*NEED_LABELS, "supervised"):
            continue
        check_labels(train, test)
        if few is None:
            continue
        least = max(2, LEAST.get(base, (2, 1))[0])
        for part in few.draw(train, draws=1, seed=seed, folds=folds)[0]:
            seen = train[part.numpy()]
            if len(seen) < least:
                raise UserError(f"{name} sees {len(seen):,} labels, and {base} needs {least} or more: give it more")
            if len(np.unique(seen)) < 2:
                raise UserError(f"{name} sees labels of one class only, {seen[0]}: a probe needs two classes or more")


def _labelled(images: ImageSet, which: str, record: Record) -> ImageSet:
    """The set without the images labelled -1, said in a note; a set without any label as it is."""
    if images.labels is None or images.labels.ndim > 1 or (images.labels == -1).all():
        return images
    has = images.labels != -1
    if has.all():
        return images
    record.note(f"{int((~has).sum()):,} {which} images have no label (-1) and were left out")
    return images.take(np.flatnonzero(has))


def _rows_with_labels(found: Embeddings) -> tuple[Embeddings, int]:
    """The embeddings that have a label, and how many have none; where none has one, all of them as unlabelled."""
    if found.labels is None or found.labels.ndim > 1:
        return found, 0
    has = has_label(found.labels)
    if not has.any():
        return found._replace(labels=None), 0
    split = None if found.split is None else np.asarray(found.split)[has]
    return Embeddings(found.vectors[has], found.labels[has], split), int((~has).sum())


def has_label(labels: np.ndarray) -> np.ndarray:
    """Labels (N,) of any kind -> (N,) bool: which are neither -1, nor NaN, nor empty words."""
    return np.array([v not in (None, -1, "", b"") and v == v for v in np.asarray(labels).tolist()], dtype=bool)


def _digest(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        plain = np.asarray(array).astype(str) if np.asarray(array).dtype == object else np.ascontiguousarray(array)
        digest.update(f"{plain.dtype} {plain.shape}".encode() + plain.tobytes())
    return digest.hexdigest()[:16]


def _of_few_labels(measure: str) -> bool:
    base, few = parse_measure_name(measure)
    return few is not None and base in PROBES and base in FEW


def _split(found: Embeddings, seed: int) -> tuple[np.ndarray, np.ndarray, str, str]:
    """Rows for training, rows for testing, whose split it is, and what the file's leaves out, "" where nothing."""
    if found.split is not None:
        said = [_word(value) for value in found.split.tolist()]
        parts = [np.flatnonzero(np.isin(said, names)) for names in (TRAIN_WORDS, TEST_WORDS)]
        others = [word for word in said if word not in (*TRAIN_WORDS, *TEST_WORDS)]
        names = ", ".join(sorted(set(others))[:5])
        left_out = f"{len(others):,} embeddings are of other splits ({names}) and were left out" if others else ""
        return parts[0], parts[1], "the file's", left_out
    if found.labels is None:  # nothing is trained
        return np.arange(0), np.arange(len(found.vectors)), "all rows, without labels", ""
    rng = stream(seed, "split")
    labels = np.zeros(len(found.vectors))
    if found.labels.ndim == 1 or found.labels.shape[1] == 1:
        labels = found.labels.reshape(-1)
    groups = [rng.permutation(np.flatnonzero(labels == c)) for c in np.unique(labels)]
    test = np.sort(np.concatenate([g[: -(-len(g) // 5) if len(g) > 1 else 0] for g in groups]))
    train = np.setdiff1d(np.arange(len(found.vectors)), test)
    return train, test, f"a fifth of each class for testing, drawn by seed {seed}", ""


def _word(value: Any) -> str:
    """A value of a split column, whoever wrote it."""
    word = value.decode(errors="replace") if isinstance(value, bytes) else "" if value is None else str(value)
    return word.strip().casefold() or "none"


def _bare(labels: np.ndarray, name: str) -> ImageSet:
    """Labels as an image set without pixels, for the probes, which look at nothing else."""
    return replace(ImageSet(np.empty((len(labels), 0, 0, 0), np.uint8)), labels=labels, name=name)
