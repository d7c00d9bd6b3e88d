"""Coordinates against slow loops, and that a predictor learns what there is to learn and no more."""

import math
from collections import Counter

import pytest
import torch
from torch.nn.functional import cross_entropy

from deepinfomax import encoders
from deepinfomax.errors import UserError
from deepinfomax.features import Features, Shapes, places
from deepinfomax.objectives import OBJECTIVES, Batch, Coordinates, Facts
from deepinfomax.objectives.coordinates import draw_positions, offset_entropy, take

MAPS = [(4, 4), (3, 5), (7,), (2, 3, 4)]


def random_features(sizes, images=4, channels=6, y=(5,), seed=0):
    generator = torch.Generator().manual_seed(seed)
    local = torch.randn(images, channels, *sizes, generator=generator)
    return Features(local, local, torch.zeros(images, 1), torch.randn(images, *y, generator=generator))


def shapes_of(features):
    return Shapes((1, 1), *(tuple(f.shape[1:]) for f in features))


def batch_of(features):
    return Batch(features.local, None, torch.arange(len(features.local)))


def coordinates_of(place, sizes):
    """A place's number -> its coordinates, by division, last axis first."""
    found = []
    for size in reversed(sizes):
        place, rest = divmod(place, size)
        found.insert(0, rest)
    return found


@pytest.mark.parametrize("sizes", MAPS)
@pytest.mark.parametrize("y", [(5,), (5, 3)])
@pytest.mark.parametrize("k", [None, 3])
def test_losses_and_accuracies_equal_loops_over_places_and_axes(sizes, y, k):
    features = random_features(sizes, y=y)
    torch.manual_seed(0)
    objective = Coordinates(Facts(shapes_of(features)), units=8, places=k).eval()
    torch.manual_seed(7)
    losses = objective(features, batch_of(features))
    torch.manual_seed(7)
    position, partner = draw_positions(4, math.prod(sizes), k, torch.device("cpu"))

    absolute, relative, right = [], [], {"absolute": [], "relative": []}
    for n in range(4):
        flat_map = features.local[n].flatten(1)
        glob = features.y[n].flatten().unsqueeze(0)
        for p, q in zip(position[n].tolist(), partner[n].tolist(), strict=True):
            assert p != q
            c, c_partner = flat_map[:, p], flat_map[:, q]
            i, i_partner = coordinates_of(p, sizes), coordinates_of(q, sizes)
            logits = objective.predictors["absolute"](glob, c.view(1, 1, -1))
            absolute.append(sum(cross_entropy(u, torch.tensor([t])) for u, t in zip(logits, i, strict=True)))
            right["absolute"].append([u.argmax().item() == t for u, t in zip(logits, i, strict=True)])
            offset = [a - b + s - 1 for a, b, s in zip(i, i_partner, sizes, strict=True)]
            logits = objective.predictors["relative"](glob, torch.cat([c, c_partner]).view(1, 1, -1))
            assert [u.shape[1] for u in logits] == [2 * s - 1 for s in sizes]
            relative.append(sum(cross_entropy(u, torch.tensor([t])) for u, t in zip(logits, offset, strict=True)))
            right["relative"].append([u.argmax().item() == t for u, t in zip(logits, offset, strict=True)])
    slow = {"absolute": absolute, "relative": relative}
    assert set(losses) == set(slow)
    for name, terms in slow.items():
        torch.testing.assert_close(losses[name], torch.stack(terms).mean())
    for kind, rows in right.items():
        table = torch.tensor(rows).float()
        torch.testing.assert_close(losses.measured[f"{kind}_accuracy"], table.prod(1).mean())
        for axis in range(len(sizes)):
            torch.testing.assert_close(losses.measured[f"{kind}_accuracy_{axis}"], table[:, axis].mean())


@pytest.mark.parametrize("kind", ["absolute", "relative", "both"])
def test_kind_chooses_the_terms_and_gradients_reach_everything(kind):
    torch.manual_seed(0)
    encoder = encoders.build("dcgan", (3, 32, 32), width=4, fc=16, y=8)
    objective = OBJECTIVES["coordinates"](Facts(encoders.shapes_of(encoder, (3, 32, 32))), kind=kind, units=16)
    features = encoder(torch.randn(8, 3, 32, 32))
    losses = objective(features, batch_of(features))
    kinds = {"absolute", "relative"} if kind == "both" else {kind}
    assert set(losses) == kinds
    assert {name.split("_")[0] for name in losses.measured} == kinds
    assert all(not value.requires_grad for value in losses.measured.values())
    sum(losses.values()).backward()
    idle = [n for m in (encoder, objective) for n, p in m.named_parameters() if p.grad is None or not p.grad.any()]
    assert not idle


def test_positions_are_different_places_each_as_likely_as_the_others():
    torch.manual_seed(0)
    position, partner = draw_positions(30_000, 6, 2, torch.device("cpu"))
    assert (position[:, 0] != position[:, 1]).all()
    assert (position != partner).all()
    table = torch.zeros(6, 6).index_put((position.flatten(), partner.flatten()), torch.tensor(1.0), accumulate=True)
    expected = 60_000 / 30
    off_diagonal = table[~torch.eye(6, dtype=torch.bool)]
    assert (off_diagonal - expected).abs().max() < 5 * expected**0.5
    for at_most in (None, 6, 100):
        everywhere, _ = draw_positions(3, 6, at_most, torch.device("cpu"))
        assert torch.equal(everywhere, torch.arange(6).expand(3, -1))


