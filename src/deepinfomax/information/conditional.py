"""Information among more than two variables, by nearest neighbours: conditional, total, interaction and transfer.

Everything here generalises the k-nearest-neighbour estimate of `ksg`; there is no network and no training. Like it,
these estimates are good in few dimensions and too low in many; none is a bound. There are n samples; every variable is
(n,) or (n, D), numbers without ties, all scaled alike (`information.inputs` prepares them). All values are in nats.
"""

import numpy as np

from deepinfomax.errors import UserError
from deepinfomax.information import labels as counting
from deepinfomax.information.ksg import _radius, _within, digamma, ksg, ksg_labels


def conditional_information(x: np.ndarray, y: np.ndarray, z: np.ndarray, k: int = 3) -> float:
    """I(X; Y | Z): the information that x and y share beyond z. The estimate may be slightly negative.

    Frenzel & Pompe 2007 (eq. 4): ψ(k) - mean of ψ(n_xz + 1) + ψ(n_yz + 1) - ψ(n_z + 1), where n_a counts the samples
    strictly nearer in the space a than the k-th neighbour is in the joint space of all three.

    Raises:
        UserError: fewer than k + 2 samples, or variables of different lengths.
    """
    x, y, z = columns(x, y, z, k=k)
    radius = _radius(np.hstack([x, y, z]), k)
    counts = [_within(space, space, radius) for space in (np.hstack([x, z]), np.hstack([y, z]), z)]
    with_x, with_y, alone = (digamma(count).mean() for count in counts)
    return float(digamma(k) - with_x - with_y + alone)


def conditional_information_of_labels(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> float:
    """I(X; Y | Z) of three columns of labels (n,), by counting: H(X, Z) + H(Y, Z) - H(X, Y, Z) - H(Z).

    Each entropy has Miller and Madow's correction, see `labels`.
    """
    x, y, z = (np.unique(side, return_inverse=True)[1] for side in (x, y, z))

    def joined(*sides: np.ndarray) -> np.ndarray:
        return np.unique(np.stack(sides, axis=1), axis=0, return_inverse=True)[1].reshape(-1)

    spaces = ((joined(x, z), 1), (joined(y, z), 1), (joined(x, y, z), -1), (z, -1))
    return float(sum(sign * counting.entropy(space) for space, sign in spaces))


def information_given_labels(x: np.ndarray, y: np.ndarray, z: np.ndarray, k: int = 3) -> float:
    """I(X; Y | Z) for labels z (n,): the mean of I(X; Y) within each label, weighted by the number of its samples.

    Integers (n,) on a side are labels too. Labels z with fewer than k + 2 samples are left out, and those among whose
    samples no label of x (or y) occurs twice, if the other side is numbers: `ksg_labels` has no value for them.

    Raises:
        UserError: no label has k + 2 samples, or a value.
    """
    values, sizes, enough = [], [], False
    for label in np.unique(z):
        rows = z == label
        if rows.sum() < k + 2:
            continue
        enough = True
        if not np.isnan(value := _information(x[rows], y[rows], k)):
            values.append(value)
            sizes.append(int(rows.sum()))
    if not sizes and enough:
        raise UserError("among the rows of each label of z, no label of x (or y) occurs twice: merge labels")
    if not sizes:
        raise UserError(f"no label of z has {k + 2} samples or more: use fewer labels, or more samples")
    return float(np.average(values, weights=sizes))


def total_correlation(*variables: np.ndarray, k: int = 3) -> float:
    """Σ H(X_i) - H(X_1, ..., X_m): how strongly m variables depend on each other. For two: mutual information.

    Kraskov et al. 2004 (eq. 23): ψ(k) + (m - 1) ψ(n) - Σ mean of ψ(n_i + 1).

    Raises:
        UserError: fewer than two variables, different lengths, fewer than k + 2 samples.
    """
    if len(variables) < 2:
        raise UserError("total correlation needs two variables or more")
    sides = columns(*variables, k=k)
    radius = _radius(np.hstack(sides), k)
    alone = sum(digamma(_within(side, side, radius)).mean() for side in sides)
    return float(digamma(k) + (len(sides) - 1) * digamma(len(sides[0])) - alone)


def total_correlation_of_labels(*variables: np.ndarray) -> float:
    """`total_correlation` of columns of labels (n,), by counting, with Miller and Madow's correction."""
    together = np.unique(np.stack(variables, axis=1), axis=0, return_inverse=True)[1].reshape(-1)
    return float(sum(counting.entropy(labels) for labels in variables) - counting.entropy(together))


def interaction_information(x: np.ndarray, y: np.ndarray, z: np.ndarray, k: int = 3) -> float:
    """I(X; Y) - I(X; Y | Z): above 0, z explains part of what x and y share; below 0, z makes them dependent.

    Positive means redundancy (co-information); some books have the opposite sign. Both terms use the same k, but have
    different biases, so values near 0 are not reliable.
    """
    x, y, z = columns(x, y, z, k=k)
    return ksg(x, y, k) - conditional_information(x, y, z, k)


def transfer_entropy(source: np.ndarray, target: np.ndarray, lags: int = 1, k: int = 3) -> float:
    """I(target now; the source's last `lags` values | the target's last `lags` values), in nats (Schreiber 2000).

    What the past of one series tells about the next value of another, beyond that series' own past. The estimate is
    consistent for stationary series. Samples of a series are not independent, so the standard error for independent
    rows does not apply.

    Args:
        source, target: (n,) or (n, D), sampled together.
        lags: how many past steps are used.

    Raises:
        UserError: series of different lengths, or shorter than lags + k + 2.
    """
    if lags < 1:
        raise UserError(f"lags must be 1 or more, not {lags}")
    source, target = columns(source, target, k=k + lags)
    n = len(target) - lags
    past_of_source, past_of_target = (
        np.hstack([series[lags - lag : lags - lag + n] for lag in range(1, lags + 1)]) for series in (source, target)
    )
    return conditional_information(target[lags:], past_of_source, past_of_target, k)


def _information(x: np.ndarray, y: np.ndarray, k: int) -> float:
    """I(X; Y) by the estimator for numbers, for labels, or for one of each."""
    labels = [side.ndim == 1 and side.dtype.kind in "iu" for side in (x, y)]
    if all(labels):
        codes = [np.unique(side, return_inverse=True)[1] for side in (x, y)]
        return counting.information(*codes)
    if any(labels):
        names, numbers = (x, y) if labels[0] else (y, x)
        if len(np.unique(names)) == 1:
            return 0.0
        return ksg_labels(columns(numbers, k=k)[0], names, k)
    one, other = columns(x, y, k=k)
    return ksg(one, other, k)


def columns(*variables: np.ndarray, k: int) -> list[np.ndarray]:
    """Each variable as (n, D) float64, all of one length.

    Raises:
        UserError: different lengths, or fewer than k + 2 samples.
    """
    sides = [np.asarray(v, dtype=np.float64) for v in variables]
    sides = [side[:, None] if side.ndim == 1 else side for side in sides]
    lengths = [len(side) for side in sides]
    if len(set(lengths)) > 1:
        raise UserError(f"variables have {', '.join(map(str, lengths))} samples; give as many of each")
    if lengths[0] < k + 2:
        raise UserError(f"{lengths[0]} samples are too few for {k} neighbours; give {k + 2} or more")
    return sides
