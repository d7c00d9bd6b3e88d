"""The estimate by nearest neighbours, or by counting where both sides are labels: no network and no training."""

import math
import time

import numpy as np

from deepinfomax.errors import UserError
from deepinfomax.information import ksg
from deepinfomax.information import labels as label_information
from deepinfomax.information.cautions import OF_NEIGHBOURS, Advice, Evidence, cautions
from deepinfomax.information.estimate import MIEstimate
from deepinfomax.information.inputs import Transform, is_labels, labels_entropy, transformed

SUBSETS = 10  #: disjoint parts of the pairs; their spread gives the standard error


def neighbour_estimate(
    x: np.ndarray, y: np.ndarray, transform: Transform, k: int, seed: int, started: float
) -> MIEstimate:
    """KSG's estimate of two sides, Ross's where one is labels, Miller and Madow's where both are.

    Args:
        x, y: sides as `inputs.read_side` gives them.
        k: neighbours.
        started: when the clock began, by `time.monotonic`.

    Raises:
        UserError: too few pairs for so many neighbours.
    """
    n = len(x)
    if not 1 <= k < n // SUBSETS:
        raise UserError(f"{k} neighbours need more than {SUBSETS * k} pairs, and at least 1 neighbour; you gave {n}")
    # A stream of its own: data that a user drew by default_rng(seed) would meet themselves in the noise, and depend.
    rng = np.random.default_rng([seed, n, SUBSETS])
    sides = [
        side if is_labels(side) else without_ties(transformed(side, slice(None), transform), rng) for side in (x, y)
    ]
    both_labels = is_labels(x) and is_labels(y)

    def value(rows: np.ndarray | slice) -> float:
        one, other = (side[rows] for side in sides)
        if both_labels:
            return label_information.information(one, other)
        if is_labels(one):
            one, other = other, one
        return ksg.ksg_labels(one, other, k) if is_labels(other) else ksg.ksg(one, other, k)

    tenth, by_chance = math.inf, 0.0
    if both_labels:  # a tenth of the pairs has far fewer of many combinations, and says little of how all of them vary
        error = label_information.standard_error(*sides)
    else:  # disjoint subsets are independent, and the variance of an estimate falls as 1/n (Holmes & Nemenman 2019)
        values = np.array([value(part) for part in np.array_split(rng.permutation(n), SUBSETS)])
        known = bool(np.isfinite(values).all())  # a subset may hold no rare label twice
        error = float(np.std(values, ddof=1)) / math.sqrt(SUBSETS) if known else math.inf
        tenth = float(values.mean()) if known else math.inf
    nats, cap, entropy = value(slice(None)), math.inf if both_labels else ksg.cap(n, k), labels_entropy(sides)
    if both_labels:
        by_chance = label_information.by_chance(sides[0], sides[1], rng)
    evidence = Evidence(
        nats=nats,
        standard_error=error,
        cap=cap,
        hard_cap=True,
        entropy=entropy,
        by_chance=by_chance,
        tenth=tenth,
        units=sum(1 if is_labels(side) else side.shape[1] for side in sides),
        advice=Advice(steady="give more pairs"),
    )
    return MIEstimate(
        nats=nats,
        standard_error=error,
        lower_bound=False,
        cap=min(cap, entropy),
        n_train=0,
        n_test=n,
        estimator="ksg",
        critic=None,
        seconds=time.monotonic() - started,
        warning=cautions(OF_NEIGHBOURS, evidence),
        seeds=(seed,),
    )


def without_ties(side: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Equal values (rounded measurements) made different by noise far below any difference that matters.

    As scikit-learn does it.
    """
    centred = side - np.median(side, axis=0)
    return centred + 1e-10 * np.abs(centred).mean(0) * rng.standard_normal(side.shape)
