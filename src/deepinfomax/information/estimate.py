"""`MIEstimate`, the result of an estimate of mutual information: nats, interval, p-value, warnings."""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from deepinfomax.errors import UserError

NOT_IN_JSON = {"plain": False}  #: metadata of fields with a number for each pair or step


class Interval(NamedTuple):
    """From `low` to `high` nats; `high` is infinite if the data set no upper limit."""

    low: float
    high: float


@dataclass(frozen=True)
class Pointwise:
    """The critic's estimate of log p(x, y) / p(x) p(y) for single held-out pairs."""

    rows: np.ndarray  #: (m,) positions of these pairs in the data; no pair occurs twice
    nats: np.ndarray  #: (m,) above 0: seen together more often than apart


@dataclass(frozen=True)
class MIEstimate:
    """Mutual information in nats, and how far it can be trusted."""

    nats: float
    standard_error: float  #: over choices of held-out pairs, and between seeds where there are several; inf: unknown
    lower_bound: bool  #: whether the value's expectation over held-out pairs cannot exceed the mutual information
    cap: float  #: nats that this estimator cannot exceed, or above which it should not be trusted, with this many pairs
    n_train: int
    n_test: int
    estimator: str
    critic: str | None
    seconds: float
    warning: str | None  #: why the number should not be trusted; None: no reason was found
    seeds: tuple[int, ...]
    train_nats: float | None = None  #: the same readout on as many training pairs; if higher, the critic overfits
    p_value: float | None = None  #: of independence, by shuffling; None: not asked for
    shuffles: int = 0  #: number of shuffles for the p-value
    entropy: float = math.inf  #: nats: the smaller entropy of the sides that are labels; inf: none is
    shortfall: float = 0.0  #: nats by which the value may be too low, as far as the data show; see `interval`
    excess: float = 0.0  #: nats by which it may be too high, as far as the data show; see `interval`
    degrees: int | None = None  #: degrees of freedom of the standard error; None: many
    quantity: str = "I(X; Y)"  #: what was estimated
    #: whether the quantity can be negative, as interaction information can; if not, intervals do not end below 0
    signed: bool = field(default=False, repr=False, metadata=NOT_IN_JSON)
    #: standard error of `entropy`, in nats: that too is known from a sample only
    entropy_error: float = field(default=0.0, repr=False, metadata=NOT_IN_JSON)
    groups: int | None = None  #: independent groups of rows, or blocks of time; None: every row is one
    notes: tuple[str, ...] = ()  #: how the input was understood, where that was a choice
    beside: "MIEstimate | None" = None  #: by the other kind of estimator: nearest neighbours beside a critic, or a
    #: critic beside nearest neighbours
    pointwise: Pointwise | None = field(default=None, repr=False, compare=False, metadata=NOT_IN_JSON)
    #: the stopping value of each training, in nats, at evenly spaced steps
    training: tuple[tuple[float, ...], ...] = field(default=(), repr=False, metadata=NOT_IN_JSON)

    @property
    def bits(self) -> float:
        """`nats` in bits."""
        return self.nats / math.log(2)

    @property
    def share_of_entropy(self) -> float | None:
        """The mutual information as a fraction of the labels' entropy, 0 to 1; None if no side is labels."""
        return self.nats / self.entropy if 0 < self.entropy < math.inf else None

    def interval(self, level: float = 0.95) -> Interval:
        """The interval that contains the mutual information with this confidence, in nats.

        Both ends are the normal (or Student's t) quantile times the standard error away from the value. In addition:

        * Critics: the upper end adds `shortfall`. A critic trained on few pairs is too low by about half the gap
          between training and held-out pairs (the optimism of Akaike 1974); here the whole gap is added. If nearest
          neighbours give a higher upper end, that one is used. If the value is close to the estimator's cap, the upper
          end is infinite.
        * Nearest neighbours: their bias falls with the number of pairs. If all pairs give more than a tenth of them,
          the upper end adds the difference and the lower end subtracts a tenth of it (`excess`). If they give less, and
          the quantity can be negative, the lower end subtracts the difference.
        * Counted labels: the lower end subtracts the value for shuffled labels (`excess`).
        * The upper end exceeds the entropy of labels by at most the error of that entropy. It is at least 0, since an
          estimate can be negative by chance but mutual information cannot.

        No sample can bound mutual information from above without an assumption (McAllester & Stratos 2020). The
        assumption here is that the critic is able to learn the dependence. `results/mi_coverage.json` has the measured
        coverage.

        Raises:
            UserError: a level outside (0, 1).
        """
        from scipy import stats  # takes a second, and is used here only

        if not 0 < level < 1:
            raise UserError(f"level must be between 0 and 1, not {level}: 0.95 is usual")
        tail = (1 + level) / 2
        times = stats.norm.ppf(tail) if self.degrees is None else stats.t.ppf(tail, self.degrees)
        if not math.isfinite(self.nats) or not math.isfinite(self.standard_error):
            return Interval(-math.inf, math.inf)
        low = self.nats - times * self.standard_error - self.excess
        high = self.nats + times * self.standard_error + self.shortfall
        if self.beside is not None and self.lower_bound:
            high = max(high, self.beside.interval(level).high)
        least = low if self.signed else max(low, 0.0)
        return Interval(float(low), float(max(least, min(high, self.entropy + times * self.entropy_error))))

    @property
    def dependent(self) -> bool | None:
        """Whether the sides depend on each other, at the 5 % level: by the p-value or, without one, the interval."""
        if not math.isfinite(self.nats):
            return None
        return self.p_value < 0.05 if self.p_value is not None else self.interval().low > 0

    def sentence(self) -> str:
        """The result in words, with its interval."""
        if not math.isfinite(self.nats):
            return f"{self.quantity}: no number could be had ({self.warning})."
        low, high = self.interval()
        ends = f"{low:.3g} to {high:.3g}" if math.isfinite(high) else f"{low:.3g} or more, with no upper end"
        details = [f"95% interval {ends}" if math.isfinite(low) else "the error is unknown"]
        if self.p_value is not None:
            details.append(f"p = {self.p_value:.2g}, by {self.shuffles:,} shuffles")
        amount = f"{self.nats:.3g} nats ({self.bits:.3g} bits"
        if self.share_of_entropy is not None:
            amount += f", {100 * self.share_of_entropy:.0f}% of the entropy of the labels"
        amount += f"; {', '.join(details)})"
        if not self.dependent and self.beside is not None and self.beside.dependent:
            found = f"{self.quantity}: dependence found by {self.beside.estimator}, not by {self.estimator}"
            return f"{found}. The estimate by {self.estimator} is {amount}."
        if not self.dependent:
            return f"{self.quantity}: no dependence found. The estimate is {amount}."
        return f"{self.quantity} is {'at least' if self.lower_bound else 'about'} {amount}."

    def text(self) -> str:
        """The sentence, followed by the notes, the estimate of the other kind, and the warning."""
        lines = [self.sentence()]
        if self.beside is not None:
            lines.append(f"By {self.beside.estimator}: {self.beside.sentence()}")
        lines += [f"Note: {note}." for note in self.notes]
        if self.warning:
            lines.append(f"Warning: {self.warning}.")
        by = self.estimator + (f", {self.critic} critic" if self.critic else "")
        lines.append(f"({by}; {self.n_train:,} pairs trained on, {self.n_test:,} read; {self.seconds:.1f} s)")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON, which knows no infinity: None for a number that is not finite."""
        plain = [f.name for f in dataclasses.fields(self) if f.metadata.get("plain", True)]
        values: dict[str, Any] = {name: getattr(self, name) for name in plain}
        values |= {"seeds": list(self.seeds), "notes": list(self.notes)}
        values |= {"bits": self.bits, "share_of_entropy": self.share_of_entropy, "dependent": self.dependent}
        values["beside"] = None if self.beside is None else self.beside.to_dict()
        values = {k: _finite(v) for k, v in values.items()}
        return values | {"interval": [_finite(end) for end in self.interval()], "sentence": self.sentence()}

    def cautioned(self, reason: str, *, no_bound: bool = False) -> "MIEstimate":
        """The estimate with one more reason at the beginning of its warning; unchanged for "".

        Args:
            reason: why the number should not be trusted.
            no_bound: whether, for this reason, the value is not a lower bound either.
        """
        if not reason:
            return self
        warning = "; ".join(filter(None, (reason, self.warning)))
        return dataclasses.replace(self, warning=warning, lower_bound=self.lower_bound and not no_bound)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
