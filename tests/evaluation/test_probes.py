import dataclasses
import time
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import torch
from planted import gaussians
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from deepinfomax.errors import UserError
from deepinfomax.evaluation import convex
from deepinfomax.evaluation.draws import seeded
from deepinfomax.evaluation.few_labels import (
    LabelBudget,
    count_of_each_class,
    mean_over_draws,
    parse_measure_name,
    share_of_each_class,
)
from deepinfomax.evaluation.knn import knn
from deepinfomax.evaluation.labels import check_labels
from deepinfomax.evaluation.linear import SETTINGS as LINEAR_SETTINGS
from deepinfomax.evaluation.linear import linear
from deepinfomax.evaluation.measure import as_json
from deepinfomax.evaluation.mlp import SETTINGS, Settings, mlp, mlp_network
from deepinfomax.evaluation.scales import Scale
from deepinfomax.evaluation.standardising import Standardiser
from deepinfomax.evaluation.svm import svm

PROBES = [mlp, linear, knn, svm]
KEYS = {"accuracy", "std", "n_train", "n_test", "constant_units", "protocol", "settings", "seconds"}


@pytest.mark.parametrize("probe", PROBES)
def test_separable_classes_are_told_apart(probe) -> None:
    (x, y), (x_test, y_test) = gaussians(300, seed=0), gaussians(200, seed=1)
    began = time.perf_counter()
    result = probe(x, y, x_test, y_test, scale="smoke")
    assert 0 <= result.seconds <= time.perf_counter() - began
    assert result.accuracy > 0.97
    assert as_json(result).keys() >= KEYS
    assert (result.n_train, result.n_test) == (270 if probe is svm else 300, 200)


@pytest.mark.parametrize("probe", PROBES)
def test_noise_gives_chance(probe) -> None:
    (x, y), (x_test, y_test) = gaussians(300, distance=0, seed=0), gaussians(2000, distance=0, seed=1)
    # Three classes: the standard error of 2,000 guesses is 0.011.
    assert probe(x, y, x_test, y_test, scale="smoke").accuracy == pytest.approx(1 / 3, abs=0.05)


@pytest.mark.parametrize("probe", PROBES)
def test_same_seed_same_figure_and_torchs_own_state_is_left_alone(probe) -> None:
    (x, y), (x_test, y_test) = gaussians(200, distance=2, seed=0), gaussians(200, distance=2, seed=1)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = probe(x, y, x_test, y_test, scale="smoke", seed=3).accuracy
    assert torch.equal(torch.rand(3), expected)
    assert probe(x, y, x_test, y_test, scale="smoke", seed=3).accuracy == first


@pytest.mark.parametrize("probe", PROBES)
def test_units_of_any_scale_offset_or_constant_make_no_difference(probe) -> None:
    (x, y), (x_test, y_test) = gaussians(200, distance=3, seed=0), gaussians(200, distance=3, seed=1)
    expected = probe(x, y, x_test, y_test, scale="smoke")

    def distorted(v: Tensor) -> Tensor:
        # Powers of two are exact in fp32; the offset costs some digits.
        return torch.cat([v * 2.0 ** torch.arange(-5, 5) + 4, torch.full((len(v), 1), 7.0)], 1)

    result = probe(distorted(x), y, distorted(x_test), y_test, scale="smoke")
    assert result.constant_units == 1
    if probe is not mlp:  # whose weights are drawn for one unit more
        assert result.accuracy == pytest.approx(expected.accuracy, abs=0.011)


@pytest.mark.parametrize("probe", PROBES)
def test_labels_may_be_words_or_any_numbers(probe) -> None:
    (x, y), (x_test, y_test) = gaussians(200, seed=0), gaussians(100, seed=1)
    names = np.array(["cat", "dog", "eel"])
    expected = probe(x, y, x_test, y_test, scale="smoke").accuracy
    assert probe(x, names[y], x_test, names[y_test], scale="smoke").accuracy == expected
    assert probe(x, y * 10 + 5, x_test, y_test * 10 + 5, scale="smoke").accuracy == expected


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.usefixtures("any_shape")
def test_one_class_or_attributes_are_one_line(probe) -> None:
    x, y = gaussians(20)
    with pytest.raises(UserError, match="all 20 training labels are 0: a probe needs two classes"):
        probe(x, y * 0, x, y * 0, scale="smoke")
    with pytest.raises(UserError, match="measure `attributes` instead"):
        probe(x, np.stack([y, y], 1), x, y, scale="smoke")


