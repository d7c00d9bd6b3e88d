"""SimCLR, VICReg, Barlow Twins, BYOL, LeJEPA and EMP-SSL as objectives, each against a slow formula in float64."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.optim import Adam

import oracles
from deepinfomax import encoders
from deepinfomax.errors import UserError
from deepinfomax.features import Features, Shapes
from deepinfomax.objectives import (
    BYOL,
    EMPSSL,
    OBJECTIVES,
    AcrossViews,
    BarlowTwins,
    Batch,
    Facts,
    Game,
    LeJEPA,
    SimCLR,
    VICReg,
    play,
)
from deepinfomax.objectives.slices import random_slices
from deepinfomax.objectives.target import Target

SHAPES = Shapes(image=(3, 8, 8), local=(4, 2, 2), conv=(5, 2, 1), fc=(7,), y=(6,))
SMALL = {"hidden": 8, "outputs": 3}
METHODS = ["simclr", "vicreg", "barlow", "byol", "lejepa", "emp_ssl"]
N = 5


def views(count: int) -> list[Features]:
    generator = torch.Generator().manual_seed(0)

    def random(shape: tuple[int, ...]) -> Tensor:
        return torch.randn(N, *shape, generator=generator, dtype=torch.double).requires_grad_()

    return [Features(*(random(s) for s in (SHAPES.local, SHAPES.conv, SHAPES.fc, SHAPES.y))) for _ in range(count)]


def slow(method: nn.Module, z: Tensor) -> Tensor:
    if isinstance(method, SimCLR):
        return oracles.simclr(z, 0.5)
    if isinstance(method, VICReg):
        return oracles.vicreg(z, (25, 25, 2))
    if isinstance(method, BarlowTwins):
        return oracles.barlow_twins(z, 5e-3)
    if isinstance(method, EMPSSL):
        return oracles.emp_ssl(z, 200, 0.2**0.5)
    assert isinstance(method, LeJEPA)
    torch.manual_seed(3)
    return oracles.lejepa(z, random_slices(3, 4, like=z), 0.02)


def made(kind: type[nn.Module], **settings: object) -> nn.Module:
    torch.manual_seed(0)
    more = {"slices": 4} if kind is LeJEPA else {}
    return kind(Facts(SHAPES), **SMALL, **more, **settings).double().eval()


@pytest.mark.parametrize("level", ["y", "fc"])
@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("kind", [SimCLR, VICReg, BarlowTwins, LeJEPA, EMPSSL])
def test_the_loss_and_its_gradient_are_those_of_the_formula(kind: type[nn.Module], count: int, level: str) -> None:
    method, seen = made(kind, level=level), views(count)
    torch.manual_seed(3)
    loss = method.across(seen, Batch(torch.zeros(count, 1), views=count))["loss"]
    z = torch.stack([method.projector(getattr(view, level)) for view in seen])
    expected = slow(method, z)
    torch.testing.assert_close(loss, expected, check_dtype=False)
    inputs = [getattr(seen[0], level), *method.parameters()]
    ours = torch.autograd.grad(loss, inputs, retain_graph=True)
    for a, b in zip(ours, torch.autograd.grad(expected.double(), inputs), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("kind", [SimCLR, VICReg, BarlowTwins, LeJEPA, EMPSSL])
def test_gradcheck(kind: type[nn.Module]) -> None:
    method = made(kind)

    def loss(z: Tensor) -> Tensor:
        torch.manual_seed(3)
        return method.loss(z)["loss"]

    z = torch.randn(2, N, 3, dtype=torch.double, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradcheck(loss, (z,))


def game(method: str, **settings: object) -> Game:
    torch.manual_seed(0)
    encoder = encoders.build("dcgan", (3, 16, 16), width=4, fc=8, y=6)
    objective = OBJECTIVES[method](Facts.of(encoder, (3, 16, 16)), **SMALL, **settings)
    return Game(encoder, {method: (1.0, objective)})


def batch(count: int = 2) -> Batch:
    images = torch.rand(count * N, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1
    return Batch(images, views=count)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_compares_views_and_trains_encoder_and_projector(method: str) -> None:
    played = game(method)
    objective = played.objectives[method]
    assert isinstance(objective, AcrossViews)
    with pytest.raises(UserError, match=f"{method} compares views of an image and there is 1"):
        played(batch(1))
    with pytest.raises(UserError, match="compares views of an image: give it to a Game"):
        objective(views(1)[0], batch(1))
    with pytest.raises(UserError, match="has no fc"):
        OBJECTIVES[method](Facts(SHAPES._replace(fc=None)), level="fc", **SMALL)
    played(batch()).total.backward()
    assert played.encoder.y.weight.grad.abs().sum() > 0
    assert all(p.grad is not None for p in objective.projector.parameters())


def byol_by_hand(played: Game, shown: Batch) -> Tensor:
    objective = played.objectives["byol"]
    encoder, projector = objective.target.copies
    online = [played.encoder(view) for view in shown.images.chunk(shown.views)]
    prediction = torch.stack([objective.predictor(objective.projector(view.y)) for view in online])
    with torch.no_grad():
        target = torch.stack([projector(encoder(view).y) for view in shown.images.chunk(shown.views)])
    return oracles.byol(prediction, target)


@pytest.mark.parametrize("count", [2, 3])
def test_byol_predicts_what_the_copy_makes_of_the_other_view(count: int) -> None:
    played = game("byol").double().eval()
    with torch.no_grad():
        for weight in played.objectives["byol"].target.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    shown = batch(count)
    shown = Batch(shown.images.double(), views=count)
    turn, expected = played(shown), byol_by_hand(played, shown)
    torch.testing.assert_close(turn.losses["byol/loss"], expected)
    parameters = played.players()["encoder"]
    turn.total.backward()
    ours = [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in parameters]
    played.zero_grad()
    expected.backward()
    for p, own in zip(parameters, ours, strict=True):
        torch.testing.assert_close(own, torch.zeros_like(p) if p.grad is None else p.grad)


def test_the_copy_follows_slowly_without_gradient_and_belongs_to_no_player() -> None:
    played = game("byol", momentum=0.9)
    target = played.objectives["byol"].target
    followed = [*played.encoder.parameters(), *played.objectives["byol"].projector.parameters()]
    own = list(target.parameters())
    assert len(own) == len(followed)
    assert not any(p.requires_grad for p in own)
    players = {id(p) for its in played.players().values() for p in its}
    assert not players & {id(p) for p in own}
    assert players == {id(p) for p in played.parameters()} - {id(p) for p in own}
    optimizers = {"encoder": Adam(played.players()["encoder"], lr=0.01)}
    expected = [p.detach().clone() for p in own]
    for _ in range(3):
        before = [p.detach().clone() for p in followed]
        play(played.train(), batch(), optimizers)
        expected = [0.9 * a + 0.1 * b for a, b in zip(expected, before, strict=True)]
        for a, b in zip(own, expected, strict=True):
            torch.testing.assert_close(a, b)
        assert all(p.grad is None for p in own)
    before = [p.clone() for p in own]
    played.eval()(batch())
    assert all(torch.equal(a, b) for a, b in zip(own, before, strict=True))


def test_the_copy_is_saved_with_the_game() -> None:
    played, other = game("byol"), game("byol")
    optimizers = {"encoder": Adam(played.players()["encoder"], lr=0.01)}
    for _ in range(2):
        play(played.train(), batch(), optimizers)
    names = [name for name in played.state_dict() if ".target." in name]
    assert any("running_mean" in name for name in names)
    other.load_state_dict(played.state_dict(), strict=True)
    assert all(
        torch.equal(a, b) for a, b in zip(played.state_dict().values(), other.state_dict().values(), strict=True)
    )
    assert torch.equal(played(batch()).total, other.train()(batch()).total)


def test_a_copy_starts_as_what_it_follows() -> None:
    network = nn.Linear(2, 2)
    target = Target([network], 0.5)
    (copied,) = target.copies
    assert torch.equal(copied.weight, network.weight)
    target.follow()
    assert torch.equal(copied.weight, network.weight)  # exactly: nothing has moved
    assert set(dict(target.named_parameters())) == {"copies.0.weight", "copies.0.bias"}


def test_byol_outside_a_game_says_what_it_needs() -> None:
    with pytest.raises(UserError, match=r"meet\(encoder\)"):
        BYOL(Facts(SHAPES), **SMALL).across(views(2), batch())


def test_emp_ssl_looks_at_directions_only() -> None:
    method = made(EMPSSL)
    z = torch.randn(2, N, 3, dtype=torch.double)
    torch.testing.assert_close(method.loss(z)["loss"], method.loss(7 * normalize(z, dim=2))["loss"])


@pytest.mark.parametrize("kind", [SimCLR, VICReg, BarlowTwins, LeJEPA, EMPSSL])
def test_one_image_has_no_other_to_compare_it_with(kind: type[nn.Module]) -> None:
    one = [Features(*(level[:1] for level in view)) for view in views(2)]
    with pytest.raises(UserError, match="a batch of one image has no other"):
        made(kind).across(one, Batch(torch.zeros(2, 1), views=2))
