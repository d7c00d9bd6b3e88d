import pytest
import torch

import oracles
from deepinfomax.errors import UserError
from deepinfomax.features import Features, Shapes, places
from deepinfomax.information import bounds
from deepinfomax.information.critics import ConcatAndConvolve
from deepinfomax.objectives import Batch, ContrastivePredictiveCoding, Facts, GlobalInfoMax, LocalInfoMax
from deepinfomax.objectives.local import sample_places

SHAPES = Shapes(image=(3, 8, 8), local=(4, 2, 3), conv=(5, 2, 2), fc=(7,), y=(6,))


def features(n: int = 4, shapes: Shapes = SHAPES) -> tuple[Features, Batch]:
    generator = torch.Generator().manual_seed(0)

    def random(shape: tuple[int, ...]) -> torch.Tensor:
        return torch.randn(n, *shape, generator=generator)

    made = Features(*(random(s).requires_grad_() for s in (shapes.local, shapes.conv, shapes.fc, shapes.y)))
    return made, Batch(random(shapes.image).clamp(-1, 1), None, torch.arange(n))


@pytest.mark.parametrize("name", bounds.BOUNDS)
def test_the_loss_is_minus_the_bound_of_embedded_features(name: str) -> None:
    torch.manual_seed(0)
    objective = LocalInfoMax(Facts(SHAPES), bound=name, units=8, scale=0.1).eval()
    made, batch = features()
    terms = objective(made, batch)
    local, glob = objective.critic(places(made.local), made.y.unsqueeze(1))
    pairs = oracles.pairs_of(local, glob, "global")
    torch.testing.assert_close(terms.measured["bound"], oracles.bound(name, pairs).detach())
    trained_as = "jsd" if name == "smile" else name
    torch.testing.assert_close(terms["loss"], -oracles.bound(trained_as, pairs))


@pytest.mark.parametrize("critic", ["dot", "concat"])
def test_dv_with_a_normaliser_for_each_place(critic: str) -> None:
    """Images draw the same places, so that place k of one is place k of all."""
    torch.manual_seed(0)
    objective = LocalInfoMax(Facts(SHAPES), bound="dv", critic=critic, units=8, normaliser="per-place", places=4).eval()
    made, batch = features()
    torch.manual_seed(1)
    terms = objective(made, batch)
    torch.manual_seed(1)
    drawn = torch.randperm(6)[:4]
    local, glob = objective.critic(places(made.local)[:, drawn], made.y.unsqueeze(1))
    if critic == "dot":
        expected = oracles.bound_per_place("dv", local, glob)
    else:
        scores = torch.stack([objective.critic.pair(local.flatten(0, 1), y.expand(16, -1)) for y in glob[:, 0]])
        scores = scores.view(4, 4, 4)  # y of an image, image and number of the place
        own = torch.eye(4, dtype=torch.bool)
        of_places = [scores[:, :, k][own].mean() - scores[:, :, k][~own].exp().mean().log() for k in range(4)]
        expected = sum(of_places) / 4
    torch.testing.assert_close(terms["loss"], -expected)
    (gradient,) = torch.autograd.grad(terms["loss"], made.local)
    seen = places(gradient).abs().sum((0, 2)) > 0
    assert seen.nonzero().flatten().tolist() == sorted(drawn.tolist())


@pytest.mark.parametrize("more", [{"score_penalty": 0.05}, {"clip": 20.0}, {"y_conv": 1.0}])
def test_what_concat_and_convolve_has_not_is_refused(more: dict[str, float]) -> None:
    with pytest.raises(UserError, match="concat"):
        LocalInfoMax(Facts(SHAPES), critic="concat", units=8, **more)


def test_concat_and_convolve_scores_a_concatenation() -> None:
    """Two halves of a first layer added are one layer on the concatenation."""
    torch.manual_seed(0)
    critic = ConcatAndConvolve(4, 6, 10)
    local, y = torch.randn(5, 1, 4), torch.randn(5, 1, 6)
    a, b = critic(local, y)
    joint = torch.nn.Linear(10, 10)
    with torch.no_grad():
        joint.weight.copy_(torch.cat([critic.local.weight, critic.glob.weight], 1))
        joint.bias.copy_(critic.local.bias)
    expected = critic.score(joint(torch.cat([local, y], 2))).flatten()
    torch.testing.assert_close(critic.pair(a.flatten(0, 1), b.flatten(0, 1)), expected)


@pytest.mark.parametrize(
    "options", [{"critic": "concat", "units": 8}, {"units": 8, "negatives": 3, "pairing": "local"}]
)
def test_gradients_reach_encoder_and_critic(options: dict) -> None:
    torch.manual_seed(0)
    objective = LocalInfoMax(Facts(SHAPES), bound="jsd", **options)
    made, batch = features()
    terms = objective(made, batch)
    terms["loss"].backward()
    for tensor in (made.local, made.y, *objective.parameters()):
        assert tensor.grad is not None
        assert tensor.grad.isfinite().all()
    assert made.fc.grad is None
    assert terms.measured["cap"] == pytest.approx(1.3863, abs=1e-3)


def test_several_globals() -> None:
    shapes = SHAPES._replace(y=(6, 3))
    torch.manual_seed(0)
    objective = LocalInfoMax(Facts(shapes), units=8).eval()
    made, batch = features(shapes=shapes)
    local, glob = objective.critic(places(made.local), made.y.transpose(1, 2))
    assert glob.shape == (4, 3, 8)
    expected = -oracles.bound("infonce", oracles.pairs_of(local, glob, "global"))
    torch.testing.assert_close(objective(made, batch)["loss"], expected)


def test_sampled_places_are_places_without_repetition() -> None:
    torch.manual_seed(0)
    local = torch.arange(2 * 10).view(2, 10, 1).float()
    drawn = sample_places(local, 4)
    assert drawn.shape == (2, 4, 1)
    for i in range(2):
        values = drawn[i].flatten().tolist()
        assert len(set(values)) == 4
        assert set(values) <= set(local[i].flatten().tolist())
    assert not torch.equal(drawn[0] + 10, drawn[1])


def test_mistakes() -> None:
    with pytest.raises(UserError, match=r"LocalInfoMax\.places must be 1 or more, not 0"):
        LocalInfoMax(Facts(SHAPES), places=0)
    with pytest.raises(UserError, match="unknown bound"):
        LocalInfoMax(Facts(SHAPES), bound="infonec")
    with pytest.raises(UserError, match="infonce has a normaliser for each anchor"):
        LocalInfoMax(Facts(SHAPES), normaliser="per-place")
    one, batch = features(1)
    with pytest.raises(UserError, match="batch of one image"):
        LocalInfoMax(Facts(SHAPES), units=4).eval()(one, batch)


@pytest.mark.parametrize("kind", [LocalInfoMax, GlobalInfoMax, ContrastivePredictiveCoding])
def test_tau_is_of_smile_however_it_is_written_and_of_no_other_bound(kind: type[torch.nn.Module]) -> None:
    facts = Facts(SHAPES._replace(local=(4, 5, 3)))
    for name in ("smile", "SMILE"):
        objective = kind(facts, bound=name, tau=1.5)
        scores = torch.tensor([[9.0]])
        assert objective.information.bound(scores, scores) == 9.0 - 1.5
    with pytest.raises(UserError, match="tau is the clip of the bound smile, and jsd has none"):
        kind(facts, bound="jsd", tau=1.5)
