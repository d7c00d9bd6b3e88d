import math
from typing import Any

import pytest
import torch

import oracles
from deepinfomax.errors import UserError
from deepinfomax.features import places
from deepinfomax.information import bounds, pairs
from deepinfomax.information.pairs import local_infomax, local_infomax_with_squares, scored_infomax

SHAPES = {"one place": (4, 1, 1), "one global": (4, 3, 1), "several globals": (3, 4, 2)}
#: bounds with e^u of a score cannot be told from infinity at 1000, in any implementation
EXPONENTIAL = ("kl", "nwj", "reverse_kl", "squared_hellinger")


def features(shape: tuple[int, int, int], scale: float = 1.0, units: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    n, count, globals_each = shape
    generator = torch.Generator().manual_seed(n * count + globals_each)
    local = torch.randn(n, count, units, dtype=torch.double, generator=generator)
    glob = torch.randn(n, globals_each, units, dtype=torch.double, generator=generator) * scale
    return local.requires_grad_(), glob.requires_grad_()


@pytest.mark.parametrize("chunk_size", [None, 1, 3])
@pytest.mark.parametrize("pairing", ["global", "local"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("name", bounds.BOUNDS)
def test_all_pairs_equal_the_loop(name: str, shape: tuple[int, int, int], pairing, chunk_size) -> None:
    for scale in (1.0, 30.0, 1000.0):
        if scale > 1 and name in EXPONENTIAL:
            continue
        local, glob = features(shape, scale)
        value = local_infomax(local, glob, name, pairing=pairing, chunk_size=chunk_size)
        expected = oracles.bound(name, oracles.pairs_of(local, glob, pairing))
        torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(
            torch.autograd.grad(value, (local, glob)),
            torch.autograd.grad(expected, (local, glob)),
            rtol=1e-8,
            atol=1e-9,
        )


@pytest.mark.parametrize("chunk_size", [None, 1, 3])
@pytest.mark.parametrize("pairing", ["global", "local"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("name", sorted(set(bounds.BOUNDS) - {"infonce"}))
def test_a_normaliser_per_place_equals_the_loop(name: str, shape: tuple[int, int, int], pairing, chunk_size) -> None:
    local, glob = features(shape)
    options = {"pairing": pairing, "chunk_size": chunk_size, "normaliser": "per-place"}
    expected = oracles.bound_per_place(name, local, glob)
    slow = torch.autograd.grad(expected, (local, glob))
    of_any_score = scored_infomax(lambda a, b: (a * b).sum(-1), local, glob, name, **options)
    for value in (local_infomax(local, glob, name, **options), of_any_score):
        torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(torch.autograd.grad(value, (local, glob)), slow, rtol=1e-8, atol=1e-9)
    shared = local_infomax(local, glob, name)
    if name in ("dv", "smile") and shape[1] > 1:
        assert value > shared + 1e-3  # a log of a mean is no less than the mean of logs
    else:
        torch.testing.assert_close(value, shared)


def test_drawn_negatives_with_a_normaliser_for_each_place() -> None:
    """All negatives drawn are all."""
    local, glob = features((4, 3, 2))
    drawn = local_infomax(local, glob, "dv", negatives=6, pairing="local", normaliser="per-place")
    torch.testing.assert_close(drawn, oracles.bound_per_place("dv", local, glob))


@pytest.mark.parametrize("name", bounds.BOUNDS)
def test_gradcheck(name: str) -> None:
    local, glob = features((3, 2, 2), units=3)
    assert torch.autograd.gradcheck(lambda a, b: local_infomax(a, b, name), (local, glob))


@pytest.mark.parametrize("more", [{}, {"chunk_size": 1}, {"negatives": 3}, {"clip": 2.0}])
def test_a_bound_that_sums_scores_as_they_are(more: dict[str, Any]) -> None:
    """No bound of the library does so; one of another package may."""
    difference = bounds.Bound("difference", lambda u: u, None, "sum")
    local, glob = features((3, 2, 2), units=3)

    def value(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return local_infomax(a, b, difference, generator=torch.Generator().manual_seed(0), **more)

    assert torch.autograd.gradcheck(value, (local, glob))


@pytest.mark.parametrize("map_shape", [(6,), (2, 3), (2, 1, 3)], ids=["1-d", "2-d", "3-d"])
def test_maps_of_any_rank(map_shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    feature_map = torch.randn(3, 4, *map_shape, generator=generator, dtype=torch.double)
    glob = torch.randn(3, 1, 4, generator=generator, dtype=torch.double)
    by_hand = feature_map.reshape(3, 4, -1).permute(0, 2, 1)
    expected = oracles.bound("infonce", oracles.pairs_of(by_hand, glob, "global"))
    torch.testing.assert_close(local_infomax(places(feature_map), glob), expected)


@pytest.mark.parametrize("pairing", ["global", "local"])
@pytest.mark.parametrize("name", ["infonce", "jsd", "dv", "smile"])
def test_any_score_function_over_all_pairs(name: str, pairing) -> None:
    """`scored_infomax` with a dot product is `local_infomax`, chunked or not."""
    for chunk_size in (None, 2):
        local, glob = features((4, 3, 2))
        value = scored_infomax(lambda a, b: (a * b).sum(-1), local, glob, name, pairing=pairing, chunk_size=chunk_size)
        expected = local_infomax(local, glob, name, pairing=pairing)
        torch.testing.assert_close(value, expected)
        torch.testing.assert_close(
            torch.autograd.grad(value, (local, glob)), torch.autograd.grad(expected, (local, glob))
        )


@pytest.mark.parametrize("score", [-12.0, -30.0, -1000.0, 1000.0])
def test_no_positive_among_the_negatives_at_any_score(score: float) -> None:
    """Equal scores everywhere: the positive is one of 1 + (N - 1)·L, so the bound is exactly 0.

    Earlier code put -10 where a negative is missing: 5.44 instead of 4.73 nats of loss at scores of -12.
    """
    local = torch.full((4, 6, 1), score)
    glob = torch.ones(4, 1, 1)
    torch.testing.assert_close(local_infomax(local, glob, "infonce"), torch.tensor(0.0), atol=1e-4, rtol=0)
    torch.testing.assert_close(local_infomax(local, glob, "dv"), torch.tensor(0.0), atol=1e-4, rtol=0)


def test_dv_counts_its_negatives() -> None:
    """At T = 0 the DV bound is 0 at every shape; counting N(N - 1) only is wrong by log L."""
    for n, count, globals_each in [(16, 16, 1), (64, 49, 1), (8, 9, 4), (5, 1, 1)]:
        value = local_infomax(torch.zeros(n, count, 3), torch.zeros(n, globals_each, 3), "dv")
        torch.testing.assert_close(value, torch.tensor(0.0), atol=1e-5, rtol=0)


def test_infonce_never_exceeds_its_cap() -> None:
    local = torch.eye(8).unsqueeze(1) * 50
    value = local_infomax(local, local / 5, "infonce")
    cap = bounds.infonce.cap(pairs.count_negatives(local, local))
    assert cap == pytest.approx(math.log(8))
    assert value.item() == pytest.approx(cap, abs=1e-4)


@pytest.mark.parametrize("pairing", ["global", "local"])
@pytest.mark.parametrize("name", ["infonce", "jsd", "dv"])
def test_counted_negatives_equal_the_loop(name: str, pairing) -> None:
    local, glob = features((4, 3, 2))
    anchors, candidates = (glob, local) if pairing == "global" else (local, glob)
    count, each = 4, candidates.shape[1]
    value = local_infomax(
        local, glob, name, negatives=count, pairing=pairing, generator=torch.Generator().manual_seed(5)
    )
    drawn = pairs.draw_negatives(
        anchors.shape[:2], candidates.shape[:2], 0, count, torch.Generator().manual_seed(5), torch.device("cpu")
    )
    flat = candidates.flatten(0, 1)
    loop = []
    for i in range(len(anchors)):
        for a in range(anchors.shape[1]):
            positive = [anchors[i, a].dot(candidates[i, b]) for b in range(each)]
            negative = [anchors[i, a].dot(flat[p]) for p in drawn[i, a]]
            assert all(p // each != i for p in drawn[i, a].tolist())
            assert len(set(drawn[i, a].tolist())) == count
            loop.append((positive, negative))
    expected = oracles.bound(name, loop)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(torch.autograd.grad(value, (local, glob)), torch.autograd.grad(expected, (local, glob)))


def test_negatives_are_drawn_evenly() -> None:
    drawn = pairs.draw_negatives((3, 400), (3, 5), 0, 2, torch.Generator().manual_seed(0), torch.device("cpu"))
    for i in range(3):
        counts = torch.bincount(drawn[i].flatten(), minlength=15)
        allowed = [p for p in range(15) if p // 5 != i]
        assert counts[[p for p in range(15) if p // 5 == i]].sum() == 0
        assert counts[allowed].min() > 50  # 80 expected
        assert counts[allowed].max() < 115


def test_all_negatives_drawn_are_all() -> None:
    local, glob = features((4, 3, 1))
    torch.testing.assert_close(local_infomax(local, glob, negatives=9), local_infomax(local, glob))


def test_scores_are_float32_under_autocast() -> None:
    generator = torch.Generator().manual_seed(0)
    local, glob = torch.randn(4, 3, 64, generator=generator), torch.randn(4, 1, 64, generator=generator)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = local_infomax(local, glob)
        half = local_infomax(local.bfloat16(), glob.bfloat16())
    torch.testing.assert_close(value, local_infomax(local, glob))
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, local_infomax(local.bfloat16().float(), glob.bfloat16().float()))


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """No tensor of the step is larger than the scores allowed, or than the features themselves."""
    monkeypatch.setattr(pairs, "SCORES_KEPT", 5_000)
    local, glob = torch.randn(64, 16, 8, requires_grad=True), torch.randn(64, 1, 8, requires_grad=True)
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor):
                largest = max(largest, out.untyped_storage().nbytes() // 4)
            return out

    with Watch():
        value = local_infomax(local, glob, "dv")
        value.backward()
    assert largest <= local.numel()
    assert local.numel() < 64 * 64 * 16  # all scores at once would have shown


@pytest.mark.usefixtures("any_shape")
def test_mistakes() -> None:
    local, glob = torch.zeros(4, 3, 2), torch.zeros(4, 1, 2)
    cases = [
        (local[:1], glob[:1], {}, "batch of one image has no negatives"),
        (local, glob[:2], {}, "use the same batch"),
        (local, torch.zeros(4, 1, 3), {}, "embed both alike"),
        (local, torch.zeros(4, 2), {}, r"must be \(N, L, D\)"),
        (local, glob, {"negatives": 10}, "from 1 to 9"),
        (local, glob, {"negatives": 0}, "from 1 to 9"),
        (local, glob, {"bound": "nope"}, "unknown bound"),
        (local.numpy(), glob, {}, "local must be a tensor of floats, not ndarray"),
        (local, glob.long(), {}, "glob must be a tensor of floats, not torch.int64"),
        (local.double(), glob, {}, "bring both to one type"),
        (local[:, :0], glob, {}, "nothing to score"),
        (local, glob, {"chunk_size": 0}, "chunk_size must be at least 1"),
        (local, glob, {"chunk_size": -1}, "chunk_size must be at least 1"),
        (local, glob, {"chunk_size": 2.5}, "chunk_size must be at least 1"),
        (local, glob, {"negatives": True}, "from 1 to 9"),
        (local, glob, {"pairing": "Global"}, 'pairing must be "global" or "local", not \'Global\''),
        (local, glob, {"negatives_from": "every"}, 'negatives_from must be "all" or "own"'),
        (local, glob, {"normaliser": "per_place"}, 'normaliser must be "shared" or "per-place"'),
        (local, glob, {"positives": "diagonal"}, 'positives must be "all" or "same"'),
        (local, glob, {"clip": 0.0}, "clip must be above 0"),
        (local, glob, {"bound": None}, "unknown bound None"),
        (local, glob, {"normaliser": "per-place"}, 'infonce has a normaliser for each anchor.* pairing "local"'),
        (local, glob, {"bound": "dv", "normaliser": "per-place", "negatives": 2}, 'needs pairing "local"'),
    ]
    for a, b, options, message in cases:
        with pytest.raises(UserError, match=message):
            local_infomax(a, b, **options)
    for chunk_size in (0, -1):
        with pytest.raises(UserError, match="chunk_size must be at least 1"):
            scored_infomax(lambda a, b: (a * b).sum(-1), local, glob, chunk_size=chunk_size)
    with pytest.raises(UserError, match="pairing must be"):
        scored_infomax(lambda a, b: (a * b).sum(-1), local, glob, pairing="places")  # type: ignore[arg-type]


@pytest.mark.parametrize("pairing", ["global", "local"])
@pytest.mark.parametrize("negatives", ["all", 2])
def test_a_score_reads_local_then_global_and_no_more_rows_than_asked(pairing, negatives) -> None:
    """The two sides of a critic need not have the same units, and a few negatives cost a few rows."""
    local, glob = features((4, 3, 2))
    glob = glob[:, :, :2].detach()
    rows = []

    def score(of_local: torch.Tensor, of_global: torch.Tensor) -> torch.Tensor:
        assert of_local.shape[1:] == (5,)
        assert of_global.shape[1:] == (2,)
        rows.append(len(of_local))
        return (of_local[:, :2] * of_global).sum(1)

    generator = torch.Generator().manual_seed(5)
    value = scored_infomax(score, local, glob, "infonce", pairing=pairing, negatives=negatives, generator=generator)
    generator.manual_seed(5)
    expected = local_infomax(
        local[:, :, :2], glob, "infonce", pairing=pairing, negatives=negatives, generator=generator
    )
    torch.testing.assert_close(value, expected)
    anchors, own = (8, 3) if pairing == "global" else (12, 2)
    assert sum(rows) == anchors * (own + (3 * own if negatives == "all" else 2))


def test_a_chunk_of_scores_has_as_many_anchors_as_fit_in_65536_rows() -> None:
    rows = []

    def score(of_local: torch.Tensor, of_global: torch.Tensor) -> torch.Tensor:
        rows.append(len(of_local))
        return (of_local * of_global).sum(1)

    scored_infomax(score, torch.randn(65, 32, 3), torch.randn(65, 1, 3), "dv")
    assert rows == [65 * 32, 32 * 64 * 32, 32 * 64 * 32, 64 * 32]
    assert pairs.SCORES_KEPT * 4 == 64 * 2**20


def test_negatives_of_all_processes_or_of_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    local, glob = features((4, 3, 2))
    assert pairs.gather_with_gradient(local) is local
    monkeypatch.setattr(pairs, "processes", lambda: 5)
    assert pairs.count_negatives(local, glob) == 19 * 3
    assert pairs.count_negatives(local, glob, pairing="local") == 19 * 2
    assert pairs.count_negatives(local, glob, negatives_from="own") == 3 * 3


def test_one_negative_is_enough_and_no_unit_is_too_few() -> None:
    local, glob = torch.randn(4, 5, 3), torch.randn(4, 1, 3)
    assert torch.isfinite(local_infomax(local, glob, negatives=1))
    assert torch.isfinite(local_infomax(local[:2], glob[:2]))  # and two images are enough
    for shapes in (((4, 0, 3), (4, 1, 3)), ((4, 5, 0), (4, 1, 0)), ((4, 5, 3), (4, 0, 3))):
        with pytest.raises(UserError, match="there is nothing to score"):
            local_infomax(torch.zeros(shapes[0]), torch.zeros(shapes[1]))


def test_a_huge_positive_leaves_the_gradient_of_exponential_bounds_finite() -> None:
    """e^u of a pair drawn together is thrown away: it must not overflow on the way."""
    local = (100 * torch.eye(3)).unsqueeze(1).requires_grad_()  # scores 10^4 of each image with itself, 0 otherwise
    value = local_infomax(local, 100 * torch.eye(3).unsqueeze(1), "nwj")
    (gradient,) = torch.autograd.grad(value, local)
    assert torch.isfinite(value)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("chunk_size", [None, 1, 2])
@pytest.mark.parametrize("pairing", ["global", "local"])
@pytest.mark.parametrize("name", bounds.BOUNDS)
def test_clipped_scores_and_their_mean_square(name: str, pairing: str, chunk_size: int | None) -> None:
    generator = torch.Generator().manual_seed(0)
    local = torch.randn(4, 3, 5, generator=generator, dtype=torch.double).requires_grad_()
    glob = torch.randn(4, 2, 5, generator=generator, dtype=torch.double).requires_grad_()
    options = {"pairing": pairing, "chunk_size": chunk_size, "clip": 1.5}
    found = local_infomax_with_squares(local, glob, name, **options)
    slow = oracles.bound(name, oracles.clipped(oracles.pairs_of(local, glob, pairing), 1.5))
    squares = oracles.mean_square(local, glob)
    torch.testing.assert_close(found.bound, slow)
    torch.testing.assert_close(found.mean_square, squares)
    assert local_infomax(local, glob, name, **options) == found.bound
    ours = torch.autograd.grad(found.bound - 0.3 * found.mean_square, (local, glob))
    torch.testing.assert_close(ours, torch.autograd.grad(slow - 0.3 * squares, (local, glob)))


def test_drawn_negatives_are_clipped_too() -> None:
    generator = torch.Generator().manual_seed(0)
    local = torch.randn(4, 3, 5, generator=generator, dtype=torch.double)
    glob = torch.randn(4, 2, 5, generator=generator, dtype=torch.double)
    options = {"negatives": 3, "clip": 0.5}

    def drawn(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return local_infomax(a, b, generator=torch.Generator().manual_seed(1), **options)

    assert torch.autograd.gradcheck(drawn, (local.requires_grad_(), glob.requires_grad_()))
    # Scores far beyond the clip are all ±0.5; this is the least that infoNCE of three negatives can then be.
    assert drawn(1e4 * local, glob) >= -0.5 - math.log(math.exp(-0.5) + 3 * math.exp(0.5)) + math.log(4)