def test_a_class_without_training_images_counts_as_errors() -> None:
    (x, y), (x_test, y_test) = gaussians(300, seed=0), gaussians(300, seed=1)
    rows = y != 2
    result = linear(x[rows], y[rows], x_test, y_test, scale="smoke")
    assert result.accuracy == pytest.approx((y_test != 2).mean(), abs=0.02)
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
    assert mlp(*data, scale="cpu").accuracy > 0.9
    assert linear(*data, scale="cpu").accuracy < 0.7  # a line may cut off one of the four quadrants


@pytest.mark.parametrize(
    ("scale", "epochs", "averaged", "decay_at", "batch_size", "lr", "betas"),
    [
        ("smoke", 5 * 4, 5 * 2, (5 * 2, 5 * 3), 128, 1e-3, (0.9, 0.999)),  # 2 batches an epoch, 40 steps or more
        ("cpu", 25 * 16, 25 * 4, (25 * 8, 25 * 12), 256, 1e-3, (0.9, 0.999)),  # 1 batch an epoch, 400 steps or more
        ("paper", 200, 100, (50, 100), 64, 1e-4, (0.5, 0.999)),
    ],
)
def test_the_mlp_probe_is_this_loop(
    scale: Scale,
    epochs: int,
    averaged: int,
    decay_at: tuple[int, int],
    batch_size: int,
    lr: float,
    betas: tuple[float, float],
) -> None:
    (x, y), (x_test, y_test) = gaussians(300, distance=1, seed=0), gaussians(500, distance=1, seed=1)
    result = mlp(x, y, x_test, y_test, scale=scale, seed=4)
    standardise = Standardiser.of(x)
    x, x_test, labels = standardise(x), standardise(x_test), torch.from_numpy(y)
    torch.manual_seed(4)
    network = nn.Sequential(nn.Linear(10, 200), nn.Dropout(0.1), nn.BatchNorm1d(200), nn.ReLU(), nn.Linear(200, 3))
    adam = torch.optim.Adam(network.parameters(), lr, betas)
    accuracies = []
    for epoch in range(1, epochs + 1):
        network.train()
        order = torch.randperm(300)
        for number in range(300 // batch_size):
            rows = order[number * batch_size : (number + 1) * batch_size]
            adam.zero_grad()
            nn.functional.cross_entropy(network(x[rows]), labels[rows]).backward()
            adam.step()
        adam.param_groups[0]["lr"] *= 0.1 if epoch in decay_at else 1
        network.eval()
        accuracies.append((network(x_test).argmax(1).numpy() == y_test).mean())
    last = accuracies[-averaged:]
    assert result.accuracy == pytest.approx(np.mean(last), abs=1e-12)
    assert result.std == pytest.approx(np.std(last, ddof=1), abs=1e-12)
    assert np.mean(accuracies[-averaged:]) != np.mean(accuracies[-averaged - 1 :])
    assert result.protocol.startswith(f"mlp-200, {epochs} epochs, mean of the last {averaged}, ")
    assert result.settings == {
        "epochs": epochs,
        "averaged": averaged,
        "decay_at": decay_at,
        "batch_size": batch_size,
        "lr": lr,
        "betas": betas,
        "scale": scale,
        "hidden": 200,
        "dropout": 0.1,
    }


def test_the_papers_schedule_of_the_mlp() -> None:
    assert SETTINGS["paper"] == Settings(
        epochs=200, averaged=100, decay_at=(50, 100), least_steps=0, batch_size=64, lr=1e-4, betas=(0.5, 0.999)
    )


def test_a_small_set_takes_more_epochs() -> None:
    settings = Settings(
        epochs=4, averaged=2, decay_at=(2, 3), least_steps=40, batch_size=10, lr=1.0, betas=(0.9, 0.999)
    )
    assert settings.for_images(100) == settings  # 10 batches an epoch: 40 steps
    assert settings.for_images(99).epochs == 8  # 9 batches: 36 steps, too few
    small = settings.for_images(7)
    assert (small.epochs, small.averaged, small.decay_at, small.batch_size) == (40, 20, (20, 30), 7)


def test_two_training_images_are_enough_for_the_mlp_and_one_is_not() -> None:
    x, y = gaussians(50)
    rows = [int(np.flatnonzero(y == c)[0]) for c in (0, 1)]
    assert mlp(x[rows], y[rows], x, y, scale="smoke").n_train == 2


def test_the_accuracy_is_a_mean_over_the_last_epochs() -> None:
    (x, y), (x_test, y_test) = gaussians(5200, distance=1, seed=0), gaussians(300, distance=1, seed=1)
    result = mlp(x, y, x_test, y_test, scale="smoke")
    assert result.settings["averaged"] == 2
    assert result.std > 0
    assert "4 epochs, mean of the last 2" in result.protocol


def test_the_linear_probe_is_scikit_learns_logistic_regression() -> None:
    x, y = gaussians(400, distance=1.0)
    standardised = Standardiser.of(x)(x)
    labels = torch.from_numpy(y)
    for decay in (0.1, 0.01):
        ours = convex.fit(standardised, labels, 3, loss=convex.cross_entropy, weight_decay=decay, iterations=200)
        theirs = LogisticRegression(C=1 / (decay * len(x)), tol=1e-8, max_iter=2000).fit(standardised.numpy(), y)
        np.testing.assert_allclose(ours[:-1].numpy(), theirs.coef_.T, atol=0.01)
        assert (convex.scores(ours, standardised).argmax(1).numpy() == theirs.predict(standardised)).mean() > 0.99


def test_the_gradient_is_that_of_the_value_with_its_weight_decay(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def minimize(fun, start, **options):
        seen.append(fun)
        return scipy.optimize.OptimizeResult(x=start)

    monkeypatch.setattr(scipy.optimize, "minimize", minimize)
    x, y = gaussians(60)
    x = x.double()
    convex.fit(x, torch.from_numpy(y), 3, loss=convex.cross_entropy, weight_decay=0.7, iterations=1)
    w = np.random.default_rng(0).normal(size=(x.shape[1] + 1) * 3)
    value, gradient = seen[0](w)
    steps = 1e-6 * np.eye(len(w))
    slopes = [(seen[0](w + step)[0] - seen[0](w - step)[0]) / 2e-6 for step in steps]
    np.testing.assert_allclose(gradient, slopes, atol=1e-6)
    weights = w.reshape(-1, 3)
    scores = torch.from_numpy(x.numpy() @ weights[:-1] + weights[-1])
    expected = torch.nn.functional.cross_entropy(scores, torch.from_numpy(y)) + 0.35 * np.square(weights[:-1]).sum()
    assert value == pytest.approx(float(expected))


def test_a_weight_decay_is_chosen_by_200_held_out_images_or_more() -> None:
    assert convex.candidates((1.0, 0.1), 200) == (1.0, 0.1)
    assert convex.candidates((1.0, 0.1), 199) == (0.01,)
    assert convex.candidates((1.0,), 0) == (1.0,)


def test_the_choice_of_a_weight_decay_ends_after_two_that_are_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fit begins where the last one ended; an equal accuracy is no worse, and a better one starts anew."""
    x, y, rows = torch.zeros(4, 1), torch.tensor([0, 1, 0, 1]), torch.arange(4)
    starts: list[Tensor | None] = []

    def fit(x: Tensor, y: Tensor, classes: int, *, weight_decay: float, start: Tensor | None, **_: object) -> Tensor:
        assert (x.shape, y.tolist(), classes) == ((3, 1), [1, 0, 1], 2)
        starts.append(start)
        return torch.full((2, 2), weight_decay)

    def chosen(*reached: float) -> tuple[float, int]:
        starts.clear()
        values = iter(reached)
        decays = tuple(float(-i) for i in range(len(reached)))
        monkeypatch.setattr(convex, "accuracy", lambda weights, x, y: next(values))
        decay, weights = convex.choose_decay(
            x, y, 2, decays, loss=convex.cross_entropy, iterations=5, fitted=rows[1:], held_out=rows[:1]
        )
        assert (weights == decay).all()
        assert [None if s is None else float(s[0, 0]) for s in starts] == [None, *decays][: len(starts)]
        return -decay, len(starts)

    monkeypatch.setattr(convex, "fit", fit)
    assert chosen(0.5, 0.4, 0.5, 0.4, 0.9) == (0, 4)
    assert chosen(0.5, 0.4, 0.6, 0.5, 0.9) == (4, 5)
    assert chosen(0.0, 0.0, 0.0) == (0, 3)


@pytest.mark.parametrize("start", [False, True])
def test_a_fit_takes_the_iterations_it_may_and_begins_where_it_is_told(
    start: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = gaussians(200, distance=1)
    said: list[str] = []
    monkeypatch.setattr(convex, "say", said.append)
    settings = {"loss": convex.cross_entropy, "weight_decay": 0.01}
    minimum = convex.fit(x, torch.from_numpy(y), 3, iterations=100, **settings)
    assert 4 < len(said) < 100
    said.clear()
    convex.fit(x, torch.from_numpy(y), 3, iterations=4, start=minimum if start else None, **settings)
    assert said == [f"iteration {i} of 4 at most" for i in range(1, 2 if start else 5)]


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
    assert one.settings == other.settings
    assert "chosen on held-out training images" in one.protocol
    assert one.accuracy != other.accuracy


@pytest.mark.parametrize(("scale", "count", "held_out"), [("cpu", 2500, 250), ("paper", 2009, 200)])
def test_a_tenth_is_held_out_to_choose_the_weight_decay(
    scale: Scale, count: int, held_out: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts: list[list[int]] = []
    chosen: list[float] = []
    choose_decay = convex.choose_decay

    def spy(*arguments: Any, **settings: Any) -> tuple[float, Tensor]:
        parts.extend(settings[name].tolist() for name in ("fitted", "held_out"))
        decay, weights = choose_decay(*arguments, **settings)
        chosen.append(decay)
        return decay, weights

    monkeypatch.setattr(convex, "choose_decay", spy)
    (x, y), (x_test, y_test) = gaussians(count, distance=1, seed=0), gaussians(100, distance=1, seed=1)
    result = linear(x, y, x_test, y_test, scale=scale)
    assert len(parts[1]) == held_out
    assert sorted(parts[0] + parts[1]) == list(range(count))
    assert chosen == [result.settings["weight_decay"]]
    assert pytest.approx(1 / (chosen[0] * count)) == result.C
    assert result.n_train == count


def test_rows_put_in_order_by_the_same_seed_are_held_out_like_any() -> None:
    """Rows scattered by default_rng(0): drawn by that again, the held-out tenth would be of one class."""
    x, y = gaussians(3000, distance=0.7, seed=5)
    order, perm = np.argsort(y, kind="stable"), np.random.default_rng(0).permutation(3000)
    scattered, labels = torch.empty_like(x), np.empty_like(y)
    scattered[perm], labels[perm] = x[order], y[order]
    test, y_test = gaussians(500, distance=0.7, seed=6)
    result = [linear(scattered, labels, test, y_test, scale="cpu", seed=seed).accuracy for seed in (0, 1)]
    assert result[0] == pytest.approx(result[1], abs=0.02)


def test_few_labels_are_drawn_anew_and_averaged() -> None:
    (x, y), (x_test, y_test) = gaussians(600, distance=2, seed=0), gaussians(400, distance=2, seed=1)
    few = mean_over_draws(linear, x, y, x_test, y_test, budget=LabelBudget("per_class", 5), scale="smoke")
    full = linear(x, y, x_test, y_test, scale="smoke")
    assert few.n_train == 15
    assert few.std > 0
    assert 1 / 3 < few.accuracy < full.accuracy
    assert "5 labels a class, mean of 3 draws" in few.protocol


def test_every_accuracy_is_a_mean_over_draws() -> None:
    (x, y), (x_test, y_test) = gaussians(300, distance=1, seed=0), gaussians(200, distance=1, seed=1)
    budget = LabelBudget("per_class", 8)
    few = mean_over_draws(knn, x, y, x_test, y_test, budget=budget, scale="smoke")
    draws, _ = budget.draw(y, draws=3)
    singly = [knn(x[i], y[i.numpy()], x_test, y_test, standardiser=Standardiser.of(x)) for i in draws]
    assert few.accuracy == pytest.approx(np.mean([one.accuracy for one in singly]))
    assert few.plain_accuracy == pytest.approx(np.mean([one.plain_accuracy for one in singly]))
    assert few.plain_accuracy != singly[-1].plain_accuracy


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
    result = mean_over_draws(linear, x, y, x_test, y_test, budget=LabelBudget("percent", 2), scale="smoke")
    assert result.n_train == sum(max(1, round(count * 0.02)) for count in np.bincount(y))
    assert "2 % of the labels of each class, mean of 3 draws" in result.protocol

    folds = [np.arange(0, 100), np.arange(100, 200)]
    result = mean_over_draws(linear, x, y, x_test, y_test, budget=LabelBudget("folds"), folds=folds, scale="smoke")
    standardiser = Standardiser.of(x)
    each = [linear(x[f], y[f], x_test, y_test, scale="smoke", standardiser=standardiser).accuracy for f in folds]
    assert result.accuracy == np.mean(each)
    assert result.std == np.std(each, ddof=1)


def test_folds_that_cannot_be() -> None:
    labels = np.array([0, 1] * 5)
    with pytest.raises(UserError, match="there are no folds"):
        LabelBudget("folds").draw(labels, draws=1)
    with pytest.raises(UserError, match="name image 10"):
        LabelBudget("folds").draw(labels, draws=1, folds=[np.array([3, 10])])


def test_units_too_small_to_standardise_in_float32_are_constant() -> None:
    x = torch.randn(20, 3) * torch.tensor([1.0, 1e-41, 1e-30])
    standardiser = Standardiser.of(x)
    assert standardiser.constant_units == 1
    assert standardiser(x).isfinite().all()


def test_standardising() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(100, 5, (2500, 4)).astype(np.float32)
    x[:, 2] = 0.1  # constant, though its mean is not exactly representable
    standardiser = Standardiser.of(torch.from_numpy(x))
    result = standardiser(torch.from_numpy(x)).numpy()
    expected = (x - x.mean(0, dtype=np.float64)) / x.std(0, dtype=np.float64).clip(1e-12)
    np.testing.assert_allclose(result[:, [0, 1, 3]], expected[:, [0, 1, 3]], atol=1e-4)
    assert (result[:, 2] == 0).all()
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


def test_the_settings_of_each_scale_are_those_of_the_results():
    assert {scale: dataclasses.asdict(settings) for scale, settings in LINEAR_SETTINGS.items()} == {
        "smoke": {"weight_decay": (0.03,), "held_out": 0.0, "iterations": 30},
        "cpu": {"weight_decay": (0.3, 0.03, 0.003), "held_out": 0.1, "iterations": 40},
        "paper": {"weight_decay": (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001), "held_out": 0.1, "iterations": 300},
    }
    x, y = torch.randn(3000, 3, generator=torch.Generator().manual_seed(0)), np.arange(3000) % 2
    assert "C fixed" in linear(x, y, x, y, scale="smoke").protocol
    assert "C chosen" in linear(x, y, x, y, scale="cpu").protocol
