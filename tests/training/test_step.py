"""The engine's step is the plain one of `objectives.play`, with Accelerate in between."""

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from deepinfomax import encoders
from deepinfomax.objectives import Batch, Facts, Game, LocalInfoMax, PriorMatching, Terms, play
from deepinfomax.training.guards import Diverged
from deepinfomax.training.step import Step

SHAPE = (3, 16, 16)


def game(prior: bool = True, **more: tuple[float, nn.Module]) -> Game:
    torch.manual_seed(0)
    encoder = encoders.build("dcgan", SHAPE, width=4, fc=8, y=6)
    facts = Facts.of(encoder, SHAPE)
    own: dict[str, tuple[float, nn.Module]] = {"local": (0.5, LocalInfoMax(facts, units=8))}
    return Game(encoder, own | ({"prior": (0.1, PriorMatching(facts))} if prior else {}) | more)


def optimizers(played: Game) -> dict[str, torch.optim.Optimizer]:
    return {player: torch.optim.Adam(its, lr=0.01) for player, its in played.players().items()}


def batch() -> Batch:
    return Batch(torch.rand(6, *SHAPE, generator=torch.Generator().manual_seed(1)) * 2 - 1)


@pytest.mark.parametrize("prior", [True, False])
def test_two_steps_are_two_plain_ones(prior: bool) -> None:
    engine, plain = game(prior), game(prior)
    step, by_hand = Step(Accelerator(cpu=True), engine, optimizers(engine)), optimizers(plain)
    for seed in (3, 4):
        torch.manual_seed(seed)
        turn = step(batch())
        torch.manual_seed(seed)
        expected = play(plain, batch(), by_hand)
    for name, value in plain.state_dict().items():
        assert torch.equal(engine.state_dict()[name], value), name
    assert {k: v.item() for k, v in turn.losses.items()} == {k: v.item() for k, v in expected.losses.items()}
    assert turn.measured.keys() == expected.measured.keys()
    assert turn.total == expected.total
    for tensor in (turn.total, turn.features.y, *turn.losses.values()):
        assert not tensor.requires_grad


def test_opponents_ask_for_gradients_again_once_the_first_player_is_prepared() -> None:
    played = game()
    step = Step(Accelerator(cpu=True), played, optimizers(played))
    assert step.opponents is not None
    assert all(parameter.requires_grad for parameter in step.opponents.parameters())


class Infinite(nn.Module):
    """Finite in its first call only."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, features, batch) -> Terms:
        self.calls += 1
        return Terms({"loss": features.y.sum() * (1.0 if self.calls == 1 else float("inf"))})


def test_a_loss_that_is_not_finite_moves_nothing_and_names_every_loss() -> None:
    played = game(infinite=(1.0, Infinite()))
    step = Step(Accelerator(cpu=True), played, optimizers(played))
    step(batch())
    before = {name: p.detach().clone() for name, p in played.named_parameters()}
    with pytest.raises(Diverged, match=r"the loss is no longer finite \(local [-\d.]+, prior [-\d.]+, infinite "):
        step(batch())
    assert all(torch.equal(p, before[name]) for name, p in played.named_parameters())
