import math

import pytest
import torch
from torch import nn

import oracles
from deepinfomax import encoders
from deepinfomax.errors import UserError
from deepinfomax.features import Features, Shapes, places
from deepinfomax.information.bounds import BOUNDS
from deepinfomax.information.pairs import local_infomax
from deepinfomax.objectives import Batch, Facts, Game
from deepinfomax.objectives.cpc import ContrastivePredictiveCoding, RowGRU, without_gradient_at
from deepinfomax.objectives.occlusion import Occlusion
from play import blobs

SHAPES = Shapes(image=(1, 8, 8), local=(4, 5, 3), conv=(4, 2, 2), fc=(6,), y=(3,))


def features(n: int = 4, shapes: Shapes = SHAPES) -> Features:
    torch.manual_seed(1)
    return Features(*(torch.randn(n, *shape, requires_grad=True) for shape in shapes[1:]))


def batch(n: int = 4) -> Batch:
    return Batch(torch.zeros(n, 1, 8, 8), None, torch.arange(n))


def test_rows_are_read_as_by_a_gru():
    """With a kernel that looks straight up only, every column is a sequence of its own for torch's GRU."""
    torch.manual_seed(0)
    ours, theirs = RowGRU(4), nn.GRU(4, 4, batch_first=True)
    with torch.no_grad():
        for convolution, weight, bias in (
            (ours.from_row, theirs.weight_ih_l0, theirs.bias_ih_l0),
            (ours.from_state, theirs.weight_hh_l0, theirs.bias_hh_l0),
        ):
            convolution.weight.zero_()
            convolution.weight[:, :, 1] = weight
            convolution.bias.copy_(bias)
    local = torch.randn(2, 4, 5, 3)
    states = ours(local)
    for column in range(3):
        expected, _ = theirs(local[:, :, :, column].transpose(1, 2))
        torch.testing.assert_close(states[:, :, :, column].transpose(1, 2), expected)


def test_a_summary_has_seen_its_cone_and_nothing_below():
    torch.manual_seed(0)
    local = torch.randn(1, 4, 6, 7, requires_grad=True)
    states = RowGRU(4)(local)
    states[0, :, 3, 1].sum().backward()
    seen = local.grad[0].abs().sum(0) > 0
    expected = [[row <= 3 and abs(column - 1) <= 4 - row for column in range(7)] for row in range(6)]
    assert seen.tolist() == expected


@pytest.mark.parametrize("bound", list(BOUNDS))
def test_bound_by_a_loop_over_offsets_rows_and_columns(bound):
    torch.manual_seed(0)
    objective, f = ContrastivePredictiveCoding(Facts(SHAPES), bound=bound, offsets=3, units=8, scale=0.1), features()
    losses = objective(f, batch())
    summaries = objective.autoregression(f.local)
    values = []
    for k, critic in enumerate(objective.critics, start=1):
        cells = [(i, j) for i in range(5 - k) for j in range(3)]
        past = torch.stack([summaries[:, :, i, j] for i, j in cells], 1)
        future = torch.stack([f.local[:, :, i + k, j] for i, j in cells], 1)
        future, past = critic(future, past)
        anchors = []
        for n in range(4):
            for cell in range(len(cells)):
                negatives = [
                    past[n, cell].dot(future[m, other]) for m in range(4) if m != n for other in range(len(cells))
                ]
                anchors.append(([past[n, cell].dot(future[n, cell])], negatives))
        values.append(oracles.bound(bound, anchors))
    expected = sum(values) / 3
    torch.testing.assert_close(losses.measured["bound"], expected.detach(), rtol=1e-4, atol=1e-5)
    for k in (1, 2, 3):
        torch.testing.assert_close(losses.measured[f"bound_{k}"], values[k - 1].detach(), rtol=1e-4, atol=1e-5)
    if bound != "smile":  # which is trained as jsd
        torch.testing.assert_close(-losses["loss"], expected, rtol=1e-4, atol=1e-5)


def test_smile_is_read_out_but_jsd_is_trained():
    f, losses = features(), {}
    for bound in ("smile", "jsd"):
        torch.manual_seed(0)
        losses[bound] = ContrastivePredictiveCoding(Facts(SHAPES), bound=bound, units=8)(f, batch())
    torch.testing.assert_close(losses["smile"], losses["jsd"])


