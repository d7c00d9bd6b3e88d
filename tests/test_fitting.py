"""The parts of a training loop against loops of the test's own."""

import copy
import math
from itertools import islice

import pytest
import torch
from torch import nn

from deepinfomax.fitting import Best, ScheduledAdam, accuracy, mini_batches, steps_of, tenth_after


@pytest.mark.parametrize(("count", "batch_size", "per_pass"), [(10, 3, 3), (9, 3, 3), (5, 5, 1), (4, 7, 1), (1, 1, 1)])
def test_batches_are_full_and_no_row_comes_twice_before_a_shuffle(count: int, batch_size: int, per_pass: int) -> None:
    batches = list(islice(mini_batches(count, batch_size, generator=torch.Generator().manual_seed(3)), 4 * per_pass))
    generator = torch.Generator().manual_seed(3)
    expected = [torch.randperm(count, generator=generator).tolist() for _ in range(4)]
    size = min(batch_size, count)
    for i, batch in enumerate(batches):
        number, within = divmod(i, per_pass)
        assert batch.tolist() == expected[number][within * size : (within + 1) * size]


def test_batches_are_drawn_when_they_are_asked_for() -> None:
    """Otherwise the shuffles would change what else is drawn from the same generator: dropout."""
    torch.manual_seed(0)
    expected = [torch.rand(1), torch.randperm(4), torch.rand(1), torch.randperm(4)]
    torch.manual_seed(0)
    batches = mini_batches(4, 4)
    drawn = [torch.rand(1), next(batches), torch.rand(1), next(batches)]
    assert all(torch.equal(a, b) for a, b in zip(drawn, expected, strict=True))


def test_steps_of_epochs() -> None:
    assert steps_of(5, 10, 3) == 15
    assert steps_of(5, 2, 3) == 5
    assert steps_of(5, 10, 3, at_most=14) == 14
    assert steps_of(5, 10, 3, at_most=16) == 15


def problem() -> tuple[nn.Linear, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return nn.Linear(3, 2), torch.randn(20, 3), torch.randn(20, 2)


def test_steps_are_those_of_adam_with_a_rate_that_falls_to_a_tenth() -> None:
    network, x, target = problem()
    other = copy.deepcopy(network)
    adam = ScheduledAdam(network, lr=0.1, betas=(0.5, 0.9), schedule=tenth_after(2, 5))
    theirs = torch.optim.Adam(other.parameters(), lr=0.1, betas=(0.5, 0.9))
    for step in range(1, 8):
        theirs.param_groups[0]["lr"] = [0.1, 0.1 * 0.1, 0.1 * 0.1 * 0.1][(step > 2) + (step > 5)]
        theirs.zero_grad()
        (other(x) - target).square().mean().backward()
        theirs.step()
        adam.step((network(x) - target).square().mean())
    assert torch.equal(network.weight, other.weight)
    assert torch.equal(network.bias, other.bias)


def test_without_a_schedule_the_rate_stays_and_without_a_limit_so_does_the_gradient() -> None:
    network, x, _ = problem()
    adam = ScheduledAdam(network, lr=0.1)
    for _ in range(3):
        adam.step(1e6 * network(x).sum())
    assert adam.adam.param_groups[0]["lr"] == 0.1
    assert adam.adam.param_groups[0]["betas"] == (0.9, 0.999)
    assert network.bias.grad is not None
    assert network.bias.grad.tolist() == [2e7, 2e7]


def test_several_modules_share_the_limit_of_the_gradient() -> None:
    a, b = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    ScheduledAdam(a, b, lr=0.1, clip=1.0).step(3 * a.weight.sum() + 4 * b.weight.sum())
    assert a.weight.grad is not None
    assert b.weight.grad is not None
    assert (a.weight.grad.item(), b.weight.grad.item()) == pytest.approx((0.6, 0.8), rel=1e-5)


def test_a_gradient_that_is_not_finite_takes_no_step_and_moves_no_schedule() -> None:
    network, x, target = problem()
    adam = ScheduledAdam(network, lr=0.1, schedule=tenth_after(1), clip=5.0)
    before = network.weight.clone()
    adam.step(network(x).mean() * math.inf)
    assert torch.equal(network.weight, before)
    assert (adam.skipped, adam.adam.param_groups[0]["lr"]) == (1, 0.1)
    adam.step((network(x) - target).square().mean())
    assert not torch.equal(network.weight, before)
    assert (adam.skipped, adam.adam.param_groups[0]["lr"]) == (1, pytest.approx(0.01))


def test_the_best_weights_come_back() -> None:
    network = nn.Linear(1, 1, bias=False)
    best = Best(network)
    for step, value in enumerate((1.0, 3.0, 3.0, 2.0, math.nan), 1):
        nn.init.constant_(network.weight, step)
        best.keep_if_higher(value, step)
    assert (best.value, best.step) == (3.0, 2)  # of equal values the first
    best.restore()
    assert network.weight.item() == 2


def test_without_a_value_the_first_weights_come_back() -> None:
    network = nn.Linear(1, 1, bias=False)
    before = network.weight.clone()
    best = Best(network)
    nn.init.zeros_(network.weight)
    best.keep_if_higher(math.nan, 1)
    best.restore()
    assert torch.equal(network.weight, before)
    assert best.step == 0


@pytest.mark.parametrize("rows", [1, 3, 4, 500])
def test_accuracy_is_a_share_of_all_rows(rows: int) -> None:
    scores = torch.eye(3)[[0, 1, 2, 0, 1, 2, 0]]
    labels = torch.tensor([0, 1, 2, 1, 1, -1, -1])
    assert accuracy(lambda part: scores[part], labels, rows=rows) == 4 / 7
