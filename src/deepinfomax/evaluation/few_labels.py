"""Few labels: the end of a measure's name, such as "_10_per_class", says which training labels it may use."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from deepinfomax.errors import UserError
from deepinfomax.evaluation.labels import check_labels
from deepinfomax.evaluation.measure import standard_deviation
from deepinfomax.evaluation.scales import Scale, check_scale
from deepinfomax.evaluation.standardising import Standardiser
from deepinfomax.progress import within

#: How many times a few labels are drawn; the figure is the mean over the draws.
DRAWS: dict[Scale, int] = {"smoke": 3, "cpu": 5, "paper": 10}


@dataclass(frozen=True)
class LabelBudget:
    """The labels that a measure may see: `count` of each class, `count` per cent of each class, or published folds."""

    unit: Literal["per_class", "percent", "folds"]
    count: int = 0  #: nothing for folds

    @property
    def name(self) -> str:
        """The end of the measure's name: "10_per_class", "1_percent", "folds"."""
        return self.unit if self.unit == "folds" else f"{self.count}_{self.unit}"

    def draw(
        self, labels: Shaped[np.ndarray, "N"], *, draws: int, seed: int = 0, folds: Sequence[np.ndarray] = ()
    ) -> tuple[list[Int[Tensor, "_"]], str]:
        """Draw the labels that are seen, several times.

        Args:
            labels: of all labelled training images.
            draws: how many times; for folds there is one draw for each fold instead.
            folds: positions in `labels`, one array a fold (STL-10 comes with ten of 1,000).

        Returns:
            the positions of the labels of each draw, and a description of them for a person.

        Raises:
            UserError: folds are asked for and there are none, or they point beyond the labels.
        """
        if self.unit == "folds":
            check_folds(folds, len(labels))
            return [torch.as_tensor(np.asarray(fold, dtype=np.int64)) for fold in folds], f"mean of {len(folds)} folds"
        seeds = [seed * 1000 + draw for draw in range(draws)]
        if self.unit == "percent":
            positions = [share_of_each_class(labels, self.count / 100, one) for one in seeds]
            return positions, f"{self.count} % of the labels of each class, mean of {draws} draws"
        positions = [count_of_each_class(labels, self.count, one) for one in seeds]
        return positions, f"{self.count} labels a class, mean of {draws} draws"


def parse_measure_name(name: str) -> tuple[str, LabelBudget | None]:
    """ "linear_10_per_class" -> ("linear", 10 per class), likewise for "_1_percent" and "_folds"; None for "linear"."""
    match = re.fullmatch(r"(\w+?)_(?:([1-9]\d*)_per_class|([1-9]\d?)_percent|(folds))", name)
    if match is None:
        return name, None
    measure, per_class, percent, _folds = match.groups()
    if per_class:
        return measure, LabelBudget("per_class", int(per_class))
    return measure, LabelBudget("percent", int(percent)) if percent else LabelBudget("folds")


def count_of_each_class(
    labels: Shaped[np.ndarray, "N"] | Shaped[Tensor, "N"], count: int, seed: int
) -> Int[Tensor, "drawn"]:
    """Positions of `count` images of each class (all of a smaller class), drawn by `seed`, in ascending order."""
    rng = np.random.default_rng([seed, count])
    labels = np.asarray(labels)
    chosen = [rng.permutation(np.flatnonzero(labels == c))[:count] for c in np.unique(labels)]
    return torch.from_numpy(np.sort(np.concatenate(chosen)))


def share_of_each_class(labels: Shaped[np.ndarray, "N"], share: float, seed: int) -> Int[Tensor, "drawn"]:
    """Positions of a share of the images of each class (at least one), drawn by `seed`, in ascending order."""
    rng = np.random.default_rng([seed, round(share * 1e6)])
    members = [rng.permutation(np.flatnonzero(labels == c)) for c in np.unique(labels)]
    chosen = [of_class[: max(1, round(len(of_class) * share))] for of_class in members]
    return torch.from_numpy(np.sort(np.concatenate(chosen)))


def check_folds(folds: Sequence[np.ndarray], count: int) -> None:
    """Raises UserError if there are no folds, or one does not hold positions among `count` labelled images."""
    if not len(folds):
        raise UserError(
            "there are no folds: put a file fold_indices.txt into the folder of the data, a line of positions for each "
            "fold as STL-10 has it, or measure semi_supervised or linear_10_per_class"
        )
    for number, fold in enumerate(folds, 1):
        if np.size(fold) == 0:
            raise UserError(f"fold {number} of {len(folds)} is empty: give it positions of training images")
        if (kind := np.asarray(fold).dtype).kind not in "iu":  # a mask would pass for images 0 and 1
            raise UserError(f"fold {number} of {len(folds)} holds {kind}: give it positions, which are whole numbers")
        if np.min(fold) < 0:
            raise UserError(f"fold {number} of {len(folds)} names image {int(np.min(fold))}; the first is 0")
    last = max(int(np.max(fold)) for fold in folds)
    if last >= count:
        raise UserError(
            f"the folds name image {last}, the first being 0, and only {count:,} training images have labels"
        )


def mean_over_draws(
    probe: Callable[..., Any],
    train: Float[Tensor, "N units"],
    train_labels: Shaped[np.ndarray, "N"],
    test: Float[Tensor, "T units"],
    test_labels: Shaped[np.ndarray, "T"],
    *,
    budget: LabelBudget,
    folds: Sequence[np.ndarray] = (),
    scale: Scale = "cpu",
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Any:
    """A probe that sees few of the labels: mean and standard deviation over several draws of them, or over folds.

    Only labels are few: features are standardised by the statistics of all training images.

    Args:
        probe: the function of a measure of features.
        train, test: (N, units), (T, units).
        budget: which labels the probe sees.
        folds: positions of training rows, where `budget` asks for folds.

    Returns:
        the result of `probe` for the last draw, with the mean of each accuracy and with std over the draws.
    """
    began = time.perf_counter()
    check_labels(train_labels, test_labels)
    standardiser = Standardiser.of(train)
    labels = np.asarray(train_labels)
    draws, description = budget.draw(labels, draws=DRAWS[check_scale(scale)], seed=seed, folds=folds)
    results = []
    for number, rows in enumerate(draws, 1):
        with within(f"draw {number} of {len(draws)}"):
            result = probe(
                train[rows],
                labels[rows.numpy()],
                test,
                test_labels,
                scale=scale,
                seed=seed,
                device=device,
                standardiser=standardiser,
            )
        results.append(result)
    last = results[-1]
    accuracies = [field.name for field in fields(last) if field.name.endswith("accuracy")]  # kNN has a plain one too
    return replace(
        last,
        **{name: float(np.mean([getattr(result, name) for result in results])) for name in accuracies},
        std=standard_deviation([result.accuracy for result in results]),
        protocol=f"{last.protocol}, {description}",
        settings=last.settings | {"draws": len(draws), "labels": budget.name},
        seconds=time.perf_counter() - began,
    )
