"""Several views of an image: how the game hands them out, and the local objective across them, against slow loops."""

import pytest
import torch
from torch import Tensor, nn

import oracles
from deepinfomax import encoders
from deepinfomax.errors import UserError
from deepinfomax.features import Features, Shapes, places
from deepinfomax.information import bounds
from deepinfomax.objectives import Batch, Coordinates, Facts, Game, LocalInfoMax, Terms

SHAPES = Shapes(image=(3, 8, 8), local=(4, 2, 2), conv=(5, 2, 1), fc=(7,), y=(6,))
N = 3


def views(count: int, shapes: Shapes = SHAPES) -> list[Features]:
    generator = torch.Generator().manual_seed(0)

    def random(shape: tuple[int, ...]) -> Tensor:
        return torch.randn(N, *shape, generator=generator, dtype=torch.double).requires_grad_()

    return [Features(*(random(s) for s in (shapes.local, shapes.conv, shapes.fc, shapes.y))) for _ in range(count)]


def batch(count: int) -> Batch:
    return Batch(torch.zeros(count * N, *SHAPES.image), views=count)


def local(**settings: object) -> LocalInfoMax:
    torch.manual_seed(0)
    return LocalInfoMax(Facts(SHAPES), units=6, scale=0.3, **settings).double().eval()


def embedded(objective: LocalInfoMax, seen: list[Features]) -> tuple[list[Tensor], list[Tensor]]:
    pairs = [objective.critic(places(view.local), places(view.y)) for view in seen]
    return [a for a, _ in pairs], [b for _, b in pairs]


@pytest.mark.parametrize("pairing", ["global", "local"])
@pytest.mark.parametrize("name", bounds.BOUNDS)
def test_places_of_one_view_with_y_of_every_other(name: str, pairing: str) -> None:
    objective, seen = local(bound=name, pairing=pairing), views(3)
    terms = objective.across(seen, batch(3))
    rows, glob = embedded(objective, seen)
    torch.testing.assert_close(terms.measured["bound"], oracles.between_views(name, rows, glob, pairing).detach())
    trained_as = "jsd" if name == "smile" else name
    expected = -oracles.between_views(trained_as, rows, glob, pairing)
    torch.testing.assert_close(terms["loss"], expected)
    ours = torch.autograd.grad(terms["loss"], [seen[0].local, seen[2].y], retain_graph=True)
    torch.testing.assert_close(ours, torch.autograd.grad(expected, [seen[0].local, seen[2].y]))


def test_concat_and_convolve_across_views() -> None:
    torch.manual_seed(0)
    objective = LocalInfoMax(Facts(SHAPES), units=6, critic="concat", bound="jsd").double().eval()
    seen = views(2)
    values = [
        objective(seen[v]._replace(y=seen[w].y), batch(1)).measured["bound"] for v, w in ((0, 1), (1, 0))
    ]  # one view whose y is the other's
    torch.testing.assert_close(objective.across(seen, batch(2)).measured["bound"], (values[0] + values[1]) / 2)


def test_levels_with_their_weights_and_the_terms_within_a_view() -> None:
    objective = local(y_local=0.5, y_conv=2.0, map_map=3.0, across=1.5, within=0.25)
    seen = views(2)
    torch.manual_seed(5)
    terms = objective.across(seen, batch(2))
    torch.manual_seed(5)
    sides = objective.embedded(seen)
    rows, glob = embedded(objective, seen)
    conv = [objective.conv(places(view.conv)) for view in seen]
    anchors = [side.anchor for side in sides]
    for anchor, own in zip(anchors, rows, strict=True):  # a place of its own map, times the scale of scores
        assert anchor.shape == (N, 1, 6)
        assert all(
            any(torch.allclose(a[0], 0.3 * place) for place in image) for a, image in zip(anchor, own, strict=True)
        )
    within = {
        name: sum(oracles.bound("infonce", oracles.pairs_of(a, b, "global")) for a, b in zip(side, glob, strict=True))
        / 2
        for name, side in (("within", rows), ("within_y_conv", conv))
    }
    expected = {
        "loss": -1.5 * 0.5 * oracles.between_views("infonce", rows, glob),
        "y_conv": -1.5 * 2 * oracles.between_views("infonce", conv, glob),
        "map_map": -1.5 * 3 * oracles.between_views("infonce", rows, anchors),
        "within": -0.25 * 0.5 * within["within"],
        "within_y_conv": -0.25 * 2 * within["within_y_conv"],
    }
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value)
    assert {
        "bound",
        "cap",
        "y_conv_bound",
        "map_map_cap",
        "within_bound",
        "within_y_conv_bound",
    } <= terms.measured.keys()
    one = local(y_conv=2.0, map_map=3.0, across=1.5)(seen[0], batch(1))
    assert one.keys() == {"loss", "y_conv"}


