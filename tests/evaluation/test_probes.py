import numpy as np
import pytest
import torch
from planted import gaussians
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from deepinfomax.errors import UserError
from deepinfomax.evaluation import convex
from deepinfomax.evaluation.draws import seeded
from deepinfomax.evaluation.few_labels import LabelBudget, count_of_each_class, parse_measure_name, share_of_each_class
from deepinfomax.evaluation.knn import knn
from deepinfomax.evaluation.labels import check_labels
from deepinfomax.evaluation.probes import few_labels, linear, mlp, mlp_network
from deepinfomax.evaluation.standardising import Standardiser
from deepinfomax.evaluation.svm import svm

PROBES = [mlp, linear, knn, svm]
KEYS = {"accuracy", "std", "n_train", "n_test", "constant_units", "protocol", "settings", "seconds"}


@pytest.mark.parametrize("probe", PROBES)
def test_separable_classes_are_told_apart(probe) -> None:
    (x, y), (x_test, y_test) = gaussians(300, seed=0), gaussians(200, seed=1)
    found = probe(x, y, x_test, y_test, scale="smoke")
    assert found["accuracy"] > 0.97
    assert found.keys() >= KEYS
    assert (found["n_train"], found["n_test"]) == (270 if probe is svm else 300, 200)


@pytest.mark.parametrize("probe", PROBES)
def test_noise_gives_chance(probe) -> None:
    (x, y), (x_test, y_test) = gaussians(300, distance=0, seed=0), gaussians(2000, distance=0, seed=1)
    # Three classes: the standard error of 2,000 guesses is 0.011.
    assert probe(x, y, x_test, y_test, scale="smoke")["accuracy"] == pytest.approx(1 / 3, abs=0.05)


@pytest.mark.parametrize("probe", PROBES)
def test_same_seed_same_figure_and_torchs_own_state_is_left_alone(probe) -> None:
    (x, y), (x_test, y_test) = gaussians(200, distance=2, seed=0), gaussians(200, distance=2, seed=1)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = probe(x, y, x_test, y_test, scale="smoke", seed=3)["accuracy"]
    assert torch.equal(torch.rand(3), expected)
    assert probe(x, y, x_test, y_test, scale="smoke", seed=3)["accuracy"] == first


@pytest.mark.parametrize("probe", PROBES)
def test_units_of_any_scale_offset_or_constant_make_no_difference(probe) -> None:
    (x, y), (x_test, y_test) = gaussians(200, distance=3, seed=0), gaussians(200, distance=3, seed=1)
    expected = probe(x, y, x_test, y_test, scale="smoke")

    def distorted(v: Tensor) -> Tensor:
        # Powers of two are exact in fp32; the offset costs some digits.
        return torch.cat([v * 2.0 ** torch.arange(-5, 5) + 4, torch.full((len(v), 1), 7.0)], 1)

    found = probe(distorted(x), y, distorted(x_test), y_test, scale="smoke")
    assert found["constant_units"] == 1
    if probe is not mlp:  # whose weights are drawn for one unit more
        assert found["accuracy"] == pytest.approx(expected["accuracy"], abs=0.011)


@pytest.mark.parametrize("probe", PROBES)
def test_labels_may_be_words_or_any_numbers(probe) -> None:
    (x, y), (x_test, y_test) = gaussians(200, seed=0), gaussians(100, seed=1)
    names = np.array(["cat", "dog", "eel"])
    expected = probe(x, y, x_test, y_test, scale="smoke")["accuracy"]
    assert probe(x, names[y], x_test, names[y_test], scale="smoke")["accuracy"] == expected
    assert probe(x, y * 10 + 5, x_test, y_test * 10 + 5, scale="smoke")["accuracy"] == expected


@pytest.mark.parametrize("probe", PROBES)
def test_one_class_or_attributes_are_one_line(probe) -> None:
    x, y = gaussians(20)
    with pytest.raises(UserError, match="all 20 training labels are 0: a probe needs two classes"):
        probe(x, y * 0, x, y * 0, scale="smoke")
    with pytest.raises(UserError, match="measure `attributes` instead"):
        probe(x, np.stack([y, y], 1), x, y, scale="smoke")


def test_a_class_without_training_images_counts_as_errors() -> None:
    (x, y), (x_test, y_test) = gaussians(300, seed=0), gaussians(300, seed=1)
    kept = y != 2
    found = linear(x[kept], y[kept], x_test, y_test, scale="smoke")
    assert found["accuracy"] == pytest.approx((y_test != 2).mean(), abs=0.02)
    train, test, classes = check_labels(np.array([3, 5, 3]), np.array([5, 4, 9, 3]))
    assert (train.tolist(), test.tolist(), classes) == ([0, 1, 0], [1, -1, -1, 0], 2)


