import os
from collections.abc import Callable, Iterator
from pathlib import Path

import jaxtyping
import pytest
import torch

import real_data
import shape_checks

# Before any module of the library is imported: a call with shapes other than its annotations say fails the test.
jaxtyping.install_import_hook("deepinfomax", "shape_checks.checked")

from deepinfomax.features import Features  # noqa: E402

# The hook knows functions and dataclasses, no named tuples.
Features.__new__ = jaxtyping.jaxtyped(Features.__new__, typechecker=shape_checks.checked)  # type: ignore[method-assign]


@pytest.fixture(autouse=True, scope="session")
def _no_outside_state(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests decode into a cache of their own and never reach for a network."""
    os.environ["DEEPINFOMAX_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["HF_HUB_OFFLINE"] = "1"
    torch.set_num_threads(1)  # the same sums on every machine, and no threads waiting for each other


@pytest.fixture
def any_shape() -> Iterator[None]:
    """No shape is checked: for tests that give wrong ones and ask what the library itself says to them."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def real_root() -> Callable[[str], Path]:
    """Where a real data set lies, by the name of its folder; a test is skipped where there is none."""

    def root_of(name: str) -> Path:
        root = real_data.find(name)
        if root is None:
            pytest.skip(f"needs the folder {name} in $DEEPINFOMAX_DATA, or in shared/data beside the checkout")
        return root

    return root_of
