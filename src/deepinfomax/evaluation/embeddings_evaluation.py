"""`evaluate_embeddings`: measure embeddings from any source."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deepinfomax.data.labels import first_fraction
from deepinfomax.errors import UserError, agreed, count_of
from deepinfomax.evaluation import checks, split
from deepinfomax.evaluation.draws import stream
from deepinfomax.evaluation.embeddings import Embeddings, checked, labels_beside, read_embeddings
from deepinfomax.evaluation.measure import Measure
from deepinfomax.evaluation.measures import MEASURES, all_measures, measure_called
from deepinfomax.evaluation.running import Evaluation, digest
from deepinfomax.evaluation.scales import Scale, check_scale
from deepinfomax.evaluation.usual import usual_measures_of_vectors
from deepinfomax.seeds import check_seed

#: what a split column calls the two sets, in any case
TRAIN_WORDS, TEST_WORDS = ("train", "training"), ("test", "testing")


def evaluate_embeddings(
    source: str | Path | Embeddings,
    *,
    measures: Sequence[str] | None = None,
    scale: Scale = "cpu",
    seed: int = 0,
    device: torch.device | str | None = None,
    out: Path | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """Take the measures of features of embeddings from any source.

    Args:
        source: a file (.npz, .npy, .parquet), or arrays. `split` says which rows are for training and for testing. Rows
            with other words are left out, with a note. Without `split` a random fifth of each class is for testing;
            without labels, when only `rank` can be measured, all rows are. Labels (N, 1) are classes, except for the
            measure `attributes`. Rows labelled -1, NaN or "" have no label and are left out, with a note.
        measures: names; None: mlp, linear and knn for classes, attributes for attributes, rank without labels.
        scale: "smoke", "cpu" or "paper": how long the probes are trained.
        seed: for the division of the rows, and for the measures.
        out: the file of figures, which is continued as by `evaluate`; None: no file.

    Returns:
        The same as `evaluate`, without levels and controls: each measure is {"accuracy": ...}.

    Raises:
        UserError: no labels; labels that are quantities; no measures, unknown ones, or those that need images.
    """
    check_scale(scale)
    seed = check_seed(seed)
    if measures is not None:
        _check_measures(measures)
    embeddings = checked(source, "embeddings") if isinstance(source, Embeddings) else read_embeddings(source)
    notes = list(embeddings.notes)
    if measures is None:
        measures = usual_measures_of_vectors(_rows_with_labels(embeddings)[0].labels)
        if embeddings.labels is None:
            notes.append(f"there are no labels: {_place_of_labels(source)} to measure more")
    records = _check_measures(measures)
    of_vectors = [name for name in measures if records[name].of == "encoder"]
    of_features = [name for name in measures if name not in of_vectors]
    name = _name(source)
    # Any encoder may have made them, so their bytes identify them.
    identity = digest(embeddings.vectors)
    of_labels = digest(*(column for column in (embeddings.labels, embeddings.split) if column is not None))
    embeddings, of_labels_left_out = _with_usable_labels(embeddings, measures, of_features, source)
    train_rows, test_rows, origin, of_other_splits = _checked_split(embeddings, records, of_features, name, seed)
    notes += of_labels_left_out + of_other_splits
    labels = embeddings.labels
    flat = labels[:, 0] if labels is not None and labels.shape[1:] == (1,) else labels
    if labels is not None and flat is not None:
        notes += _checked_classes(records, of_features, labels, flat, train_rows, test_rows, seed)
    if of_features:
        rows = embeddings.vectors[train_rows], embeddings.vectors[test_rows]
        notes += split.in_both(*rows, "embeddings", "number for number")
    data = {"name": name, "units": embeddings.vectors.shape[1], "split": origin}
    data |= {"train": {"count": len(train_rows)}, "test": {"count": len(test_rows)}, "labels": of_labels}
    evaluation = Evaluation(
        {"data": data, "encoder": {"fingerprint": identity}, "scale": scale, "seed": seed},
        out,
        scale=scale,
        seed=seed,
        device=device or "cpu",
        notes=notes,
        quiet=quiet,
    )
    vectors = torch.from_numpy(embeddings.vectors)
    x, x_test = vectors[train_rows], vectors[test_rows]
    for asked in of_features:
        own = labels if records[asked].labels == "attributes" else flat
        assert own is not None
        evaluation.measure_features([asked], ("measures",), x, own[train_rows], x_test, own[test_rows])
    for asked in of_vectors:
        function = records[asked].of_vectors
        assert function is not None

        def compute(function: Any = function) -> Any:
            return function(x_test, scale=scale, seed=seed)

        evaluation.measure(asked, ("measures", asked), compute)
    evaluation.record.write()
    return evaluation.record.contents


def _with_usable_labels(
    embeddings: Embeddings, measures: Sequence[str], of_features: Sequence[str], source: str | Path | Embeddings
) -> tuple[Embeddings, list[str]]:
    """The embeddings with the labels that the measures take, without rows that have none, and what to say of them.

    Raises:
        UserError: measures of features, and no labels or labels with fractions.
    """
    if embeddings.labels is not None and embeddings.labels.shape[1:] == (1,) and "attributes" not in measures:
        embeddings = embeddings._replace(labels=embeddings.labels[:, 0])
    labels = embeddings.labels
    if labels is not None and (fraction := first_fraction(labels)) is not None:
        if of_features:
            raise UserError(
                f"{_name(source)} has labels with fractions, such as {fraction:g}, and measures tell classes apart: "
                f"give whole numbers or words, or --measures {_of_vectors_alone()}"
            )
        embeddings = embeddings._replace(labels=None)  # a quantity of -1 is no missing label
    embeddings, left_out = _rows_with_labels(embeddings)
    if embeddings.labels is None and of_features:
        raise UserError(
            f"{_name(source)} has no labels, so only {_of_vectors_alone()} can be measured: --measures "
            f"{_of_vectors_alone()}, or {_place_of_labels(source)}"
        )
    if not left_out:
        return embeddings, []
    without = count_of(left_out, "embedding has", "embeddings have")
    return embeddings, [f'{without} no label (-1, NaN or "") and {agreed(left_out, "was", "were")} left out']


def _checked_split(
    embeddings: Embeddings, records: Mapping[str, Measure], of_features: Sequence[str], name: str, seed: int
) -> tuple[np.ndarray, np.ndarray, str, list[str]]:
    """Rows for training, rows for testing, whose split it is, and what to say of it.

    Raises:
        UserError: too few rows for a measure.
    """
    train_rows, test_rows, origin, of_other_splits = _split(embeddings, seed)
    if len(test_rows) == 0 or (len(train_rows) == 0 and of_features):
        why = f"; {of_other_splits}" if of_other_splits else ""
        why += "; without the column split a random fifth is for testing" if embeddings.split is not None else ""
        raise UserError(
            f"{name} leaves {count_of(len(train_rows), 'row')} for training and {len(test_rows)} for testing{why}"
        )
    for asked, record in records.items():
        record.check_counts(len(train_rows), len(test_rows), name=asked)
    return train_rows, test_rows, origin, [of_other_splits] if of_other_splits else []


def _checked_classes(
    records: Mapping[str, Measure],
    of_features: Sequence[str],
    labels: np.ndarray,
    flat: np.ndarray,
    train_rows: np.ndarray,
    test_rows: np.ndarray,
    seed: int,
) -> list[str]:
    """What to say of the classes of both sets.

    Args:
        flat: the labels, as (N,) if they are (N, 1).

    Raises:
        UserError: labels that a measure cannot use.
    """
    if "attributes" in records and labels.ndim == 1:
        raise UserError("attributes needs labels (N, K) of 0 and 1, one column each; for classes use linear")
    of_classes = [asked for asked in of_features if records[asked].labels == "classes"]
    checks.check_classes(of_classes, flat[train_rows], flat[test_rows], seed)
    of_attributes = [asked for asked in of_features if records[asked].labels == "attributes"]
    checks.check_classes(of_attributes, labels[train_rows], labels[test_rows], seed)
    if not of_classes:
        return []
    few = split.small_classes(flat[train_rows], [measure_called(asked)[1] for asked in of_classes])
    return split.remarks(flat[train_rows], flat[test_rows]) + few


def _name(source: str | Path | Embeddings) -> str:
    return "embeddings" if isinstance(source, Embeddings) else Path(source).name


def _place_of_labels(source: str | Path | Embeddings) -> str:
    """Where labels are expected, for a message."""
    if isinstance(source, Embeddings) or Path(source).suffix != ".npy":
        return "call them `label`"
    return f"put one a row into {labels_beside(Path(source)).name} beside it"


def _check_measures(names: Sequence[str]) -> dict[str, Measure]:
    """The requested measures. Raises UserError if there are none, and for those that need images or folds."""
    possible = [m.name for m in all_measures() if m.of == "features"] + [_of_vectors_alone()]
    if not names:
        raise UserError(f"there is nothing to measure; choose of {', '.join(possible)}")
    records = {}
    for name in names:
        try:
            record, budget = measure_called(name)
        except UserError:
            record, budget = None, None
        if record is not None and record.of == "features" and budget is not None and budget.unit == "folds":
            raise UserError("a file of embeddings has no folds: measure linear_10_per_class or linear_1_percent")
        if record is None or (record.of == "encoder" and (record.of_vectors is None or budget is not None)):
            raise UserError(f"{name!r} cannot be measured on embeddings; choose of {', '.join(possible)}")
        records[name] = record
    return records


def _of_vectors_alone() -> str:
    """The measures that need vectors only, for messages: "rank"."""
    return ",".join(name for name in MEASURES if MEASURES[name].of_vectors is not None)


def _rows_with_labels(embeddings: Embeddings) -> tuple[Embeddings, int]:
    """The embeddings with a label, and how many have none; if none has a label, all of them, as unlabelled."""
    if embeddings.labels is None or embeddings.labels.ndim > 1:
        return embeddings, 0
    labelled = has_label(embeddings.labels)
    if not labelled.any():
        return embeddings._replace(labels=None), 0
    split = None if embeddings.split is None else np.asarray(embeddings.split)[labelled]
    return Embeddings(embeddings.vectors[labelled], embeddings.labels[labelled], split), int((~labelled).sum())


def has_label(labels: np.ndarray) -> np.ndarray:
    """Labels (N,) of any kind -> (N,) bool: which are neither -1, nor NaN, nor empty words."""
    return np.array([v not in (None, -1, "", b"") and v == v for v in np.asarray(labels).tolist()], dtype=bool)


def _split(embeddings: Embeddings, seed: int) -> tuple[np.ndarray, np.ndarray, str, str]:
    """Rows for training, rows for testing, whose split it is, and what the file's split leaves out ("" for nothing)."""
    if embeddings.split is not None:
        words = [_split_word(value) for value in embeddings.split.tolist()]
        train, test = (np.flatnonzero(np.isin(words, names)) for names in (TRAIN_WORDS, TEST_WORDS))
        others = [word for word in words if word not in (*TRAIN_WORDS, *TEST_WORDS)]
        names = ", ".join(sorted(set(others))[:5])
        are, were = count_of(len(others), "embedding is", "embeddings are"), agreed(len(others), "was", "were")
        left_out = f"{are} of other splits ({names}) and {were} left out"
        return train, test, "the file's", left_out if others else ""
    if embeddings.labels is None:  # nothing is trained
        return np.arange(0), np.arange(len(embeddings.vectors)), "all rows, without labels", ""
    rng = stream(seed, "split")
    labels = np.zeros(len(embeddings.vectors))
    if embeddings.labels.ndim == 1 or embeddings.labels.shape[1] == 1:
        labels = embeddings.labels.reshape(-1)
    groups = [rng.permutation(np.flatnonzero(labels == c)) for c in np.unique(labels)]
    test = np.sort(np.concatenate([g[: -(-len(g) // 5) if len(g) > 1 else 0] for g in groups]))
    train = np.setdiff1d(np.arange(len(embeddings.vectors)), test)
    return train, test, f"a fifth of each class for testing, drawn by seed {seed}", ""


def _split_word(value: Any) -> str:
    """A value of a split column in small letters, as text or bytes."""
    word = value.decode(errors="replace") if isinstance(value, bytes) else "" if value is None else str(value)
    return word.strip().casefold() or "none"
