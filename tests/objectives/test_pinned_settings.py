"""Every objective's settings and networks as text: a figure is that of these settings, so none changes unseen.

Where a change is meant: `DEEPINFOMAX_PIN=1 pytest tests/objectives/test_pinned_settings.py` writes the file anew.
"""

import inspect
import json
import os
from pathlib import Path

import pytest

from deepinfomax.features import Shapes
from deepinfomax.objectives import OBJECTIVES, Facts

PINNED = Path(__file__).parent / "pinned_settings.json"
FACTS = Facts(Shapes((3, 32, 32), local=(8, 6, 5), conv=(16, 4, 4), fc=(12,), y=(7,)), classes=4, images=100)


def settings(name: str) -> dict[str, object]:
    objective = OBJECTIVES[name]
    defaults = {
        parameter.name: parameter.default
        for parameter in inspect.signature(objective).parameters.values()
        if parameter.default is not inspect.Parameter.empty
    }
    at_scale = getattr(objective, "at_scale", lambda scale, section: section)
    network = objective(FACTS)
    return {
        "defaults": defaults,
        "at scale": {scale: at_scale(scale, {}) for scale in ("smoke", "cpu")},
        "network": repr(network).splitlines(),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
    }


@pytest.mark.parametrize("name", sorted(OBJECTIVES.builtin))
def test_settings_and_networks_are_those_of_the_results(name: str) -> None:
    now = json.loads(json.dumps(settings(name), default=str))
    if os.environ.get("DEEPINFOMAX_PIN"):
        kept = json.loads(PINNED.read_text(encoding="utf-8")) if PINNED.exists() else {}
        PINNED.write_text(json.dumps(kept | {name: now}, indent=1) + "\n", encoding="utf-8")
    pinned = json.loads(PINNED.read_text(encoding="utf-8"))
    assert name in pinned, "a new objective: run this with DEEPINFOMAX_PIN=1 once"
    assert now == pinned[name]
