import pytest
import torch
from torch import nn

from deepinfomax.config import Training
from deepinfomax.training.optimizers import LARS, optimizer, unused


def test_lars_weight_by_weight() -> None:
    torch.manual_seed(0)
    network = nn.Linear(3, 2).double()
    lars = LARS(network.parameters(), lr=0.5, momentum=0.9, weight_decay=0.1, trust=0.02)
    by_hand = [p.detach().clone() for p in network.parameters()]
    velocity = [torch.zeros_like(p) for p in by_hand]
    for _ in range(3):
        x = torch.randn(4, 3, dtype=torch.double)
        lars.zero_grad()
        network(x).square().sum().backward()
        for k, parameter in enumerate(network.parameters()):
            g = parameter.grad.clone()
            if parameter.ndim > 1:
                g = g + 0.1 * by_hand[k]
                g = g * 0.02 * by_hand[k].norm() / g.norm()
            velocity[k] = 0.9 * velocity[k] + g
            by_hand[k] = by_hand[k] - 0.5 * velocity[k]
        lars.step()
        for parameter, expected in zip(network.parameters(), by_hand, strict=True):
            torch.testing.assert_close(parameter.detach(), expected)


def test_lars_moves_weights_that_are_zero_and_leaves_those_without_gradient() -> None:
    zero, idle = nn.Parameter(torch.zeros(2, 2)), nn.Parameter(torch.ones(2, 2))
    lars = LARS([zero, idle], lr=0.1)
    zero.sum().backward()
    lars.step()
    torch.testing.assert_close(zero.detach(), torch.full((2, 2), -0.1))
    assert torch.equal(idle, torch.ones(2, 2))


@pytest.mark.parametrize(("name", "kind"), [("adam", "Adam"), ("adamw", "AdamW"), ("sgd", "SGD"), ("lars", "LARS")])
def test_each_name_is_its_optimizer_with_the_settings(name: str, kind: str) -> None:
    training = Training(optimizer=name, lr=0.3, weight_decay=0.2, momentum=0.7, betas=(0.8, 0.9), trust=0.01)
    made = optimizer([nn.Parameter(torch.ones(2))], training, torch.device("cpu"))
    assert type(made).__name__ == kind
    (group,) = made.param_groups
    assert (group["lr"], group["weight_decay"]) == (0.3, 0.2)
    assert unused(training) == sorted({"betas", "momentum", "trust"} - set(group))
    assert not unused(Training(optimizer=name))
    if name in ("sgd", "lars"):
        assert group["momentum"] == 0.7
    else:
        assert group["betas"] == (0.8, 0.9)
    if name == "sgd":
        assert group["nesterov"]
    if name == "lars":
        assert group["trust"] == 0.01
