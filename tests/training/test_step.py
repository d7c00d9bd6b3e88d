"""The engine's step is the plain one of `objectives.play`, with Accelerate in between."""

import copy
import dataclasses
import itertools
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from deepinfomax import encoders
from deepinfomax.objectives import Batch, Facts, Game, LocalInfoMax, PriorMatching, Terms, play
from deepinfomax.objectives.supervised import Supervised
from deepinfomax.training.guards import Diverged
from deepinfomax.training.step import Step, _find_unused_parameters

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
    """Finite in its first calls only."""

    def __init__(self, finite_calls: int = 1) -> None:
        super().__init__()
        self.left = finite_calls

    def forward(self, features, batch) -> Terms:
        self.left -= 1
        return Terms({"loss": features.y.sum() * (1.0 if self.left >= 0 else float("inf"))})


def test_a_loss_that_is_not_finite_moves_nothing_and_names_every_loss() -> None:
    played = game(infinite=(1.0, Infinite()))
    step = Step(Accelerator(cpu=True), played, optimizers(played))
    step(batch())
    before = {name: p.detach().clone() for name, p in played.named_parameters()}
    with pytest.raises(Diverged, match=r"the loss is no longer finite \(local [-\d.]+, prior [-\d.]+, infinite "):
        step(batch())
    assert all(torch.equal(p, before[name]) for name, p in played.named_parameters())


def test_to_agree_asks_nothing_between_logged_steps_alone() -> None:
    played = game()
    step = Step(Accelerator(cpu=True), played, optimizers(played))
    turn = step(batch())
    for due, stop, logged in itertools.product((False, True), repeat=3):
        assert step.agree(turn, due, stop, logged=logged) == (due, stop)


@pytest.mark.parametrize("asked", [{"due": True}, {"stop": True}, {"logged": True}])
def test_a_loss_that_was_not_finite_is_told_at_the_next_answer(asked: dict[str, bool]) -> None:
    played = game()
    step = Step(Accelerator(cpu=True), played, optimizers(played))
    turn = step(batch())
    step._diverged = torch.tensor(True)
    asked = {"due": False, "stop": False, "logged": False} | asked
    assert step.agree(turn, False, False, logged=False) == (False, False)  # nobody asks yet
    with pytest.raises(Diverged, match="in one of the last steps"):
        step.agree(turn, **asked)
    assert step.agree(turn, **asked) == (asked["due"], asked["stop"])  # it is told once
    step._diverged = torch.tensor(True)
    worse = turn._replace(losses=turn.losses | {"local/loss": torch.tensor(float("nan"))})
    with pytest.raises(Diverged, match=r"the loss is no longer finite \(.*local nan"):
        step.agree(worse, **asked)


class OfTwo:
    """An Accelerator as it is in one of two processes."""

    def __init__(self) -> None:
        self._own = Accelerator(cpu=True)
        self.num_processes = 2
        self.ddp_handler = SimpleNamespace(find_unused_parameters=None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)


def test_with_other_processes_a_loss_that_is_not_finite_is_remembered() -> None:
    played = game(infinite=(1.0, Infinite(2)))  # the first call looks for parameters without a gradient
    step = Step(OfTwo(), played, optimizers(played))
    step(batch())
    assert not step._diverged
    step(batch())  # no error here: the other process would wait for ever
    assert step._diverged
    step._diverged = None
    played = game()
    step = Step(OfTwo(), played, optimizers(played))
    step._diverged = torch.tensor(True)
    step(batch())
    assert step._diverged  # also behind finite ones


@pytest.mark.parametrize(
    ("level", "prior", "unused"), [("y", True, False), ("y", False, False), ("fc", True, False), ("fc", False, True)]
)
def test_whether_parameters_are_left_without_a_gradient_is_found_before_the_first_step(
    level: str, prior: bool, unused: bool
) -> None:
    """y is left out where `fc` alone is supervised and no prior asks for it."""
    torch.manual_seed(0)
    encoder = encoders.build("dcgan", SHAPE, width=4, fc=8, y=6)
    facts = Facts.of(encoder, SHAPE, classes=2)
    own: dict[str, tuple[float, nn.Module]] = {"supervised": (1.0, Supervised(facts, level=level))}
    played = Game(encoder, own | ({"prior": (0.1, PriorMatching(facts))} if prior else {}))
    labelled = dataclasses.replace(batch(), labels=torch.tensor([0, 1] * 3))
    accelerator = OfTwo()
    step = Step(accelerator, played, optimizers(played))
    before, draws = copy.deepcopy(played.state_dict()), torch.get_rng_state()
    _find_unused_parameters(accelerator, played, step.opponents, labelled)
    assert accelerator.ddp_handler.find_unused_parameters is unused
    assert torch.equal(torch.get_rng_state(), draws)
    assert all(torch.equal(value, before[name]) for name, value in played.state_dict().items())
    assert played.training


def test_a_part_of_the_opponents_without_a_gradient_is_found_too() -> None:
    played = game()
    step = Step(OfTwo(), played, optimizers(played))
    assert step.opponents is not None
    step.opponents.register_parameter("idle", nn.Parameter(torch.zeros(1)))
    _find_unused_parameters(step.accelerator, played, step.opponents, batch())
    assert step.accelerator.ddp_handler.find_unused_parameters is True