@pytest.mark.parametrize("pairing", ["global", "local"])
def test_clip_and_penalty_of_scores(pairing: str) -> None:
    objective = local(clip=0.7, score_penalty=0.05, pairing=pairing)
    seen = views(2)
    terms = objective.across(seen, batch(2))
    rows, glob = embedded(objective, seen)
    torch.testing.assert_close(terms["loss"], -oracles.between_views("infonce", rows, glob, pairing, clip=0.7))
    squares = (oracles.mean_square(rows[0], glob[1]) + oracles.mean_square(rows[1], glob[0])) / 2
    torch.testing.assert_close(terms["score_penalty"], 0.05 * squares)
    torch.testing.assert_close(terms.measured["mean_square_score"], squares.detach())
    ours = torch.autograd.grad(terms["score_penalty"], seen[0].local, retain_graph=True)
    torch.testing.assert_close(ours, torch.autograd.grad(0.05 * squares, seen[0].local))


def test_the_mean_of_the_other_views_stands_for_them() -> None:
    objective = local(several="rest")
    seen = views(3)
    terms = objective.across(seen, batch(3))
    rows, glob = embedded(objective, seen)
    values = []
    for v in range(3):
        others = sum(glob[w] for w in range(3) if w != v) / 2
        values.append(oracles.bound("infonce", oracles.pairs_of(rows[v], others, "global")))
    torch.testing.assert_close(terms["loss"], -sum(values) / 3)


def test_views_of_different_size_and_several_globals() -> None:
    shapes = SHAPES._replace(y=(6, 2))
    torch.manual_seed(0)
    objective = LocalInfoMax(Facts(shapes), units=6, scale=0.3).double().eval()
    seen = [*views(2, shapes), *views(1, shapes._replace(local=(4, 1, 1)))]
    rows, glob = embedded(objective, seen)
    torch.testing.assert_close(objective.across(seen, batch(2))["loss"], -oracles.between_views("infonce", rows, glob))


def test_the_scale_of_amdim() -> None:
    assert LocalInfoMax(Facts(SHAPES), units=16, scale="1/sqrt(units)").critic.scale == 0.25


