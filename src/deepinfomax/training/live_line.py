"""What a person sees while it trains: one live line in a terminal, plain lines elsewhere. Always on stderr."""

import math
import time
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from deepinfomax import files


class LiveLine:
    """Renders the same dictionaries that go to metrics.jsonl.

    with LiveLine(steps, resumed_at) as line: line.show(values)
    """

    def __init__(self, steps: int, first_step: int = 0, *, quiet: bool = False, every: float = 10.0) -> None:
        self.console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
        self.steps, self.first_step = steps, first_step
        self.every = every  #: seconds between plain lines
        self._live = (
            Live(console=self.console, transient=True, auto_refresh=False) if self.console.is_terminal else None
        )
        self._last_line = -math.inf
        self._began = time.perf_counter()

    def __enter__(self) -> "LiveLine":
        if self._live is not None:
            self._live.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._live is not None:
            self._live.__exit__(*error)

    def show(self, values: dict[str, Any]) -> None:
        line = self.line(values)
        now = time.perf_counter()
        if self._live is not None:
            self._live.update(Text(line), refresh=True)
        elif now - self._last_line >= self.every or values["step"] >= self.steps:
            self.console.print(line, markup=False)
            self._last_line = now

    def say(self, text: str) -> None:
        self.console.print(files.plain(text), markup=False)

    def line(self, values: dict[str, Any]) -> str:
        """step 400/2000 (3.1 epochs) · 612 images/s · 5 min left · local 3.21 of 8.30 nats · prior 0.69 · rank 41"""
        step = values["step"]
        done = max(1, step - self.first_step)
        left = (time.perf_counter() - self._began) / done * (self.steps - step)
        parts = [
            f"step {step}/{self.steps} ({values['epoch']:.1f} epochs)",
            f"{values['images_per_second']:.0f} images/s",
            f"{duration(left)} left",
        ]
        for name, value in values.items():
            if name.endswith("/bound") and value is not None:
                cap = values.get(name.replace("/bound", "/cap"))
                parts.append(f"{name[:-6]} {value:.2f}" + (f" of {cap:.2f}" if cap is not None else "") + " nats")
        bounded = {name[:-6] for name in values if name.endswith("/bound")}
        for name in values.get("terms", ()):
            if name not in bounded:
                parts.append(f"{name} {values[name]:.3f}")
        if values.get("rank") is not None:
            parts.append(f"rank of y {values['rank']:.1f} of {values['units']}")
        parts.append(f"{values['peak_memory_mb']:.0f} MB")
        return " · ".join(parts)


def duration(seconds: float) -> str:
    """42 s, 5 min, 3.2 h"""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