def test_the_networks_layers_are_the_papers() -> None:
    kinds = [type(layer).__name__ for layer in mlp_network(64, 10)]
    assert kinds == ["Linear", "Dropout", "BatchNorm1d", "ReLU", "Linear"]
    network = mlp_network(64, 10)
    assert (network[0].out_features, network[1].p, network[4].out_features) == (200, 0.1, 10)


def test_the_mlp_beats_the_linear_probe_where_it_must() -> None:
    def xor(count: int, seed: int) -> tuple[Tensor, np.ndarray]:
        x = np.random.default_rng(seed).normal(size=(count, 2)).astype(np.float32)
        return torch.from_numpy(x), (x[:, 0] * x[:, 1] > 0).astype(int)

    data = (*xor(1000, 0), *xor(1000, 1))
    assert mlp(*data, scale="cpu")["accuracy"] > 0.9
    assert linear(*data, scale="cpu")["accuracy"] < 0.7  # a line may cut off one of the four quadrants


def test_the_accuracy_is_a_mean_over_the_last_epochs() -> None:
    (x, y), (x_test, y_test) = gaussians(5200, distance=1, seed=0), gaussians(300, distance=1, seed=1)
    found = mlp(x, y, x_test, y_test, scale="smoke")
    assert found["settings"]["averaged"] == 2
    assert found["std"] > 0
    assert "4 epochs, mean of the last 2" in found["protocol"]


def test_the_linear_probe_is_scikit_learns_logistic_regression() -> None:
    x, y = gaussians(400, distance=1.0)
    standardised = Standardiser.of(x)(x)
    labels = torch.from_numpy(y)
    for decay in (0.1, 0.01):
        ours = convex.fit(standardised, labels, 3, loss=convex.cross_entropy, weight_decay=decay, iterations=200)
        theirs = LogisticRegression(C=1 / (decay * len(x)), tol=1e-8, max_iter=2000).fit(standardised.numpy(), y)
        np.testing.assert_allclose(ours[:-1].numpy(), theirs.coef_.T, atol=0.01)
        assert (convex.scores(ours, standardised).argmax(1).numpy() == theirs.predict(standardised)).mean() > 0.99


@pytest.mark.parametrize("loss", [convex.cross_entropy, convex.squared_hinge, convex.balanced_cross_entropy])
def test_gradients_of_the_losses_are_autograds(loss) -> None:
    scores = torch.randn(9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    target = torch.arange(9) % 4
    if loss is convex.balanced_cross_entropy:
        target = (torch.arange(36).view(9, 4) % 3 == 0).double()
    value, gradient = loss(scores, target)
    value.backward()
    torch.testing.assert_close(gradient, scores.grad)


def test_the_weight_decay_is_chosen_without_the_test_images() -> None:
    (x, y), (x_test, y_test) = gaussians(3000, distance=0.7, seed=0), gaussians(300, distance=0.7, seed=1)
    one = linear(x, y, x_test, y_test, scale="cpu")
    other = linear(x, y, x_test, np.roll(y_test, 1), scale="cpu")
    assert one["settings"] == other["settings"]
    assert "chosen on held-out training images" in one["protocol"]
    assert one["accuracy"] != other["accuracy"]


def test_rows_put_in_order_by_the_same_seed_are_held_out_like_any() -> None:
    """Rows scattered by default_rng(0): drawn by that again, the held-out tenth would be of one class."""
    x, y = gaussians(3000, distance=0.7, seed=5)
    order, perm = np.argsort(y, kind="stable"), np.random.default_rng(0).permutation(3000)
    scattered, labels = torch.empty_like(x), np.empty_like(y)
    scattered[perm], labels[perm] = x[order], y[order]
    test, y_test = gaussians(500, distance=0.7, seed=6)
    found = [linear(scattered, labels, test, y_test, scale="cpu", seed=seed)["accuracy"] for seed in (0, 1)]
    assert found[0] == pytest.approx(found[1], abs=0.02)


def test_few_labels_are_drawn_anew_and_averaged() -> None:
    (x, y), (x_test, y_test) = gaussians(600, distance=2, seed=0), gaussians(400, distance=2, seed=1)
    few = few_labels(linear, x, y, x_test, y_test, budget=LabelBudget("per_class", 5), scale="smoke")
    full = linear(x, y, x_test, y_test, scale="smoke")
    assert few["n_train"] == 15
    assert few["std"] > 0
    assert 1 / 3 < few["accuracy"] < full["accuracy"]
    assert "5 labels a class, mean of 3 draws" in few["protocol"]


def test_few_per_class() -> None:
    labels = np.array([0] * 50 + [1] * 50 + [7] * 2)
    index = count_of_each_class(labels, 5, seed=1)
    assert np.unique(labels[index], return_counts=True)[1].tolist() == [5, 5, 2]
    assert torch.equal(index, count_of_each_class(labels, 5, seed=1))
    assert not torch.equal(index, count_of_each_class(labels, 5, seed=2))
    assert index.tolist() == sorted(set(index.tolist()))


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("linear_10_per_class", ("linear", LabelBudget("per_class", 10))),
        ("semi_supervised_5_per_class", ("semi_supervised", LabelBudget("per_class", 5))),
        ("semi_supervised_1_percent", ("semi_supervised", LabelBudget("percent", 1))),
        ("svm_folds", ("svm", LabelBudget("folds"))),
        ("linear_100_percent", ("linear_100_percent", None)),
        ("linear", ("linear", None)),
        ("linear_0_per_class", ("linear_0_per_class", None)),
    ],
)
def test_names_of_measures_with_few_labels(name: str, parts: tuple[str, LabelBudget | None]) -> None:
    assert parse_measure_name(name) == parts
    base, budget = parts
    assert budget is None or name == f"{base}_{budget.name}"


