import time

import numpy as np
import pytest
import torch
from planted import images, make_encoder
from torch import Tensor, nn

from deepinfomax.data.images import normalise
from deepinfomax.errors import UserError
from deepinfomax.evaluation import semi_supervised
from deepinfomax.evaluation.few_labels import LabelBudget
from deepinfomax.evaluation.frozen import fingerprint
from deepinfomax.evaluation.scales import Scale
from deepinfomax.evaluation.semi_supervised import SETTINGS, Settings, measure
from deepinfomax.features import Features


def test_a_copy_is_trained_and_the_encoder_stays_as_it_is() -> None:
    encoder = make_encoder()().train()
    encoder.requires_grad_(False)
    before = fingerprint(encoder)
    result = measure(encoder, images(200), images(100, seed=1), scale="smoke")
    assert result.accuracy > 0.8
    assert fingerprint(encoder) == before
    assert encoder.training
    assert not any(p.requires_grad for p in encoder.parameters())


def test_the_encoder_is_fine_tuned_not_only_the_head(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def spy(encoder, head, *rest):
        seen.append(encoder)
        return 0.5

    monkeypatch.setattr(semi_supervised, "_accuracy", spy)
    encoder = make_encoder()()
    measure(encoder, images(60), images(30), scale="smoke")
    (tuned,) = seen
    assert tuned is not encoder
    assert not torch.equal(tuned.convolutions[0][0].weight, encoder.convolutions[0][0].weight)
    assert not torch.equal(tuned.convolutions[0][1].running_mean, encoder.convolutions[0][1].running_mean)


def test_an_encoder_without_a_last_map_is_refused() -> None:
    class WithoutConv(nn.Module):
        def forward(self, x: Tensor) -> Features:
            return Features(local=x, conv=None, fc=None, y=x.flatten(1)[:, :4])

    with pytest.raises(UserError, match="the encoder has no conv: leave it out"):
        measure(WithoutConv(), images(30), images(30), scale="smoke")


def test_few_labels_and_folds() -> None:
    train, test = images(120), images(60, seed=1)
    few = measure(make_encoder()(), train, test, scale="smoke", budget=LabelBudget("per_class", 5))
    assert (few.n_train, few.settings["trainings"]) == (15, 3)
    folds = [np.arange(0, 40), np.arange(40, 80)]
    result = measure(make_encoder()(), train, test, scale="smoke", budget=LabelBudget("folds"), folds=folds)
    assert (result.n_train, result.settings["trainings"]) == (40, 2)
    assert "2 folds" in result.protocol


def test_the_deviation_is_over_trainings_and_of_a_single_one_over_its_evaluations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    accuracies = iter([[0.5, 0.7], [0.9, 0.9], [0.2, 0.4]])
    monkeypatch.setattr(semi_supervised, "_fine_tune", lambda *_: next(accuracies))
    began = time.perf_counter()
    train, test, folds = images(60), images(30), [np.arange(0, 20), np.arange(20, 40)]
    result = measure(make_encoder()(), train, test, scale="smoke", budget=LabelBudget("folds"), folds=folds)
    assert 0 <= result.seconds <= time.perf_counter() - began
    assert (result.accuracy, result.std) == pytest.approx((0.75, np.std([0.6, 0.9], ddof=1)))
    result = measure(make_encoder()(), train, test, scale="smoke")
    assert (result.accuracy, result.std) == pytest.approx((0.3, np.std([0.2, 0.4], ddof=1)))


@pytest.mark.parametrize("averaged", [1, 2, 5])
def test_evaluations_are_spread_over_the_last_half(averaged: int, monkeypatch: pytest.MonkeyPatch) -> None:
    values = iter(range(100))
    monkeypatch.setattr(semi_supervised, "_accuracy", lambda *_: float(next(values)))
    settings = Settings(epochs=20, most_steps=None, averaged=averaged, batch_size=64, lr=1e-3, betas=(0.9, 0.99))
    monkeypatch.setitem(semi_supervised.SETTINGS, "smoke", settings)
    result = measure(make_encoder()(), images(64), images(10), scale="smoke")
    assert result.accuracy == np.mean(range(averaged))


def test_the_steps_after_which_the_accuracy_is_taken() -> None:
    assert SETTINGS["smoke"].evaluated_after(20) == {20}
    assert SETTINGS["cpu"].evaluated_after(600) == {600, 450}
    assert SETTINGS["paper"].evaluated_after(1000) == set(range(505, 1001, 5))
    assert SETTINGS["paper"].evaluated_after(201) == set(range(102, 202))


def test_the_papers_schedule() -> None:
    assert SETTINGS["paper"] == Settings(
        epochs=200, most_steps=None, averaged=100, batch_size=64, lr=1e-4, betas=(0.5, 0.999)
    )


@pytest.mark.parametrize(
    ("scale", "lr", "betas", "steps"), [("smoke", 1e-3, (0.9, 0.999), 20), ("paper", 1e-4, (0.5, 0.999), 200)]
)
def test_the_training_is_this_loop(
    scale: Scale, lr: float, betas: tuple[float, float], steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[list[Tensor]] = []

    def spy(encoder: nn.Module, head: nn.Module, *_: object) -> float:
        assert not encoder.training
        assert not head.training
        trained.append([p.detach().clone() for p in (*encoder.parameters(), *head.parameters())])
        return 0.5

    monkeypatch.setattr(semi_supervised, "_accuracy", spy)
    encoder, train = make_encoder()(), images(70)
    measure(encoder, train, images(10), scale=scale, seed=5)
    x, labels = normalise(train.images), torch.from_numpy(train.labels)
    torch.manual_seed(5)
    units = encoder.eval()(x[:1]).conv.flatten(1).shape[1]
    head = nn.Sequential(
        nn.Linear(units, 200), nn.Dropout(0.1), nn.BatchNorm1d(200), nn.ReLU(), nn.Linear(200, 3)
    ).train()
    encoder.train()
    parameters = [*encoder.parameters(), *head.parameters()]
    adam = torch.optim.Adam(parameters, lr, betas)
    for step in range(1, steps + 1):
        rows = torch.randperm(70)[:64]  # six rows are left over
        adam.zero_grad()
        nn.functional.cross_entropy(head(encoder(x[rows]).conv.flatten(1)), labels[rows]).backward()
        adam.step()
        adam.param_groups[0]["lr"] *= 0.1 if step in (steps // 4, steps // 2) else 1
    assert all(torch.equal(a, b) for a, b in zip(trained[-1], parameters, strict=True))
    assert len(trained) == (1 if scale == "smoke" else 100)


def test_the_accuracy_is_that_of_the_test_images() -> None:
    encoder, test = make_encoder()().eval(), images(700)
    units = encoder(normalise(test.images[:1])).conv.flatten(1).shape[1]
    head = nn.Linear(units, 3)
    labels = torch.from_numpy(test.labels)
    right = [
        int(head(encoder(normalise(image[None])).conv.flatten(1)).argmax()) == label
        for image, label in zip(test.images, labels.tolist(), strict=True)
    ]
    assert semi_supervised._accuracy(encoder, head, test, labels, "cpu") == pytest.approx(np.mean(right), abs=0.002)


def test_mistakes() -> None:
    with pytest.raises(UserError, match="needs labels"):
        measure(make_encoder()(), images(20, labels=False), images(20), scale="smoke")
    with pytest.raises(UserError, match="two classes or more"):
        measure(make_encoder()(), images(20).take(images(20).labels == 1), images(20), scale="smoke")
    with pytest.raises(UserError, match="two labelled training images"):
        measure(
            make_encoder()(), images(20), images(20), scale="smoke", budget=LabelBudget("folds"), folds=[np.array([1])]
        )
