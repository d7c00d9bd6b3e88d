import dataclasses
import math

import numpy as np
import pytest
import torch

import oracles
from deepinfomax.errors import UserError
from deepinfomax.information import bounds


@pytest.mark.parametrize("name", bounds.BOUNDS)
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_value_and_gradient_equal_the_formula(name: str, scale: float) -> None:
    if scale > 1 and name in ("kl", "nwj", "reverse_kl", "squared_hellinger"):
        scale = 5.0  # e^30 · e^30 leaves no digits to compare
    generator = torch.Generator().manual_seed(0)
    positive = (torch.randn(4, 3, dtype=torch.double, generator=generator) * scale).requires_grad_()
    negative = (torch.randn(4, 7, dtype=torch.double, generator=generator) * scale).requires_grad_()
    value = bounds.get(name)(positive, negative)
    expected = oracles.bound(name, [(list(p), list(n)) for p, n in zip(positive, negative, strict=True)])
    torch.testing.assert_close(value, expected)
    gradients = torch.autograd.grad(value, (positive, negative))
    torch.testing.assert_close(gradients, torch.autograd.grad(expected, (positive, negative)))


@pytest.mark.parametrize("name", bounds.BOUNDS)
def test_gradcheck(name: str) -> None:
    generator = torch.Generator().manual_seed(1)
    positive = torch.randn(3, 2, dtype=torch.double, generator=generator).requires_grad_()
    negative = torch.randn(3, 5, dtype=torch.double, generator=generator).requires_grad_()
    assert torch.autograd.gradcheck(bounds.get(name), (positive, negative))


def test_zero_scores_say_nothing() -> None:
    zeros = torch.zeros(2, 3), torch.zeros(2, 5)
    for name in ("infonce", "jsd", "dv", "smile", "squared_hellinger", "chi2"):
        torch.testing.assert_close(bounds.get(name)(*zeros), torch.tensor(0.0), atol=1e-6, rtol=0)
    torch.testing.assert_close(bounds.gan(*zeros), torch.tensor(-2 * math.log(2)))


@pytest.mark.parametrize("name", sorted(bounds.BOUNDS))
def test_anchors_in_several_axes_are_the_same_anchors(name: str) -> None:
    torch.manual_seed(0)
    positive, negative = torch.randn(2, 3, 4), torch.randn(2, 3, 5)
    bound = bounds.get(name)
    torch.testing.assert_close(bound(positive, negative), bound(positive.view(6, 4), negative.view(6, 5)))


def test_perfect_scores_reach_the_caps() -> None:
    positive, negative = torch.full((2, 3), 200.0), torch.full((2, 9), -200.0)
    for name in ("infonce", "jsd", "gan", "squared_hellinger"):
        bound = bounds.get(name)
        torch.testing.assert_close(bound(positive, negative), torch.tensor(bound.cap(9)))


@pytest.mark.parametrize(("name", "best_critic", "divergence"), [
    ("dv", lambda p, q: (p / q).log(), lambda p, q: (p * (p / q).log()).sum()),
    ("nwj", lambda p, q: 1 + (p / q).log(), lambda p, q: (p * (p / q).log()).sum()),
    ("reverse_kl", lambda p, q: (p / q).log(), lambda p, q: (q * (q / p).log()).sum()),
    ("squared_hellinger", lambda p, q: 0.5 * (p / q).log(), lambda p, q: ((p.sqrt() - q.sqrt()) ** 2).sum()),
    ("chi2", lambda p, q: 2 * (p / q - 1), lambda p, q: ((p - q) ** 2 / q).sum()),
    ("jsd", lambda p, q: (p / q).log(), lambda p, q: (p * (2 * p / (p + q)).log() + q * (2 * q / (p + q)).log()).sum()),
])  # fmt: skip
def test_the_best_critic_attains_the_divergence(name, best_critic, divergence) -> None:
    """With scores of the optimal critic repeated as often as each outcome occurs, the bound is its divergence."""
    p, q = torch.tensor([0.5, 0.3, 0.2]).double(), torch.tensor([0.2, 0.2, 0.6]).double()
    scores = best_critic(p, q)
    positive = scores.repeat_interleave((10 * p).round().long()).unsqueeze(0)
    negative = scores.repeat_interleave((10 * q).round().long()).unsqueeze(0)
    torch.testing.assert_close(bounds.get(name)(positive, negative), divergence(p, q))


