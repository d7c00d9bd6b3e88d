"""Two processes embed together, and one of them measures: the figures are those of one process, bit for bit."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from deepinfomax.errors import UserError
from deepinfomax.evaluation.shared_embedding import own_device

PROGRAM = """
import json, sys
import numpy as np
import torch
from deepinfomax import encoders
from deepinfomax.data import ImageSet
from deepinfomax.evaluation import embeddings, encoder_evaluation, shared_embedding
from deepinfomax.training.processes import end_group

torch.set_num_threads(1)
rng = np.random.default_rng(0)
train, test = (
    ImageSet(rng.integers(0, 256, (n, 3, 16, 16), dtype=np.uint8), rng.integers(-1, 3, n), ("a", "b", "c"))
    for n in (1400, 120)
)


def make():
    return encoders.build("dcgan", (3, 16, 16), width=4, fc=8, y=6)


def measured(shared):
    torch.manual_seed(0)
    return encoder_evaluation.evaluate(
        make().eval(), train, test, measures=["knn", "rank"], controls=["random_encoder"], scale="smoke",
        make_encoder=make, quiet=True, shared=shared,
    )


def without_seconds(tree):
    return {k: without_seconds(v) for k, v in tree.items() if k != "seconds"} if isinstance(tree, dict) else tree


alone = without_seconds(measured(None))
embedded, original = [], embeddings.vectors_of


def counted(encoder, images, **settings):
    embedded.append(len(images))
    return original(encoder, images, **settings)


shared_embedding.vectors_of = counted
shared = shared_embedding.SharedEmbedding()
together = without_seconds(measured(shared))
end_group()
with open(f"{sys.argv[1]}/{shared.rank}.json", "w") as file:
    json.dump({"embedded": embedded, "same": together == alone, "returned": list(together)}, file)
"""


def test_figures_of_two_processes_are_those_of_one(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2"]
    command += ["--rdzv_backend=c10d", "--rdzv_endpoint=localhost:0", str(script), str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert first["same"]
    assert second["returned"] == []
    # Some of 1400 have no label; two batches of 500 and what is left, the trained encoder and the random one.
    assert first["embedded"][::2] == [1000, 1000]
    assert all(0 < count <= 120 for count in first["embedded"][1::2])
    assert len(second["embedded"]) == 2
    assert all(0 < count < 500 for count in second["embedded"])


def test_each_process_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert own_device(torch.device("cuda")) == torch.device("cuda", 1)
    assert own_device(torch.device("cpu")) == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match="2 processes and 1 GPU are here: start 1"):
        own_device(torch.device("cuda"))
