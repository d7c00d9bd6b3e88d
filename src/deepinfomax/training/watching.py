"""Logging of a run: the same numbers go to metrics.jsonl, to the trackers and to the terminal."""

import resource
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch
from accelerate import Accelerator
from accelerate.tracking import GeneralTracker, TensorBoardTracker, get_available_trackers

from deepinfomax import files
from deepinfomax.errors import UserError, count_of
from deepinfomax.features import effective_rank
from deepinfomax.objectives.game import Turn, metric_name
from deepinfomax.training import run_folder
from deepinfomax.training.guards import COLLAPSED
from deepinfomax.training.live_line import LiveLine, duration
from deepinfomax.training.run_folder import Metrics, jsonable
from deepinfomax.training.state import RunState
from deepinfomax.training.step_metrics import StepMetrics

PACE_AFTER = 20.0  #: seconds of training after which its speed is known well enough
LONG = 2 * 3600.0  #: a run that will take longer, in seconds, is announced


class Watcher:
    """Logs turns to metrics.jsonl, to the trackers and to the terminal. Only the main process writes.

    Args:
        out: the run folder.
        state: the state of the run; its step and seconds are read when a line is written.
        steps: how many steps the run has in all.
        steps_per_epoch: for all processes together.
        images_per_step: for all processes together.
        quiet: show nothing in the terminal.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        out: Path,
        state: RunState,
        *,
        steps: int,
        steps_per_epoch: int,
        images_per_step: int,
        quiet: bool,
    ) -> None:
        self.accelerator, self.state, self._out = accelerator, state, out
        self.steps, self.steps_per_epoch, self.images_per_step = steps, steps_per_epoch, images_per_step
        main = accelerator.is_main_process
        self._metrics = Metrics(out, resume_from=state.step) if main else None
        self._line = LiveLine(steps, state.step, quiet=quiet or not main)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        if self._metrics is not None:
            self._stack.enter_context(self._metrics)
        self._stack.enter_context(self._line)
        if self.accelerator.log_with:
            self._stack.enter_context(_errors_of_threads_kept())
            # The name that all get is a project on a tracker's site, but for TensorBoard a folder of the run.
            self.accelerator.log_with = [
                TensorBoardTracker("tensorboard", self._out) if str(kind) == TensorBoardTracker.name else kind
                for kind in self.accelerator.log_with
            ]
            self.accelerator.init_trackers("deepinfomax")
            for tracker in self.accelerator.trackers:  # not by end_training, which would also end the process group
                self._stack.push(partial(self._finish, tracker))
        if self._metrics is not None and (lost := _lost(self._metrics)):
            self.say(f"note: {lost}")
        self._step_then, self._time_then = self._step_began, self._time_began = self.state.step, time.perf_counter()
        self._told_of_length = False
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def event(self, name: str, values: dict[str, Any]) -> None:
        """Write a line of metrics.jsonl that is not about a step: "start" or "end"."""
        if self._metrics is not None:
            self._metrics.write(name, values)

    def say(self, text: str) -> None:
        self._line.say(text)

    def at(self, step: int) -> None:
        """Call after a step that is not logged: updates the progress in the terminal."""
        self._line.at(step)
        self._warn_of_long_runs(step)

    def _warn_of_long_runs(self, step: int) -> None:
        """Announce, once the speed is known, that the run will take long: the user may want to shorten it."""
        seconds = time.perf_counter() - self._time_began
        if self._told_of_length or seconds < PACE_AFTER or step - self._step_began < 2:
            return
        self._told_of_length = True
        if self._line.seconds_left(step) > LONG:
            self.say(
                f"at this pace the rest takes {duration(self._line.seconds_left(step))}: fewer training.steps make it "
                "shorter, a smaller data.size makes every step faster; Ctrl-C stops and saves"
            )

    def step(self, turn: Turn, learning_rate: float) -> None:
        """Log the step that the state has just done.

        Raises:
            UserError: the run folder is gone.
        """
        if self._metrics is not None:
            run_folder.check_there(self._out)
        y = turn.y.flatten(1)
        losses = {metric_name(name): loss for name, loss in turn.losses.items()}
        numbers = jsonable({**losses, **turn.measured, "rank": effective_rank(y)})  # the device is waited for once
        logged = StepMetrics(
            step=self.state.step,
            epoch=self.state.step / max(1, self.steps_per_epoch),
            seconds=self.state.seconds,
            losses={name: numbers[name] for name in losses},
            measured={name: numbers[name] for name in turn.measured},
            rank=numbers["rank"],
            units=y.shape[1],
            images_per_second=self._images_per_second(),
            peak_memory_mb=peak_memory(y.device),
            learning_rate=learning_rate,
        )
        line = logged.as_line()
        if self._metrics is not None:
            self._metrics.write("step", line)
            self._line.show(logged)
            if logged.rank is not None and logged.rank < COLLAPSED <= logged.units / 4:
                self.say(
                    f"warning: y uses {logged.rank:.1f} of its {y.shape[1]} directions: it is collapsing; "
                    "lower training.lr or an objective's weight"
                )
        try:
            self.accelerator.log({k: v for k, v in line.items() if v is not None}, step=self.state.step)
        except OSError:
            run_folder.check_there(self._out)
            raise

    def _finish(self, tracker: GeneralTracker, *error: Any) -> None:
        """Close a tracker. An error in it is only a warning, so that the trained encoder is not lost."""
        try:
            tracker.finish()
        except OSError as failure:
            if error[0] is None:
                self.say(f"note: {tracker.name} did not take all that was logged ({failure.strerror or failure})")

    def _images_per_second(self) -> float:
        """Images per second since the last call."""
        now = time.perf_counter()
        rate = (self.state.step - self._step_then) * self.images_per_step / (now - self._time_then)
        self._step_then, self._time_then = self.state.step, now
        return rate


def _lost(metrics: Metrics) -> str:
    """A message about damaged or missing lines of a resumed run; "" if there are none."""
    counts = {"not what was written": metrics.damaged, "gone": metrics.missing}
    said = [f"{count_of(n, 'line is', 'lines are')} {what}" for what, n in counts.items() if n]
    return f"{files.METRICS}: {' and '.join(said)}" if said else ""


@contextmanager
def _errors_of_threads_kept() -> Iterator[None]:
    """Within the block errors in threads are not printed: TensorBoard raises them again when its writer is used."""
    before = threading.excepthook
    threading.excepthook = lambda _: None
    try:
        yield
    finally:
        threading.excepthook = before


def check_trackers(names: tuple[str, ...]) -> None:
    """Raises UserError if a tracker is not installed; Accelerate would ignore it silently."""
    installed = [str(getattr(tracker, "value", tracker)) for tracker in get_available_trackers()]
    for name in names:
        if name not in installed:
            raise UserError(f"training.trackers names {name}, which is not installed: pip install {name}")


def peak_memory(device: torch.device) -> float:
    """The largest memory that this process has used so far, in MB: on the GPU, or resident memory on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    with suppress(ValueError):
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return used / (2**20 if sys.platform == "darwin" else 2**10)  # bytes there, kilobytes elsewhere
    return 0.0