def test_take():
    local = torch.randn(3, 7, 4)
    position = torch.randint(7, (3, 5))
    slow = torch.stack([torch.stack([local[n, p] for p in position[n]]) for n in range(3)])
    assert torch.equal(take(local, position), slow)


@pytest.mark.parametrize("sizes", [*MAPS, (1, 5), (2,), (8, 8)])
def test_offset_entropy_equals_that_of_all_pairs(sizes):
    """Of all axes together: the sum of the axes' own entropies is more, wherever there are two."""
    everywhere = [coordinates_of(p, sizes) for p in range(math.prod(sizes))]
    offsets = [tuple(a - b for a, b in zip(p, q, strict=True)) for p in everywhere for q in everywhere if p != q]

    def entropy(values):
        counts = Counter(values).values()
        return -sum(n / len(values) * math.log(n / len(values)) for n in counts)

    assert offset_entropy(sizes) == pytest.approx(entropy(offsets))
    if min(sizes) > 1 and len(sizes) > 1:
        assert offset_entropy(sizes) < sum(entropy(axis) for axis in zip(*offsets, strict=True))


@pytest.mark.parametrize("sizes", MAPS)
def test_caps_are_joint_entropies(sizes):
    features = random_features(sizes)
    objective = Coordinates(Facts(shapes_of(features)))
    measured = objective(features, batch_of(features)).measured
    assert measured["absolute_cap"].item() == pytest.approx(math.log(math.prod(sizes)))
    assert measured["relative_cap"].item() == pytest.approx(offset_entropy(sizes))


def train(objective, draw, steps=150):
    optimizer = torch.optim.Adam(objective.parameters(), lr=3e-3)
    for _ in range(steps):
        features = draw()
        optimizer.zero_grad()
        terms = objective(features, batch_of(features))
        sum(terms.values()).backward()
        optimizer.step()
    return {name: value.item() for name, value in terms.measured.items()}


@pytest.mark.parametrize("sizes", [(4, 6), (8,)])
def test_it_learns_coordinates_that_the_map_carries(sizes):
    """Local features that hold a noisy code of their place: nearly all of the entropy is found."""
    torch.manual_seed(0)
    code = torch.randn(8, *sizes)

    def draw():
        local = code + 0.1 * torch.randn(32, 8, *sizes)
        return Features(local, local, torch.zeros(32, 1), torch.randn(32, 4))

    measured = train(Coordinates(Facts(shapes_of(draw())), units=64), draw, steps=300)
    for kind in ("absolute", "relative"):
        assert measured[f"{kind}_accuracy"] > 0.9
        assert 0.8 * measured[f"{kind}_cap"] < measured[f"{kind}_bound"] <= measured[f"{kind}_cap"]


def test_it_uses_the_representation():
    """A map shifted around by an amount only y tells: without y the coordinate is anyone's guess."""
    torch.manual_seed(0)
    code = torch.randn(8, 6)

    def draw(tell):
        shift = torch.randint(6, (64,))
        local = torch.stack([code.roll(int(s), dims=1) for s in shift])
        y = torch.nn.functional.one_hot(shift, 6).float() if tell else torch.zeros(64, 6)
        return Features(local, local, torch.zeros(64, 1), y)

    shapes = shapes_of(draw(True))
    told = train(Coordinates(Facts(shapes), kind="absolute", units=64), lambda: draw(True))
    untold = train(Coordinates(Facts(shapes), kind="absolute", units=64), lambda: draw(False))
    assert told["absolute_accuracy"] > 0.9
    assert untold["absolute_accuracy"] < 0.35
    assert untold["absolute_bound"] < 0.2 < told["absolute_bound"]


def test_with_strided_crops_and_many_globals():
    torch.manual_seed(0)
    encoder = encoders.build("strided", (3, 32, 32), globals="blocks", width=4, y=4)
    shapes = encoders.shapes_of(encoder, (3, 32, 32))
    objective = Coordinates(Facts(shapes), units=16, places=5)
    features = encoder(torch.randn(4, 3, 32, 32))
    assert objective.predictors["absolute"].glob.in_features == 4 * 25
    assert places(features.local).shape[1] == 49
    sum(objective(features, batch_of(features)).values()).backward()
    assert all(p.grad.any() for p in objective.parameters())


def test_two_places_are_enough():
    features = random_features((2, 1))
    losses = Coordinates(Facts(shapes_of(features)), units=8)(features, batch_of(features))
    assert all(loss.isfinite() for loss in losses.values())


def test_mistakes():
    with pytest.raises(UserError, match="places must be 1 or more"):
        Coordinates(Facts(shapes_of(random_features((3, 4)))), places=0)
    with pytest.raises(UserError, match="several places"):
        Coordinates(Facts(shapes_of(random_features((1, 1)))))
