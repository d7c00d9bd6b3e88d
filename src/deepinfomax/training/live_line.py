"""What a person sees while it trains: one live line in a terminal, plain lines elsewhere. Always on stderr."""

import math
import time
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from deepinfomax import files

SEPARATOR = " · "
#: parts of the line, the last ones left out first where the terminal is narrow
RANKED = ("step", "left", "bounds", "terms", "rank", "speed", "memory")


class LiveLine:
    """Renders the same dictionaries that go to metrics.jsonl, and the number of the step in between.

    with LiveLine(steps, resumed_at) as line: line.at(step); line.show(values)
    """

    def __init__(self, steps: int, first_step: int = 0, *, quiet: bool = False, every: float = 10.0) -> None:
        self.console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
        self.steps, self.first_step = steps, first_step
        self.every = every  #: seconds between plain lines
        self._spinner = Spinner("dots", Text("first step"))
        self._live = Live(self._spinner, console=self.console, transient=True) if self.console.is_terminal else None
        self._began = time.perf_counter()
        self._last_line = -math.inf
        self._last_values: dict[str, Any] = {}

    def __enter__(self) -> "LiveLine":
        if self._live is not None:
            self._live.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._live is not None:
            self._live.__exit__(*error)

    def at(self, step: int) -> None:
        """A step is done that is not logged: the number and the time left move all the same."""
        now = time.perf_counter()
        if self._live is not None:
            # The spinner takes two columns.
            line = self.line({**self._last_values, "step": step}, self.console.width - 2)
            self._spinner.update(text=Text(line, no_wrap=True, overflow="ellipsis"))
        elif now - max(self._last_line, self._began) >= self.every:
            self.console.print(self.line({"step": step}), markup=False)
            self._last_line = now

    def show(self, values: dict[str, Any]) -> None:
        self._last_values = {name: value for name, value in values.items() if name != "epoch"}
        now = time.perf_counter()
        if self._live is not None:
            line = self.line(values, self.console.width - 2)
            self._spinner.update(text=Text(line, no_wrap=True, overflow="ellipsis"))
        elif now - self._last_line >= self.every or values["step"] >= self.steps:
            self.console.print(self.line(values), markup=False)
            self._last_line = now

    def say(self, text: str) -> None:
        self.console.print(files.plain(text), markup=False)

    def seconds_left(self, step: int) -> float:
        done = max(1, step - self.first_step)
        return (time.perf_counter() - self._began) / done * (self.steps - step)

    def line(self, values: dict[str, Any], width: int | None = None) -> str:
        """step 400/2000 (3.1 epochs) · 612 images/s · 5 min left · local 3.21 of 8.30 nats · prior 0.69 · rank 41

        What does not fit into `width` columns is left out by `RANKED`.
        """
        parts = self._parts(values)
        kept = list(RANKED)
        while width is not None and len(kept) > 1 and len(_joined(parts, kept)) > width:
            kept.pop()
        return _joined(parts, kept)

    def _parts(self, values: dict[str, Any]) -> dict[str, list[str]]:
        step = values["step"]
        epochs = f" ({values['epoch']:.1f} epochs)" if "epoch" in values else ""
        parts: dict[str, list[str]] = {
            "step": [f"step {step}/{self.steps}{epochs}"],
            "left": [f"{duration(self.seconds_left(step))} left"],
            "bounds": [],
            "terms": [],
        }
        if values.get("images_per_second") is not None:
            parts["speed"] = [f"{values['images_per_second']:.0f} images/s"]
        for name, value in values.items():
            if name.endswith("/bound") and value is not None:
                cap = values.get(name.replace("/bound", "/cap"))
                said = f"{name[:-6]} {value:.2f}" + (f" of {cap:.2f}" if cap is not None else "") + " nats"
                parts["bounds"].append(said)
        bounded = {name[:-6] for name in values if name.endswith("/bound")}
        parts["terms"] = [f"{name} {values[name]:.3f}" for name in values.get("terms", ()) if name not in bounded]
        if values.get("rank") is not None:
            parts["rank"] = [f"rank of y {values['rank']:.1f} of {values['units']}"]
        if values.get("peak_memory_mb") is not None:
            parts["memory"] = [f"{values['peak_memory_mb']:.0f} MB"]
        return parts


def _joined(parts: dict[str, list[str]], kept: list[str]) -> str:
    shown = ("step", "speed", "left", "bounds", "terms", "rank", "memory")  # in this order on the line
    return SEPARATOR.join(part for name in shown if name in kept for part in parts.get(name, ()))


def duration(seconds: float) -> str:
    """42 s, 5 min, 3.2 h"""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