def measured_when_trained(bound: str, local: torch.Tensor, shapes: Shapes) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    objective = ContrastivePredictiveCoding(Facts(shapes), bound=bound, units=16, offsets=2, scale=0.25, summary=False)
    optimizer = torch.optim.Adam(objective.parameters(), lr=3e-3)
    for _ in range(80):
        index = torch.randperm(len(local))[:32]
        f = Features(local=local[index], conv=None, fc=None, y=local[index].flatten(2))
        optimizer.zero_grad()
        terms = objective(f, batch(32))
        terms["loss"].backward()
        optimizer.step()
    return terms.measured


def test_rows_that_repeat_are_predicted_up_to_the_cap_and_noise_is_not():
    shapes = Shapes(image=(1, 8, 8), local=(8, 4, 2), conv=(8, 4, 2), fc=(6,), y=(3,))
    torch.manual_seed(0)
    same = torch.randn(512, 8, 1, 1).expand(-1, -1, 4, 2) + 0.05 * torch.randn(512, 8, 4, 2)
    repeated = measured_when_trained("infonce", same, shapes)
    caps = [math.log1p(31 * (4 - k) * 2) for k in (1, 2)]
    assert repeated["cap"].item() == pytest.approx(sum(caps) / 2)
    assert 0.6 * repeated["cap"] < repeated["bound"] <= repeated["cap"]
    for k in (1, 2):
        assert repeated[f"bound_{k}"] <= caps[k - 1]
    noise = measured_when_trained("infonce", torch.randn(512, 8, 4, 2), shapes)
    assert noise["bound"] < 0.1 * repeated["bound"]


def test_every_parameter_gets_a_gradient():
    torch.manual_seed(0)
    objective, f = ContrastivePredictiveCoding(Facts(SHAPES), units=8), features()
    sum(objective(f, batch()).values()).backward()
    assert all(p.grad is not None for p in objective.parameters())
    assert f.local.grad.abs().sum() > 0
    assert f.y.grad.abs().sum() > 0


@pytest.mark.parametrize("name", ["dcgan", "strided"])
def test_the_summary_trains_the_head_and_nothing_below_the_local_map(name):
    torch.manual_seed(0)
    if name not in encoders.ARCHITECTURES:
        name = next((n for n in encoders.ARCHITECTURES if "strided" in n), "dcgan")
    encoder = encoders.build(name, (1, 32, 32)).eval()
    shapes = encoders.shapes_of(encoder, (1, 32, 32))
    gradients = {}
    for summary in (True, False):
        torch.manual_seed(0)
        objective = ContrastivePredictiveCoding(Facts(shapes), units=8, offsets=2, scale=0.1, summary=summary).eval()
        encoder.zero_grad()
        torch.manual_seed(0)
        losses = objective(encoder(blobs(4, side=32)), batch())
        sum(losses.values()).backward()
        gradients[summary] = {k: None if p.grad is None else p.grad.clone() for k, p in encoder.named_parameters()}
    assert all(g is not None and g.abs().sum() > 0 for g in gradients[True].values())
    below = [k for k, g in gradients[False].items() if g is not None]
    assert 0 < len(below) < len(gradients[True])
    for k in below:
        torch.testing.assert_close(gradients[True][k], gradients[False][k], rtol=1e-3, atol=1e-6)
    assert any(k.startswith("y.") for k in gradients[True].keys() - set(below))


def test_without_gradient_at_keeps_the_value():
    x = torch.randn(3, requires_grad=True)
    middle, weight = 2 * x, torch.randn(3, requires_grad=True)
    loss = (middle * weight).sum()
    stopped = without_gradient_at(middle, loss, middle)
    assert stopped.item() == pytest.approx(loss.item())
    stopped.backward()
    torch.testing.assert_close(x.grad, torch.zeros(3))
    torch.testing.assert_close(weight.grad, middle.detach())
    with torch.no_grad():
        assert without_gradient_at(middle, loss, middle) is loss


def test_more_places_than_there_are_mean_all():
    torch.manual_seed(0)
    objective = ContrastivePredictiveCoding(Facts(SHAPES), bound="jsd", units=8, scale=0.1, summary=False).eval()
    all_of_them = objective(features(), batch())["loss"]
    objective.places = 14  # the deepest offset leaves 3 to 12 places, of 4 channels
    torch.testing.assert_close(objective(features(), batch())["loss"], all_of_them)


def test_scores_are_products_as_they_are_where_no_scale_is_given():
    objective = ContrastivePredictiveCoding(Facts(SHAPES), units=8)
    assert {critic.scale for critic in (*objective.critics, objective.summary)} == {1.0}


