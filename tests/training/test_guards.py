"""What must hold while a run trains."""

import math

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from deepinfomax.errors import UserError
from deepinfomax.features import Features
from deepinfomax.objectives import Game
from deepinfomax.training.guards import COLLAPSED, Diverged, check_finite, check_same_data, not_finite
from deepinfomax.training.processes import any_process


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.y = nn.Linear(4, 3)
        self.norm = nn.BatchNorm1d(3)
        self.register_buffer("mask", torch.full((2,), -torch.inf))

    def forward(self, images: torch.Tensor) -> Features:
        y = self.norm(self.y(images))
        return Features(local=y, conv=None, fc=None, y=y)


def test_what_is_not_finite_is_named() -> None:
    encoder = Encoder()
    assert not_finite(encoder) == {"mask"}
    with torch.no_grad():
        encoder.y.weight[1, 2] = float("nan")
        encoder.norm.running_var[0] = float("inf")
    assert not_finite(encoder) == {"mask", "y.weight", "norm.running_var"}


def test_ruined_weights_and_a_ruined_y_are_refused() -> None:
    accelerator, images = Accelerator(cpu=True), torch.randn(8, 4)
    game = Game(Encoder(), {})
    expected = not_finite(game)
    before = game.encoder.norm.running_mean.clone()
    check_finite(accelerator, game, images, expected, 5)
    assert game.training
    assert torch.equal(game.encoder.norm.running_mean, before)  # looking changes nothing
    with torch.no_grad():
        game.encoder.y.bias[0] = 1e38
        game.encoder.y.weight[0] = 1e38
    with pytest.raises(Diverged, match=r"y is no longer finite in eval mode after step 5; any checkpoint stays"):
        check_finite(accelerator, game, images * 100, expected, 5)
    with torch.no_grad():
        game.encoder.y.bias[0] = float("nan")
    with pytest.raises(Diverged, match=r"the weights are no longer finite \(encoder\.y\.bias\) after step 6"):
        check_finite(accelerator, game, images, expected, 6)


def test_alone_a_process_decides_for_itself() -> None:
    assert any_process(Accelerator(cpu=True), True, False) == (True, False)


def test_other_data_are_refused_with_what_differs() -> None:
    data = {"count": 1000, "shape": [3, 8, 8], "fingerprint": "a"}
    check_same_data(data, dict(data), "run")
    with pytest.raises(UserError, match=r"1,000 images of 3x8x8 before, 900 images of 3x8x8 now"):
        check_same_data(data, data | {"count": 900}, "run")
    with pytest.raises(UserError, match=r"cannot resume run: .*their content does not"):
        check_same_data(data, data | {"fingerprint": "b"}, "run")


def test_together_any_process_decides_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    accelerator = Accelerator(cpu=True)
    monkeypatch.setattr(Accelerator, "num_processes", 2)
    monkeypatch.setattr(accelerator, "reduce", lambda mine: mine + torch.tensor([1.0, 0.0, 0.0]))
    assert any_process(accelerator, False, True, False) == (True, True, False)
    assert any_process(accelerator, True, False, False) == (True, False, False)


def test_losses_are_named_as_in_metrics() -> None:
    error = Diverged.of_losses({"local/loss": torch.tensor(math.inf), "prior/critic": torch.tensor(0.5)})
    assert "no longer finite (local inf, prior_critic 0.5)" in str(error)
    assert COLLAPSED == 2
