"""Progress of training on stderr: one live line in a terminal, otherwise ordinary lines."""

import math
import time
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from deepinfomax import files
from deepinfomax.training.step_metrics import StepMetrics

SEPARATOR = " · "
#: parts of the line by importance: in a narrow terminal the last ones are left out first
RANKED = ("step", "left", "bounds", "terms", "rank", "speed", "memory")


class LiveLine:
    """Shows the logged numbers, and the number of the step between two logged steps.

    with LiveLine(steps, resumed_at) as line: line.at(step); line.show(logged)
    """

    def __init__(self, steps: int, first_step: int = 0, *, quiet: bool = False, every: float = 10.0) -> None:
        self.console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
        self.steps, self.first_step = steps, first_step
        self.every = every  #: seconds between plain lines
        self._spinner = Spinner("dots", Text("first step"))
        self._live = Live(self._spinner, console=self.console, transient=True) if self.console.is_terminal else None
        self._began = time.perf_counter()
        self._last_line = -math.inf
        self._logged: StepMetrics | None = None  #: the last one

    def __enter__(self) -> "LiveLine":
        if self._live is not None:
            self._live.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._live is not None:
            self._live.__exit__(*error)

    def at(self, step: int) -> None:
        """Call after a step that is not logged: updates the number of the step and the time left."""
        now = time.perf_counter()
        if self._live is not None:
            # The spinner takes two columns.
            line = self.line(step, self._logged, self.console.width - 2)
            self._spinner.update(text=Text(line, no_wrap=True, overflow="ellipsis"))
        elif now - max(self._last_line, self._began) >= self.every:
            self.console.print(self.line(step), markup=False)
            self._last_line = now

    def show(self, logged: StepMetrics) -> None:
        self._logged = logged
        now = time.perf_counter()
        if self._live is not None:
            line = self.line(logged.step, logged, self.console.width - 2)
            self._spinner.update(text=Text(line, no_wrap=True, overflow="ellipsis"))
        elif now - self._last_line >= self.every or logged.step >= self.steps:
            self.console.print(self.line(logged.step, logged), markup=False)
            self._last_line = now

    def say(self, text: str) -> None:
        self.console.print(files.plain(text), markup=False)

    def seconds_left(self, step: int) -> float:
        done = max(1, step - self.first_step)
        return (time.perf_counter() - self._began) / done * (self.steps - step)

    def line(self, step: int, logged: StepMetrics | None = None, width: int | None = None) -> str:
        """step 400/2000 (3.1 epochs) · 612 images/s · 5 min left · local 3.21 of 8.30 nats · prior 0.69 · rank 41

        Args:
            logged: the last numbers, of this step or of an earlier one.
            width: columns; parts that do not fit are left out in the order of `RANKED`.
        """
        parts = self._parts(step, logged)
        kept = list(RANKED)
        while width is not None and len(kept) > 1 and len(_joined(parts, kept)) > width:
            kept.pop()
        return _joined(parts, kept)

    def _parts(self, step: int, logged: StepMetrics | None) -> dict[str, list[str]]:
        epochs = f" ({logged.epoch:.1f} epochs)" if logged is not None and logged.step == step else ""
        parts = {"step": [f"step {step}/{self.steps}{epochs}"], "left": [f"{duration(self.seconds_left(step))} left"]}
        if logged is None:
            return parts
        if logged.images_per_second is not None:
            parts["speed"] = [f"{logged.images_per_second:.0f} images/s"]
        bounds = {name.removesuffix("/bound"): v for name, v in logged.measured.items() if name.endswith("/bound")}
        parts["bounds"] = []
        for name, value in bounds.items():
            cap = logged.measured.get(f"{name}/cap")
            if value is not None:
                parts["bounds"].append(f"{name} {value:.2f}{'' if cap is None else f' of {cap:.2f}'} nats")
        terms = {name: loss for name, loss in logged.losses.items() if name not in bounds}
        parts["terms"] = [f"{name} {loss:.3f}" for name, loss in terms.items() if loss is not None]
        if logged.rank is not None:
            parts["rank"] = [f"rank of y {logged.rank:.1f} of {logged.units}"]
        if logged.peak_memory_mb is not None:
            parts["memory"] = [f"{logged.peak_memory_mb:.0f} MB"]
        return parts


def _joined(parts: dict[str, list[str]], kept: list[str]) -> str:
    shown = ("step", "speed", "left", "bounds", "terms", "rank", "memory")  # in this order on the line
    return SEPARATOR.join(part for name in shown if name in kept for part in parts.get(name, ()))


def duration(seconds: float) -> str:
    """42 s, 5 min, 3.2 h"""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
