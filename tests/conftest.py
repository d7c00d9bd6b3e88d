import os
from collections.abc import Iterator

import jaxtyping
import pytest
import torch

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
