import os
from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _no_outside_state(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests decode into a cache of their own and never reach for a network."""
    os.environ["DEEPINFOMAX_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["HF_HUB_OFFLINE"] = "1"
    torch.set_num_threads(1)  # the same sums on every machine, and no threads waiting for each other


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; tests that need it are skipped where there is none."""
    root = os.environ.get("DEEPINFOMAX_DATA")
    if root is None or not (Path(root) / "cifar10").is_dir():
        pytest.skip("needs CIFAR-10 as Parquet: set DEEPINFOMAX_DATA to the folder that holds cifar10/")
    return Path(root)