def test_a_share_of_each_class() -> None:
    labels = np.array([0] * 50 + [1] * 30 + [7] * 2)
    index = share_of_each_class(labels, 0.1, seed=1)
    assert np.unique(labels[index], return_counts=True)[1].tolist() == [5, 3, 1]  # one of a class at least
    assert torch.equal(index, share_of_each_class(labels, 0.1, seed=1))
    assert not torch.equal(index, share_of_each_class(labels, 0.1, seed=2))


def test_a_percentage_of_the_labels_and_folds() -> None:
    (x, y), (x_test, y_test) = gaussians(600, distance=2, seed=0), gaussians(400, distance=2, seed=1)
    found = few_labels(linear, x, y, x_test, y_test, budget=LabelBudget("percent", 2), scale="smoke")
    assert found["n_train"] == sum(max(1, round(count * 0.02)) for count in np.bincount(y))
    assert "2 % of the labels of each class, mean of 3 draws" in found["protocol"]

    folds = [np.arange(0, 100), np.arange(100, 200)]
    found = few_labels(linear, x, y, x_test, y_test, budget=LabelBudget("folds"), folds=folds, scale="smoke")
    standardiser = Standardiser.of(x)
    each = [linear(x[f], y[f], x_test, y_test, scale="smoke", standardiser=standardiser)["accuracy"] for f in folds]
    assert found["accuracy"] == np.mean(each)
    assert found["std"] == np.std(each, ddof=1)


def test_folds_that_cannot_be() -> None:
    labels = np.array([0, 1] * 5)
    with pytest.raises(UserError, match="there are no folds"):
        LabelBudget("folds").draw(labels, draws=1)
    with pytest.raises(UserError, match="name image 10"):
        LabelBudget("folds").draw(labels, draws=1, folds=[np.array([3, 10])])


def test_standardising() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(100, 5, (2500, 4)).astype(np.float32)
    x[:, 2] = 0.1  # constant, though its mean is not exactly representable
    standardiser = Standardiser.of(torch.from_numpy(x))
    found = standardiser(torch.from_numpy(x)).numpy()
    expected = (x - x.mean(0, dtype=np.float64)) / x.std(0, dtype=np.float64).clip(1e-12)
    np.testing.assert_allclose(found[:, [0, 1, 3]], expected[:, [0, 1, 3]], atol=1e-4)
    assert (found[:, 2] == 0).all()
    assert standardiser.constant_units == 1
    assert torch.isfinite(standardiser(torch.full((1, 4), 1e6))).all()


def test_seeded_restores_the_state() -> None:
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    with seeded(9):
        inside = torch.rand(2)
    with seeded(9):
        assert torch.equal(torch.rand(2), inside)
    assert torch.equal(torch.rand(2), expected)


def test_unknown_scale() -> None:
    x, y = gaussians(20)
    with pytest.raises(UserError, match="unknown scale 'huge'; choose smoke, cpu or paper"):
        mlp(x, y, x, y, scale="huge")  # type: ignore[arg-type]
