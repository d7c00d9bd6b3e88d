"""The package says its types, and a client in strict mode is checked against them with every change."""

from pathlib import Path

import numpy as np
import torch

import deepinfomax
import typed_client

ROOT = Path(__file__).parent.parent


def test_the_package_is_marked_as_typed_and_its_client_is_checked() -> None:
    assert (Path(deepinfomax.__file__).parent / "py.typed").is_file()
    assert "mypy --strict --follow-imports=silent tests/typed_client.py" in (ROOT / ".ci/run").read_text()


def test_what_the_client_does_works(tmp_path: Path) -> None:
    bound = typed_client.objective(torch.randn(4, 3, 5), torch.randn(4, 1, 5))
    assert bound.shape == ()
    assert typed_client.careful(str(tmp_path)) is None
    assert deepinfomax.encoders.shapes_of(typed_client.any_network(), (3, 32, 32)).y == (16,)
    assert "infonce" in typed_client.NAMES
    np.save(tmp_path / "images.npy", np.zeros((12, 32, 32, 3), np.uint8))
    network = deepinfomax.encoders.build("dcgan", (3, 32, 32), width=4, fc=8, y=4)
    assert typed_client.vectors(network, tmp_path / "images.npy").shape == (12, 4)