def test_gradcheck() -> None:
    objective, seen = local(clip=2.0, score_penalty=0.1, within=0.5, y_conv=1.0), views(2)

    def loss(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        first, second = seen[0]._replace(local=a, conv=b), seen[1]._replace(y=c)
        return sum(objective.across([first, second], batch(2)).values())

    assert torch.autograd.gradcheck(loss, (seen[0].local, seen[0].conv, seen[1].y))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"y_local": 0.0}, "nothing to score"),
        ({"across": 0.0}, "nothing to score"),
        ({"critic": "concat", "clip": 20.0}, 'for "dot"'),
        ({"critic": "concat", "y_conv": 1.0}, 'for "dot"'),
        ({"critic": "concat", "scale": 0.1}, "set local.scale to none"),
        ({"clip": 0.0}, "clip must be above 0"),
    ],
)
def test_mistakes(settings: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        LocalInfoMax(Facts(SHAPES), units=4, **settings)


def test_y_conv_needs_a_conv_map() -> None:
    with pytest.raises(UserError, match="needs an encoder with a conv map"):
        LocalInfoMax(Facts(SHAPES._replace(conv=None)), units=4, y_conv=1.0)


class Seen(nn.Module):
    """Notes what it is shown."""

    least_views = 2

    def across(self, seen: list[Features], batch: Batch) -> Terms:
        self.shown = seen
        return Terms({"loss": torch.stack([view.y.mean() for view in seen]).sum()})


class One(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.batches: list[tuple[Features, Batch]] = []

    def forward(self, features: Features, batch: Batch) -> Terms:
        self.batches.append((features, batch))
        loss = (features.y * batch.images.mean()).sum()
        return Terms({"loss": loss, "more": 2 * loss}, {"number": loss + 1})


def game(objective: nn.Module) -> Game:
    torch.manual_seed(0)
    return Game(encoders.build("dcgan", (3, 16, 16), width=4, fc=8, y=6), {"it": (1.0, objective)})


def images(rows: int) -> Tensor:
    return torch.rand(rows, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def test_one_pass_for_all_views_and_an_average_for_objectives_of_one() -> None:
    one, calls = One(), []
    played = game(one)
    played.encoder.register_forward_hook(lambda *_: calls.append(1))
    labels, index = torch.arange(4), torch.arange(4) + 10
    turn = played(Batch(images(12), labels, index, views=3))
    assert len(calls) == 1
    assert turn.features.y.shape == (12, 6)
    assert len(one.batches) == 3
    for number, (features, batch) in enumerate(one.batches):
        own = slice(4 * number, 4 * number + 4)
        assert torch.equal(features.y, turn.features.y[own])
        assert torch.equal(features.local, turn.features.local[own])
        assert torch.equal(batch.images, images(12)[own])
        assert batch.views == 1
        assert torch.equal(batch.labels, labels)
        assert torch.equal(batch.index, index)
    losses = [(f.y * b.images.mean()).sum() for f, b in one.batches]
    torch.testing.assert_close(turn.losses["it/loss"], sum(losses) / 3)
    torch.testing.assert_close(turn.losses["it/more"], 2 * sum(losses) / 3)
    torch.testing.assert_close(turn.measured["it/number"], (sum(losses) / 3 + 1).detach())


def test_an_objective_across_views_sees_all_and_refuses_one() -> None:
    seen = Seen()
    played = game(seen)
    turn = played(Batch(images(8), views=2))
    assert torch.equal(torch.cat([view.fc for view in seen.shown]), turn.features.fc)
    with pytest.raises(UserError, match=r"it compares views of an image and there is 1: set training\.views to 2"):
        played(Batch(images(8)))


def test_small_views_come_last() -> None:
    seen = Seen()
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Conv2d(3, 4, 3), Pooled())
    played = Game(encoder, {"it": (1.0, seen), "one": (1.0, one := One())})
    played(Batch(images(8), views=2, small=torch.rand(12, 3, 8, 8)))
    assert [tuple(view.local.shape) for view in seen.shown] == 2 * [(4, 4, 14, 14)] + 3 * [(4, 4, 6, 6)]
    assert len(one.batches) == 2


class Pooled(nn.Module):
    def forward(self, x: Tensor) -> Features:
        return Features(local=x, conv=x, fc=x.mean((2, 3)), y=x.mean((2, 3)))


def test_only_maps_compared_need_two_views() -> None:
    played = game(LocalInfoMax(Facts.of(game(One()).encoder, (3, 16, 16)), units=8, y_local=0.0, map_map=1.0))
    with pytest.raises(UserError, match="compares views"):
        played(Batch(images(4)))
    assert played(Batch(images(4), views=2)).losses.keys() == {"it/map_map"}


def test_one_view_is_as_if_there_were_no_views() -> None:
    torch.manual_seed(0)
    facts = Facts.of(game(One()).encoder, (3, 16, 16))
    for objective in (LocalInfoMax(facts, units=8, places=3), Coordinates(facts, units=8)):
        played = game(objective)
        torch.manual_seed(3)
        turn = played(Batch(images(6)))
        torch.manual_seed(3)
        alone = objective(turn.features, Batch(images(6)))
        assert {f"it/{name}": value.item() for name, value in alone.items()} == {
            k: v.item() for k, v in turn.losses.items()
        }
