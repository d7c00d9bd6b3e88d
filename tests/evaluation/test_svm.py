import numpy as np
import pytest
import torch
from planted import gaussians
from sklearn.svm import LinearSVC

from deepinfomax.errors import UserError
from deepinfomax.evaluation import convex
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
    found = svm(x, y, x_test, y_test, scale="smoke")
    fits = found["settings"]["accuracies"]
    assert len(fits) == 5
    assert found["accuracy"] == pytest.approx(np.mean(fits))
    assert found["std"] == pytest.approx(np.std(fits, ddof=1))
    assert found["std"] > 0
    assert found["n_train"] == 360


def test_c_is_chosen_where_enough_is_left_out() -> None:
    (x, y), (x_test, y_test) = gaussians(2500, distance=1, seed=0), gaussians(300, distance=1, seed=1)
    found = svm(x, y, x_test, y_test, scale="cpu")
    assert len(found["settings"]["candidates"]) > 1
    assert found["C"] == pytest.approx(1 / (found["settings"]["weight_decay"] * 2250))
    assert len(svm(x[:500], y[:500], x_test, y_test, scale="cpu")["settings"]["candidates"]) == 1


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
    fitted, held = torch.arange(2500), torch.arange(2500, 3000)
    decay, weights = convex.choose_decay(x, y, 2, candidates, loss=loss, iterations=60, fitted=fitted, held=held)
    each = {
        c: convex.accuracy(
            convex.fit(x[fitted], y[fitted], 2, loss=loss, weight_decay=c, iterations=60), x[held], y[held]
        )
        for c in candidates
    }
    assert each[10.0] == each[3.0] == int((y[held] == 0).sum()) / len(held)  # the plateau
    assert convex.accuracy(weights, x[held], y[held]) >= max(each.values()) - 0.004
    assert decay < 1
