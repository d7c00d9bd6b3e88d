"""The estimators of mutual information by a critic: which bound trains it, and how its scores become nats."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from deepinfomax.errors import UserError
from deepinfomax.information import readouts
from deepinfomax.information.readouts import Scores


@dataclass(frozen=True)
class Estimator:
    """How a critic is trained, and how its scores become nats."""

    trained_by: str  #: the name of a bound
    read: Callable[..., Tensor]  #: Scores -> nats; those with a tangent also take `at`
    lower_bound: bool  #: whether the expectation of the value over held-out pairs cannot exceed the truth
    tangent_at: Callable[[Scores], Tensor] | None = None  #: where `read` lays its tangent, from other pairs; None: none
    averaged: bool = False  #: MINE's moving average of the denominator


ESTIMATORS: dict[str, Estimator] = {
    "infonce": Estimator("infonce", readouts.infonce, True),
    "nwj": Estimator("nwj", readouts.nwj, True),
    "dv": Estimator("dv", readouts.dv, True, readouts.log_normaliser),
    "mine": Estimator("dv", readouts.dv, True, readouts.log_normaliser, averaged=True),
    "jsd-nwj": Estimator("jsd", readouts.jsd_nwj, True),
    "jsd-dv": Estimator("jsd", readouts.dv, True, readouts.log_normaliser),
    "jsd-lb": Estimator("jsd", readouts.jsd_lb, True, readouts.cross_entropy),
    "smile": Estimator("jsd", readouts.smile, False),
}
NAMES = (*ESTIMATORS, "ksg")


def smile_with(tau: float) -> Estimator:
    """SMILE with its clip at e^-tau and e^tau."""
    return replace(ESTIMATORS["smile"], read=partial(readouts.smile, tau=tau))


def estimator_name(estimator: str) -> str:
    """The name of an estimator in its usual spelling. "jsd", its name in the literature, is "jsd-nwj".

    Raises:
        UserError: an unknown one.
    """
    name = str(estimator).lower().replace("_", "-")
    name = "jsd-nwj" if name == "jsd" else name  # Poole et al. 2019
    if name not in (*NAMES, "auto"):
        raise UserError(f"unknown estimator {estimator!r}; choose one of {', '.join(NAMES)} or auto")
    return name
