"""How large a run is: the paper's setting, minutes on two CPU cores, or seconds to see whether it runs at all.

A class with settings may have a static method `at_scale(scale, section) -> section` that changes its settings for a
smaller scale; `recipes` asks it. Without that method its settings are the same at every scale.
"""

from typing import Any, Literal

Scale = Literal["smoke", "cpu", "paper"]
SCALES: tuple[Scale, ...] = ("smoke", "cpu", "paper")

#: the settings of one section of a configuration, by name
Section = dict[str, Any]
