"""What is logged of one step: the same numbers for metrics.jsonl, the trackers and the terminal."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deepinfomax.training.run_folder import jsonable


@dataclass(frozen=True, kw_only=True)
class StepMetrics:
    """The numbers of one step; one that is not finite is None."""

    step: int
    epoch: float  #: how often the images have been seen
    seconds: float  #: of training, since the run began
    losses: Mapping[str, float | None]  #: by name, not weighted
    measured: Mapping[str, float | None]  #: by "objective/quantity"
    rank: float | None  #: the effective rank of y in this batch
    units: int  #: of y
    images_per_second: float | None
    peak_memory_mb: float | None
    learning_rate: float | None

    def as_line(self) -> dict[str, Any]:
        """As it stands in metrics.jsonl; floats have six digits."""
        before = {"step": self.step, "epoch": self.epoch, "seconds": self.seconds}
        behind = {
            "rank": self.rank,
            "units": self.units,
            "images_per_second": self.images_per_second,
            "peak_memory_mb": self.peak_memory_mb,
            "learning_rate": self.learning_rate,
        }
        return jsonable({**before, **self.losses, **self.measured, **behind})
