import numpy as np
import pytest
import torch
from planted import images, make_encoder

from deepinfomax.errors import UserError
from deepinfomax.evaluation import semi_supervised
from deepinfomax.evaluation.few_labels import LabelBudget
from deepinfomax.evaluation.frozen import fingerprint
from deepinfomax.evaluation.semi_supervised import measure


def test_a_copy_is_trained_and_the_encoder_stays_as_it_is() -> None:
    encoder = make_encoder()().train()
    encoder.requires_grad_(False)
    before = fingerprint(encoder)
    found = measure(encoder, images(200), images(100, seed=1), scale="smoke")
    assert found["accuracy"] > 0.8
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


def test_few_labels_and_folds() -> None:
    train, test = images(120), images(60, seed=1)
    few = measure(make_encoder()(), train, test, scale="smoke", budget=LabelBudget("per_class", 5))
    assert (few["n_train"], few["settings"]["trainings"]) == (15, 3)
    folds = [np.arange(0, 40), np.arange(40, 80)]
    found = measure(make_encoder()(), train, test, scale="smoke", budget=LabelBudget("folds"), folds=folds)
    assert (found["n_train"], found["settings"]["trainings"]) == (40, 2)
    assert "2 folds" in found["protocol"]


@pytest.mark.parametrize("averaged", [1, 2, 5])
def test_evaluations_are_spread_over_the_last_half(averaged: int, monkeypatch: pytest.MonkeyPatch) -> None:
    values = iter(range(100))
    monkeypatch.setattr(semi_supervised, "_accuracy", lambda *_: float(next(values)))
    settings = {
        "epochs": 20,
        "most_steps": None,
        "averaged": averaged,
        "batch_size": 64,
        "lr": 1e-3,
        "betas": (0.9, 0.99),
    }
    monkeypatch.setitem(semi_supervised.SEMI_SUPERVISED, "smoke", settings)
    found = measure(make_encoder()(), images(64), images(10), scale="smoke")
    assert found["accuracy"] == np.mean(range(averaged))


def test_mistakes() -> None:
    with pytest.raises(UserError, match="needs labels"):
        measure(make_encoder()(), images(20, labels=False), images(20), scale="smoke")
    with pytest.raises(UserError, match="two classes or more"):
        measure(make_encoder()(), images(20).take(images(20).labels == 1), images(20), scale="smoke")
    with pytest.raises(UserError, match="two labelled training images"):
        measure(
            make_encoder()(), images(20), images(20), scale="smoke", budget=LabelBudget("folds"), folds=[np.array([1])]
        )
