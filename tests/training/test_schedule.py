"""What a step takes by its number: rate, seed and batch, each against the formula written out."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from deepinfomax.config import Training
from deepinfomax.data.batches import Batches
from deepinfomax.data.images import ImageSet
from deepinfomax.objectives import Game, Terms
from deepinfomax.training.schedule import batches_from, count_steps, learning_rate, set_learning_rate, step_seed
from deepinfomax.training.state import RunState


def test_a_constant_rate_after_a_linear_warm_up() -> None:
    training = Training(lr=0.4, warmup=4)
    rates = [learning_rate(training, step, steps=100) for step in (1, 2, 3, 4, 5, 100)]
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.4, 0.4])


def test_half_a_cosine_begins_at_the_rate_and_never_quite_ends() -> None:
    training = Training(lr=0.4, schedule="cosine")
    rates = [learning_rate(training, step, steps=8) for step in range(1, 9)]
    assert rates == pytest.approx([0.2 * (1 + math.cos(math.pi * k / 8)) for k in range(8)])
    assert rates[0] == 0.4
    assert rates[-1] > 0


def test_warm_up_and_cosine_multiply() -> None:
    training = Training(lr=0.4, schedule="cosine", warmup=2)
    assert learning_rate(training, 1, steps=8) == pytest.approx(0.2)
    assert learning_rate(training, 2, steps=8) == pytest.approx(0.2 * (1 + math.cos(math.pi / 8)))


def test_every_optimizer_and_group_gets_the_rate() -> None:
    weights = [nn.Parameter(torch.zeros(1)) for _ in range(3)]
    one = torch.optim.SGD([{"params": weights[:1]}, {"params": weights[1:2]}], lr=1.0)
    two = torch.optim.SGD(weights[2:], lr=1.0)
    set_learning_rate([one, two], 0.25)
    assert [group["lr"] for optimizer in (one, two) for group in optimizer.param_groups] == [0.25] * 3


def test_no_two_steps_processes_or_seeds_draw_the_same() -> None:
    seeds = {step_seed(seed, step, process) for seed in (0, 1, 2) for step in range(1, 300) for process in range(8)}
    assert len(seeds) == 3 * 299 * 8
    assert 0 <= step_seed(2**63 - 1, 10**6, 7) < 2**64
    # Published figures were drawn with these.
    assert [step_seed(0, 1, 0), step_seed(0, 1, 3), step_seed(1, 0, 0)] == [4_099, 4_102, 2_000_003 * 4_099]


@pytest.mark.parametrize(
    ("training", "steps"),
    [
        (Training(epochs=3), 30),
        (Training(epochs=3, steps=7), 7),
        (Training(epochs=3, steps=30), 30),
        (Training(epochs=3, steps=31), 30),
    ],
)
def test_the_run_ends_with_its_epochs_or_its_steps(training: Training, steps: int) -> None:
    assert count_steps(training, steps_per_epoch=10) == steps


@pytest.mark.parametrize("done", [0, 1, 3, 4, 9])
def test_batches_go_on_where_the_run_stopped(done: int) -> None:
    images = ImageSet(np.arange(20, dtype=np.uint8).reshape(20, 1, 1, 1))
    batches = Batches(images, 5, seed=3)  # 4 steps an epoch
    whole = {number: batch[2].tolist() for number, batch in batches_from(batches, 0, 10)}
    assert list(whole) == list(range(1, 11))
    assert sorted(index for step in (1, 2, 3, 4) for index in whole[step]) == list(range(20))
    rest = {number: batch[2].tolist() for number, batch in batches_from(batches, done, 10)}
    assert rest == {number: index for number, index in whole.items() if number > done}


class Nothing(nn.Module):
    """An objective whose gradient is zero: what moves a weight then is decay alone."""

    def forward(self, features, batch) -> Terms:
        return Terms({"loss": 0 * features.y.sum()})


def test_weight_decay_and_betas_reach_the_optimizer_of_each_player() -> None:
    game = Game(nn.Linear(2, 2), {"nothing": (1.0, Nothing())})
    training = Training(lr=0.1, weight_decay=0.5, betas=(0.3, 0.7))
    images = ImageSet(np.zeros((1, 1, 2, 2), np.uint8))
    state = RunState(game, training, images, torch.device("cpu"))
    for optimizer in state.optimizers.values():
        assert optimizer.defaults["weight_decay"] == 0.5
        assert optimizer.defaults["betas"] == (0.3, 0.7)
        assert optimizer.defaults["lr"] == 0.1
    weight = game.encoder.weight
    before = weight.detach().clone()
    weight.grad = torch.zeros_like(weight)
    state.optimizers["encoder"].step()
    # Adam's first step is the learning rate against the sign of its gradient, here that of the decay alone.
    torch.testing.assert_close(weight.detach(), before - 0.1 * before.sign(), atol=1e-4, rtol=0)