def test_large_scores_stay_finite_in_float32() -> None:
    positive, negative = torch.full((2, 3), 1000.0), torch.full((2, 5), 1000.0)
    for name in ("infonce", "dv", "jsd", "smile"):
        assert bounds.get(name)(positive, negative).isfinite()


@pytest.mark.usefixtures("any_shape")
def test_mistakes() -> None:
    with pytest.raises(UserError, match="unknown bound 'infonec'"):
        bounds.get("infonec")
    with pytest.raises(UserError, match="leading axes"):
        bounds.jsd(torch.zeros(2, 1), torch.zeros(3, 1))
    with pytest.raises(UserError, match="at least two samples"):
        bounds.jsd(torch.zeros(2, 1), torch.zeros(2, 0))
    with pytest.raises(UserError, match="no positives"):
        bounds.jsd(torch.zeros(2, 0), torch.zeros(2, 1))
    for positive, negative in ((np.zeros((2, 1)), np.zeros((2, 3))), (torch.zeros(2, 1), [[0.0]] * 2)):
        with pytest.raises(UserError, match=r"^jsd: .* must be tensors, not (ndarray|list): torch\.as_tensor"):
            bounds.jsd(positive, negative)
    with pytest.raises(UserError, match="unknown bound 3"):
        bounds.get(3)  # type: ignore[arg-type]
    for tau in (0.0, -1.0, math.nan):
        with pytest.raises(UserError, match="tau must be above 0"):
            bounds.smile_with(tau)


def test_a_bound_under_another_name_has_the_same_cap() -> None:
    renamed = dataclasses.replace(bounds.infonce, name="mine own")
    assert renamed.cap(7) == pytest.approx(math.log(8))
    assert bounds.infonce.cap(0) == 0
    assert bounds.jsd.cap(7) == pytest.approx(2 * math.log(2))
    assert bounds.gan.cap(7) == 0
    assert bounds.squared_hellinger.cap(7) == 2
    for name in ("dv", "nwj", "smile", "kl", "reverse_kl", "chi2"):
        assert bounds.get(name).cap(7) == math.inf


def test_one_negative_is_enough_and_a_bound_is_its_own_name() -> None:
    one = torch.zeros(1, 1)
    assert bounds.infonce(one, one).item() == 0
    assert bounds.get(bounds.dv) is bounds.dv


def test_which_bounds_are_of_mutual_information_and_which_of_each_anchor() -> None:
    every = {b.name: b for b in vars(bounds).values() if isinstance(b, bounds.Bound)}
    assert {name for name, bound in every.items() if bound.lower_bound_of_mi} == {"infonce", "dv", "nwj", "kl"}
    assert {name for name, bound in every.items() if bound.per_anchor} == {"infonce"}


def test_the_positives_of_one_softmax_an_anchor_pass_their_function() -> None:
    """A margin that is taken from positives alone: -log of the softmax with u - 1 in the positive's place."""
    margin = dataclasses.replace(bounds.infonce, positive=lambda u: u - 1)
    positive, negative = torch.tensor([[2.0]]), torch.tensor([[0.5, -0.3]])
    expected = 1.0 - math.log(math.exp(1.0) + math.exp(0.5) + math.exp(-0.3)) + math.log(3)
    assert margin(positive, negative).item() == pytest.approx(expected, abs=1e-6)


def test_a_bound_that_cannot_be_computed_is_refused_when_it_is_made() -> None:
    with pytest.raises(UserError, match='pool must be "logsumexp" or "sum", not \'mean\''):
        dataclasses.replace(bounds.jsd, pool="mean")
    with pytest.raises(UserError, match='set pool to "logsumexp"'):
        dataclasses.replace(bounds.jsd, per_anchor=True)


@pytest.mark.parametrize("name", ["Clipped-NWJ", "NCE"])
def test_a_bound_of_a_package_has_the_name_it_is_offered_under(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "BOUNDS", {**bounds.BOUNDS, "Clipped-NWJ": bounds.nwj})
    assert bounds.get(name) is {"Clipped-NWJ": bounds.nwj, "NCE": bounds.infonce}[name]
