"""That shapes are checked in the tests at all: see conftest."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from deepinfomax import local_infomax
from deepinfomax.evaluation.knn import knn
from deepinfomax.features import Features, places
from deepinfomax.information.ksg import ksg
from deepinfomax.information.readouts import Scores, infonce
from deepinfomax.objectives import Batch, Facts, LocalInfoMax, Shapes
from deepinfomax.objectives.joint_embedding import nt_xent

SHAPES = Shapes(image=(3, 8, 8), local=(4, 2, 2), conv=None, fc=None, y=(5,))


def features(*, y: tuple[int, ...] = (6, 5)) -> Features:
    return Features(local=torch.randn(6, 4, 2, 2), conv=None, fc=None, y=torch.randn(y))


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: local_infomax(torch.randn(4, 3, 2), torch.randn(4, 1, 5)), "glob"),
        (lambda: local_infomax(torch.randn(4, 3, 2), torch.randn(3, 1, 2)), "glob"),
        (lambda: local_infomax(torch.randn(4, 3, 2).long(), torch.randn(4, 1, 2)), "local"),
        (lambda: nt_xent(torch.randn(4, 3)), "z"),
        (lambda: places(torch.randn(4)), "feature_map"),
        (lambda: Scores(torch.randn(4, 3)), "all_pairs"),
        (lambda: features(y=(5, 5)), "y"),
        (lambda: features(y=(6,)), "y"),
        (lambda: ksg(np.zeros((9, 1)), np.zeros((8, 1))), "y"),
        (lambda: knn(torch.randn(9, 2), np.arange(9) % 2, torch.randn(5, 3), np.arange(5) % 2), "test"),
        (lambda: knn(torch.randn(9, 2), np.arange(8) % 2, torch.randn(5, 2), np.arange(5) % 2), "train_labels"),
    ],
)
def test_a_wrong_shape_fails(call, argument: str) -> None:
    with pytest.raises(TypeCheckError, match=f"typechecking parameter '{argument}'"):
        call()


def test_a_wrong_shape_inside_the_library_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    objective = LocalInfoMax(Facts(SHAPES), units=8)
    objective(features(), Batch(torch.zeros(6, 3, 8, 8)))
    monkeypatch.setattr("deepinfomax.objectives.local.together", lambda views: views[0].sum())
    with pytest.raises(TypeCheckError, match=r"EncodeAndDot\.forward"):
        objective(features(), Batch(torch.zeros(6, 3, 8, 8)))


def test_a_wrong_result_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepinfomax.information.readouts.Scores.joint", lambda self, value: value)
    with pytest.raises(TypeCheckError, match=r"return value\s*of deepinfomax\.information\.readouts\.infonce"):
        infonce(Scores(torch.randn(4, 4)))


def test_nothing_is_checked_outside_the_tests() -> None:
    code = (
        "import sys, torch; from deepinfomax import local_infomax as f; f(torch.randn(4, 3, 2), torch.randn(4, 1, 2))"
    )
    code += "; assert 'beartype' not in sys.modules and 'jaxtyping' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