def test_drawn_places_estimate_the_same_with_fewer_negatives():
    torch.manual_seed(0)
    objective = ContrastivePredictiveCoding(
        Facts(SHAPES), bound="jsd", units=8, scale=0.1, offsets=1, summary=False
    ).eval()
    f = features()
    full = objective(f, batch())["loss"].item()
    objective.places = 5
    drawn = torch.tensor([objective(f, batch())["loss"].item() for _ in range(400)])
    assert abs(drawn.mean() - full) < 5 * drawn.std() / 20
    objective.information.bound = BOUNDS["infonce"]
    assert objective(f, batch()).measured["cap"].item() == pytest.approx(math.log1p(3 * 5))


def test_a_sequence_has_steps_for_rows():
    shapes = SHAPES._replace(image=(1, 50), local=(4, 7), conv=(4, 7))
    torch.manual_seed(0)
    objective, f = ContrastivePredictiveCoding(Facts(shapes), units=8), features(shapes=shapes)
    sum(objective(f, batch()).values()).backward()
    assert f.local.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("local", "settings", "message"),
    [
        ((4, 3, 3), {"offsets": 3}, "from 1 to 2: the local map has 3 rows"),
        ((4,), {}, "rows and columns"),
        ((4, 5, 5, 5), {}, "rows and columns"),
        ((4, 5, 5), {"places": 0}, "places must be 1 or more, not 0"),
        ((4, 5, 5), {"bound": "no"}, "unknown bound"),
    ],
)
def test_maps_and_settings_that_do_not_fit(local, settings, message):
    with pytest.raises(UserError, match=message):
        ContrastivePredictiveCoding(Facts(SHAPES._replace(local=local)), **settings)


def test_a_summary_is_refused_beside_occlusion_which_would_let_it_train_the_encoder():
    encoder = encoders.build("dcgan", (3, 32, 32), width=4, fc=8, y=6)
    shapes, occlusion = encoders.shapes_of(encoder, (3, 32, 32)), Occlusion((3, 32, 32))
    with pytest.raises(UserError, match=r"occlusion takes y from another pass .* set cpc\.summary to false"):
        Game(encoder, {"cpc": (1.0, ContrastivePredictiveCoding(Facts(shapes), units=8))}, occlusion)
    without = ContrastivePredictiveCoding(Facts(shapes), units=8, summary=False)
    turn = Game(encoder, {"cpc": (1.0, without)}, occlusion)(Batch(torch.randn(4, 3, 32, 32)))
    assert set(turn.losses) == {"cpc/loss"}


def test_the_summary_is_read_from_the_last_row():
    torch.manual_seed(0)
    objective, f = ContrastivePredictiveCoding(Facts(SHAPES), units=8, summary=True), features()
    terms = objective(f, batch())
    torch.testing.assert_close(terms["summary"], -terms.measured["bound_summary"])
    last = places(objective.autoregression(f.local)[:, :, -1])
    value = local_infomax(*objective.summary(last, places(f.y)), "infonce")
    torch.testing.assert_close(terms.measured["bound_summary"], value.detach())


class Tokens(nn.Module):
    """y from rows of units, as transformers have them; the local map is another view of these."""

    def __init__(self):
        super().__init__()
        self.patches, self.y = nn.Conv2d(1, 4, 4, 4), nn.Linear(4, 3)

    def forward(self, images):
        rows = self.patches(images).flatten(2).transpose(1, 2)
        return Features(rows.transpose(1, 2).unflatten(2, (4, 4)), None, None, self.y(rows.mean(1)))


def test_the_summary_of_a_wrapped_network_trains_its_head_alone():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 4, 4), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(64, 3))
    encoder = encoders.wrap(network, local="0", y="3")
    objective = ContrastivePredictiveCoding(Facts.of(encoder, (1, 16, 16)), units=8, offsets=2)
    objective(encoder(torch.randn(4, 1, 16, 16)), batch())["summary"].backward()
    assert network[3].weight.grad.abs().sum() > 0
    assert network[0].weight.grad.abs().max() < 1e-5


def test_a_y_that_is_not_computed_from_the_local_map_is_refused():
    encoder = Tokens()
    facts = Facts.of(encoder, (1, 16, 16))
    features = encoder(torch.randn(4, 1, 16, 16))
    with pytest.raises(UserError, match="return as local the very tensor that y is computed from"):
        ContrastivePredictiveCoding(facts, units=8, offsets=2)(features, batch())
    ContrastivePredictiveCoding(facts, units=8, offsets=2, summary=False)(features, batch())
