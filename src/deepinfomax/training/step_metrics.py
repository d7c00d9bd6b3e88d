"""The logged numbers of one step, the same for metrics.jsonl, the trackers and the terminal."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from deepinfomax.errors import UserError
from deepinfomax.objectives.game import metric_name
from deepinfomax.training.run_folder import jsonable


@dataclass(frozen=True, kw_only=True)
class StepMetrics:
    """The numbers of one step; a number that is not finite is None."""

    step: int
    epoch: float  #: how many times the images have been seen so far
    seconds: float  #: of training, since the run began
    losses: Mapping[str, float | None]  #: by name, not weighted
    measured: Mapping[str, float | None]  #: by "objective/quantity"
    rank: float | None  #: the effective rank of y in this batch
    units: int  #: of y
    images_per_second: float | None
    peak_memory_mb: float | None
    learning_rate: float | None

    def as_line(self) -> dict[str, Any]:
        """The line of metrics.jsonl as a dictionary; floats have six digits."""
        before = {"step": self.step, "epoch": self.epoch, "seconds": self.seconds}
        behind = {
            "rank": self.rank,
            "units": self.units,
            "images_per_second": self.images_per_second,
            "peak_memory_mb": self.peak_memory_mb,
            "learning_rate": self.learning_rate,
        }
        return jsonable({**before, **self.losses, **self.measured, **behind})


def check_names(losses: Iterable[str]) -> None:
    """Raises UserError if the name of a loss ("objective/term") equals that of another number in the line."""
    taken = {field.name: "a number of each step" for field in fields(StepMetrics)} | {"event": "the kind of a line"}
    for loss in losses:
        name, objective = metric_name(loss), loss.split("/")[0]
        if name in taken:
            raise UserError(
                f"the loss of the objective {objective} would be called {name} in metrics.jsonl, as {taken[name]} is: "
                f"give the section [objective.{objective}] another name, and the type that it has now"
            )
        taken[name] = f"a loss of {objective}"
