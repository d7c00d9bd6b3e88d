import subprocess
import sys

import pytest

import deepinfomax


def test_every_public_name_is_there() -> None:
    for name in deepinfomax.__all__:
        assert getattr(deepinfomax, name) is not None
    assert set(deepinfomax.__all__) <= set(dir(deepinfomax))
    with pytest.raises(AttributeError, match="nothing"):
        deepinfomax.nothing  # noqa: B018 - the access is the test


def test_help_does_not_wait_for_torch() -> None:
    code = "import sys, deepinfomax.cli; assert 'torch' not in sys.modules, 'torch was imported'"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
