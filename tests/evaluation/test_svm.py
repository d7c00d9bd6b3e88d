import numpy as np
import pytest
import torch
from planted import gaussians
from sklearn.svm import LinearSVC

from deepinfomax.errors import UserError
from deepinfomax.evaluation import convex
from deepinfomax.evaluation.scales import Scale
from deepinfomax.evaluation.standardising import Standardiser
from deepinfomax.evaluation.svm import svm


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_problem_is_that_of_linear_svc() -> None:
    x, y = gaussians(300, distance=1.0)
    x = Standardiser.of(x)(x)
    c = 0.05
    ours = convex.fit(x, torch.from_numpy(y), 3, loss=convex.squared_hinge, weight_decay=1 / (c * 300), iterations=300)
    # LinearSVC decays its intercept too, unless that is scaled.
    theirs = LinearSVC(C=c, dual=False, intercept_scaling=100, tol=1e-8, max_iter=5000).fit(x.numpy(), y)
    np.testing.assert_allclose(ours[:-1].numpy(), theirs.coef_.T, atol=0.01)
    np.testing.assert_allclose(ours[-1].numpy(), theirs.intercept_, atol=0.02)


def test_five_fits() -> None:
    (x, y), (x_test, y_test) = gaussians(400, distance=1, seed=0), gaussians(400, distance=1, seed=1)
    result = svm(x, y, x_test, y_test, scale="smoke")
    fits = result.settings["accuracies"]
    assert len(fits) == 5
    assert result.accuracy == pytest.approx(np.mean(fits))
    assert result.std == pytest.approx(np.std(fits, ddof=1))
    assert result.std > 0
    assert result.n_train == 360


def test_c_is_chosen_where_enough_is_left_out() -> None:
    (x, y), (x_test, y_test) = gaussians(2500, distance=1, seed=0), gaussians(300, distance=1, seed=1)
    result = svm(x, y, x_test, y_test, scale="cpu")
    assert len(result.settings["candidates"]) > 1
    assert pytest.approx(1 / (result.settings["weight_decay"] * 2250)) == result.C
    assert len(svm(x[:500], y[:500], x_test, y_test, scale="cpu").settings["candidates"]) == 1


@pytest.mark.parametrize(("scale", "iterations"), [("smoke", 20), ("cpu", 40), ("paper", 300)])
def test_the_five_fits_are_these(scale: Scale, iterations: int) -> None:
    """Each leaves a tenth of its own out and begins at zero, or where the choice of C on the first tenth ended."""
    (x, y), (x_test, y_test) = gaussians(2019, distance=0.5, seed=0), gaussians(300, distance=0.5, seed=1)
    result = svm(x, y, x_test, y_test, scale=scale, seed=3)
    standardise = Standardiser.of(x)
    x, x_test, labels, test_labels = standardise(x), standardise(x_test), torch.from_numpy(y), torch.from_numpy(y_test)
    orders = [torch.from_numpy(np.random.default_rng([3, number]).permutation(2019)) for number in range(5)]
    loss, decay, start = convex.squared_hinge, 0.1, None
    if scale != "smoke":
        decay, start = convex.choose_decay(
            x,
            labels,
            3,
            result.settings["candidates"],
            loss=loss,
            iterations=iterations,
            fitted=orders[0][201:],
            held_out=orders[0][:201],
        )
    fits = [
        convex.fit(x[o[201:]], labels[o[201:]], 3, loss=loss, weight_decay=decay, iterations=iterations, start=start)
        for o in orders
    ]
    assert result.settings["accuracies"] == [convex.accuracy(weights, x_test, test_labels) for weights in fits]
    assert len(set(result.settings["accuracies"])) > 1
    assert (result.settings["weight_decay"], result.settings["iterations"]) == (decay, iterations)


def test_too_few_images() -> None:
    x, y = gaussians(9)
    with pytest.raises(UserError, match="10 training images or more, not 9"):
        svm(x, y, x, y)


@pytest.mark.parametrize("loss", [convex.squared_hinge, convex.cross_entropy])
def test_a_plateau_of_strong_decays_does_not_end_the_choice(loss: convex.Loss) -> None:
    """Of two classes the rarer has a twentieth of the rows: strong decays all answer with the other."""
    generator = torch.Generator().manual_seed(0)
    y = (torch.rand(3000, generator=generator) < 0.05).long()
    x = torch.randn(3000, 64, generator=generator)
    x[:, 0] += 4 * y
    x = Standardiser.of(x)(x)
    candidates = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
    fitted, held_out = torch.arange(2500), torch.arange(2500, 3000)
    decay, weights = convex.choose_decay(
        x, y, 2, candidates, loss=loss, iterations=60, fitted=fitted, held_out=held_out
    )
    each = {
        c: convex.accuracy(
            convex.fit(x[fitted], y[fitted], 2, loss=loss, weight_decay=c, iterations=60), x[held_out], y[held_out]
        )
        for c in candidates
    }
    assert each[10.0] == each[3.0] == int((y[held_out] == 0).sum()) / len(held_out)  # the plateau
    assert convex.accuracy(weights, x[held_out], y[held_out]) >= max(each.values()) - 0.004
    assert decay < 1
