"""`evaluate`: every measure asked for, at every level, beside its controls -> evaluation.json."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from deepinfomax.data.channels import Channels
from deepinfomax.data.images import ImageSet
from deepinfomax.data.in_memory import as_images
from deepinfomax.encoders.storage import weights_digest
from deepinfomax.errors import UserError
from deepinfomax.evaluation import checks, split
from deepinfomax.evaluation import controls as controlling
from deepinfomax.evaluation.draws import sample, seeded, stream
from deepinfomax.evaluation.embeddings import embed
from deepinfomax.evaluation.few_labels import LabelBudget
from deepinfomax.evaluation.frozen import fingerprint
from deepinfomax.evaluation.measures import measure_called
from deepinfomax.evaluation.record import describe
from deepinfomax.evaluation.running import VALUES_AT_ONCE, Evaluation
from deepinfomax.evaluation.scales import Scale, check_scale
from deepinfomax.evaluation.shared_embedding import SharedEmbedding
from deepinfomax.evaluation.usual import usual_measures
from deepinfomax.features import LEVELS
from deepinfomax.seeds import check_seed


def evaluate(
    encoder: nn.Module,
    train: Any,
    test: Any,
    *,
    measures: Sequence[str] | None = None,
    levels: Sequence[str] = LEVELS,
    controls: Sequence[str] = ("pixels", "pixels_pca", "random_encoder"),
    scale: Scale = "cpu",
    seed: int = 0,
    device: torch.device | str | None = None,
    out: Path | None = None,
    make_encoder: Callable[[], nn.Module] | None = None,
    supervised_steps: int | None = None,
    supervised_batches: tuple[int, int] = (128, 128),
    folds: Sequence[np.ndarray] = (),
    notes: Sequence[str] = (),
    options: Sequence[str] = (),
    quiet: bool = False,
    shared: SharedEmbedding | None = None,
) -> dict[str, Any]:
    """Measure a frozen encoder, each figure beside its controls, obtained by the same probe.

    The file at `out` is written after every figure and continued where it has the same data, encoder, scale and seed,
    so that a killed evaluation keeps what it finished; figures of other folds and a supervised control of other steps
    are measured anew. Images labelled -1 have no label and are left out. Memory: the embeddings of one encoder at the
    levels asked for (4 bytes a unit and image, see `embed`), one level after the other where all are more than
    `VALUES_AT_ONCE`, and one standardised copy of one level; then y alone, which measures of the whole encoder share
    (see `EmbeddingsOfY`). Of pixels that are more than `VALUES_AT_ONCE` numbers a sample is measured, said in a note.

    Args:
        train, test: an `ImageSet` each, or what `data.as_images` takes, such as a pair (images, labels).
        measures: names in `measures.MEASURES`; some also with few labels: linear_10_per_class,
            linear_1_percent (any number), linear_folds. None: mlp, linear and knn for classes, attributes for
            attributes, and without labels reconstruction, rank, mine, decoding, ndm and distribution, where there are
            images enough.
        levels: of conv, fc, y; for the measures of features.
        controls: of pixels, pixels_pca, random_encoder, supervised. The first three go with measures of features;
            random_encoder with every measure.
        scale: "smoke", "cpu" or "paper": how long the probes are trained.
        out: evaluation.json; None: nothing is written.
        make_encoder: builds a fresh encoder of the same architecture, for the controls random_encoder and supervised.
        supervised_steps: of the supervised control; None: by scale.
        supervised_batches: images of a batch of the supervised control, with all labels and with few.
        folds: positions of the labelled training images that each fold has, for measures that end in _folds.
        notes: what a reader of the figures should know besides.
        options: with which `deepinfomax evaluate` reads the same images again, for the commands that the report
            names: ("data.holdout", "0.2").
        shared: the processes that embed together; all of them call this. The first one measures, and the others return
            nothing when it has done so.

    Returns:
        the contents of evaluation.json: schema, data, encoder, scale, seed, weights, measures, controls, notes.
        Measures of features are {level: {"accuracy": fraction, "std": ..., ...}}, those of pixels without the level.

    Raises:
        UserError: unknown names or none, no labels where they are needed, labels of the wrong number or of one class
            only, features that are not finite, a control that cannot be had.
        EncoderChanged: a measure has altered the encoder it should only look at.
    """
    check_scale(scale)
    seed = check_seed(seed)
    train, test = as_images(train), as_images(test)
    if measures is None:
        measures, said = usual_measures(train, test, lambda: _units_of_y(encoder, train, device))
        notes = [*notes, *said]
    checks.check_names(measures, levels, controls, make_encoder)
    test = split.with_classes_of(train, test)
    if supervised_steps is not None and supervised_steps < 1:
        raise UserError(f"supervised_steps must be 1 or more, not {supervised_steps}")
    checks.check_sets(train, test, measures, controls)
    checks.check_folds_of(measures, folds, train.labels)
    checks.check_pixels(train, test, measures)
    used, used_in_test = _used_labels(train), _used_labels(test)
    for name in measures:
        measure_called(name)[0].check_counts(len(used), len(used_in_test), name)
    if train.labels is not None and test.labels is not None:
        names = max(train.classes, test.classes, key=len)
        checks.check_classes([*measures, *controls], used, used_in_test, seed, folds, names)
        if (used != -1).any() and (used_in_test != -1).any():
            few = split.small_classes(used, (measure_called(name)[1] for name in measures), names)
            notes = [*notes, *split.remarks(used, used_in_test, names), *few]
    evaluation = Evaluation(
        {
            "data": {"train": describe(train), "test": describe(test)},
            "encoder": {"fingerprint": fingerprint(encoder)[:16]},
            "scale": scale,
            "seed": seed,
            "weights": weights_digest(encoder),
            **({"options": list(options)} if options else {}),
        },
        out if shared is None or shared.first else None,
        scale=scale,
        seed=seed,
        device=device or "cpu",
        notes=[*notes, *split.in_both(train.images, test.images)],
        folds=folds,
        quiet=quiet,
        embed=embed if shared is None else shared.embed,
    )
    train, test = _with_labels(train, "training", evaluation), _with_labels(test, "test", evaluation)
    if shared is not None:
        shared.sets = (train, test)
        if not shared.first:
            shared.help(encoder, evaluation.device)
            return {}
    folder = None if out is None else out.parent
    evaluation.measure_encoder(measures, ("measures",), encoder, train, test, levels, folder)
    of_features = [name for name in measures if measure_called(name)[0].of == "features"]
    _measure_pixels(evaluation, encoder, train, test, of_features, controls)
    if "random_encoder" in controls:
        assert make_encoder is not None
        with evaluation.doing("random encoder"):
            fresh = controlling.random_encoder(make_encoder, train, seed=seed, device=evaluation.device)
        evaluation.measure_encoder(measures, ("controls", "random_encoder"), fresh, train, test, levels, None)
    if "supervised" in controls:
        assert make_encoder is not None
        asked = (measure_called(name)[1] for name in measures)
        budgets = list(dict.fromkeys(budget for budget in asked if budget is not None))
        _train_supervised(evaluation, make_encoder, train, test, budgets, supervised_steps, supervised_batches)
    if shared is not None:
        shared.end()
    evaluation.record.write()
    return evaluation.record.contents


def _measure_pixels(
    evaluation: Evaluation,
    encoder: nn.Module,
    train: ImageSet,
    test: ImageSet,
    names: Sequence[str],
    controls: Sequence[str],
) -> None:
    """The measures of features, of raw pixels and of as many principal components of them as y has units."""
    kinds = [kind for kind in controls if kind in ("pixels", "pixels_pca")]
    missing = {kind for kind in kinds for name in names if not evaluation.has(("controls", kind, name))}
    if not missing:
        return
    train, test, names = _few_enough(evaluation, train, test, names)
    if not names:
        return
    labels = (train.labels, test.labels)
    with evaluation.doing("pixels"):
        channels = Channels.to_compare(train)  # one in large units would be all that a distance sees
        raw = controlling.pixels(train, channels), controlling.pixels(test, channels)
    if "pixels" in kinds:
        evaluation.measure_features(names, ("controls", "pixels"), raw[0], labels[0], raw[1], labels[1])
    if "pixels_pca" in missing:
        units = _units_of_y(encoder, train, evaluation.device)
        with evaluation.doing(f"{units} principal components of pixels"):
            reduced = controlling.pixels_pca(*raw, units, evaluation.seed)
        sets = (reduced[0], labels[0], reduced[1], labels[1])
        evaluation.measure_features(names, ("controls", "pixels_pca"), *sets, components=reduced[0].shape[1])


def _units_of_y(encoder: nn.Module, images: ImageSet, device: torch.device | str | None) -> int:
    return embed(encoder, images.take(slice(0, 1)), levels=("y",), device=device)["y"].shape[1]


def _few_enough(
    evaluation: Evaluation, train: ImageSet, test: ImageSet, names: Sequence[str]
) -> tuple[ImageSet, ImageSet, Sequence[str]]:
    """The same sets, or a sample of both where their pixels are more than `VALUES_AT_ONCE`, said in a note.

    The folds of a data set name images by their places, so measures of folds are left out with a sample.
    """
    values = (len(train) + len(test)) * math.prod(train.shape)
    if values <= VALUES_AT_ONCE:
        return train, test, names
    share, rng = VALUES_AT_ONCE / values, stream(evaluation.seed, "pixels")
    few, few_in_test = (sample(images, max(2, int(share * len(images))), rng) for images in (train, test))
    without = [name for name in names if not name.endswith("_folds")]
    left_out = "" if len(without) == len(names) else "; without measures of folds"
    whole = f"all of them take {4 * values / 1e9:,.1f} GB as numbers{left_out}"
    evaluation.record.note(
        f"pixels are measured on {len(few):,} of {len(train):,} training images and {len(few_in_test):,} of "
        f"{len(test):,} test images, drawn by the seed: {whole}"
    )
    return few, few_in_test, without


def _train_supervised(
    evaluation: Evaluation,
    make_encoder: Callable[[], nn.Module],
    train: ImageSet,
    test: ImageSet,
    budgets: Sequence[LabelBudget],
    steps: int | None,
    batches: tuple[int, int],
) -> None:
    """The same architecture trained on all labels, and on as few as the measures with few labels have."""
    path = ("controls", "supervised")
    steps = controlling.SUPERVISED_STEPS[evaluation.scale] if steps is None else steps

    def trained(part: ImageSet, steps: int, batch_size: int, what: str) -> dict[str, Any]:
        with seeded(evaluation.seed):
            fresh = make_encoder()
        with evaluation.doing(what):
            return controlling.train_supervised(
                fresh,
                part,
                test,
                steps=steps,
                batch_size=batch_size,
                scale=evaluation.scale,
                seed=evaluation.seed,
                device=evaluation.device,
            )

    if not evaluation.record.has(path, steps=steps):
        result = trained(train, steps, batches[0], "supervised")
        evaluation.record.put(path, result, beside=True)  # those with few labels stand beside it
        evaluation.console.print(
            f"supervised: accuracy {result['accuracy']:.3f} ({result['seconds']:.1f} s)", markup=False
        )
    # So few images are learnt by heart long before the full number of steps.
    limit = min(steps, 100)
    for budget in budgets:
        own = evaluation.identity((*path, budget.name))
        if evaluation.record.has((*path, budget.name), steps=limit, **own):
            continue
        assert train.labels is not None
        (index, *_), _ = budget.draw(train.labels, draws=1, seed=evaluation.seed, folds=evaluation.folds)
        what = f"supervised, {budget.name.replace('_', ' ')}"
        result = trained(train.take(index.numpy()), limit, batches[1], what)
        evaluation.record.put((*path, budget.name), result | own)


def _used_labels(images: ImageSet) -> np.ndarray:
    """The labels of the images that `_with_labels` keeps; -1 for each image of a set without labels."""
    if images.labels is None:
        return np.full(len(images), -1)
    if images.labels.ndim > 1 or (images.labels == -1).all():
        return images.labels
    return images.labels[images.labels != -1]


def _with_labels(images: ImageSet, which: str, evaluation: Evaluation) -> ImageSet:
    """The set without the images labelled -1, said in a note; a set without any label as it is."""
    if images.labels is None or images.labels.ndim > 1 or (images.labels == -1).all():
        return images
    has_label = images.labels != -1
    if has_label.all():
        return images
    evaluation.record.note(f"{int((~has_label).sum()):,} {which} images have no label (-1) and were left out")
    return images.take(np.flatnonzero(has_label))
