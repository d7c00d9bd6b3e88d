"""A small run that pins the whole stack: data, encoder, critics, bounds, both players, optimizers, embedding, probe.

When a change is meant to alter the figures, run it, look at the curve, and put the new figures here.
"""

import json
from pathlib import Path

import pytest

from deepinfomax import config, data, recipes
from deepinfomax.evaluation.embeddings import embed
from deepinfomax.evaluation.knn import knn
from deepinfomax.training.loop import train

SETTINGS = {
    "encoder.width": 8,
    "encoder.fc": 64,
    "encoder.y": 16,
    "local.units": 32,
    "augmentation.flip": True,
    "training.steps": 60,
    "training.batch_size": 64,
    "training.log_every": 20,
    "training.trackers": [],
}

#: of one and of two threads, in the middle
GOLDEN_BOUND = [0.735, 0.881, 1.006]
GOLDEN_PRIOR = [1.278, 1.270, 1.270]
GOLDEN_RANK = 8.2
GOLDEN_KNN = 0.425


def test_sixty_steps_on_photographs(tmp_path: Path) -> None:
    training, test = data.load("photos", limit=1500), data.load("photos", split="test", limit=500)
    settings = config.override(recipes.recipe("cpu"), SETTINGS)
    encoder = train(settings, training, tmp_path / "run", device="cpu", quiet=True)
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    curve = [line["local/bound"] for line in lines if line["event"] == "step"]
    assert curve == pytest.approx(GOLDEN_BOUND, abs=0.05)
    assert [line["prior_critic"] for line in lines if line["event"] == "step"] == pytest.approx(GOLDEN_PRIOR, abs=0.03)
    assert lines[-2]["rank"] == pytest.approx(GOLDEN_RANK, abs=0.5)
    x, x_test = (embed(encoder, part, levels=("y",))["y"] for part in (training, test))
    accuracy = knn(x, training.labels, x_test, test.labels).accuracy
    assert accuracy == pytest.approx(GOLDEN_KNN, abs=0.04)
