"""What `estimate_mi` returns: nats, and how far they can be trusted."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class MIEstimate:
    """Mutual information in nats, and how far it can be trusted."""

    nats: float
    standard_error: float  #: over choices of held-out pairs, and between seeds where there are several; inf: unknown
    lower_bound: bool  #: whether the value's expectation over held-out pairs cannot exceed the mutual information
    cap: float  #: nats above which this estimator cannot go, or should not be believed, with so many pairs and labels
    n_train: int
    n_test: int
    estimator: str
    critic: str | None
    seconds: float
    warning: str | None  #: why the number should not be trusted; None: no reason was found
    seeds: tuple[int, ...]
    train_nats: float | None = None  #: the same readout on as many training pairs: how much is overfitting

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON, which knows no infinity: None for a number that is not finite."""
        values = dataclasses.asdict(self) | {"seeds": list(self.seeds)}
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}

    def cautioned(self, reason: str, *, no_bound: bool = False) -> "MIEstimate":
        """The estimate with one more reason in front of its warning; as it is for "".

        Args:
            no_bound: whether the reason also means that the value bounds nothing.
        """
        if not reason:
            return self
        warning = "; ".join(filter(None, (reason, self.warning)))
        return dataclasses.replace(self, warning=warning, lower_bound=self.lower_bound and not no_bound)
