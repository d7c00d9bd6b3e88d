import numpy as np
import pytest
import torch
from planted import images, make_encoder

from deepinfomax.data.images import ImageSet, normalise
from deepinfomax.errors import UserError
from deepinfomax.evaluation.controls import pixels, pixels_pca, random_encoder, train_supervised


def test_pixels_are_the_encoders_input() -> None:
    data = images(5)
    assert torch.equal(pixels(data), normalise(data.images).flatten(1))


def test_principal_components_are_those_of_a_singular_value_decomposition() -> None:
    rng = np.random.default_rng(0)
    spread = torch.tensor([9.0, 5.0, 3.0] + [0.1] * 17)
    rotation = torch.linalg.qr(torch.from_numpy(rng.normal(size=(20, 20)).astype(np.float32))).Q
    train, test = (torch.from_numpy(rng.normal(size=(n, 20)).astype(np.float32)) * spread @ rotation for n in (300, 50))
    _, _, directions = torch.linalg.svd(train - train.mean(0), full_matrices=False)
    for found, x in zip(pixels_pca(train, test, 3), (train, test), strict=True):
        expected = (x - train.mean(0)) @ directions[:3].T
        torch.testing.assert_close(found.abs(), expected.abs(), atol=1e-2, rtol=1e-2)


def test_no_more_components_than_there_are() -> None:
    found = pixels_pca(torch.randn(5, 20), torch.randn(3, 20), 64)
    assert (found[0].shape, found[1].shape) == ((5, 5), (3, 5))


def test_a_random_encoder_keeps_its_weights_and_knows_its_batchnorm_statistics() -> None:
    data = images(300)
    found = random_encoder(make_encoder(), data, seed=4)
    torch.manual_seed(4)
    fresh = make_encoder()()
    for (name, ours), (_, theirs) in zip(found.named_parameters(), fresh.named_parameters(), strict=True):
        assert torch.equal(ours, theirs), name
    assert not found.training
    first, norm = found.convolutions[0][0], found.convolutions[0][1]
    with torch.no_grad():
        maps = first(normalise(data.images))
    # In two batches of 150, so that every image has the same weight.
    torch.testing.assert_close(norm.running_mean, maps.mean((0, 2, 3)), atol=1e-4, rtol=1e-3)
    assert norm.momentum == fresh.convolutions[0][1].momentum
    assert maps.shape[0] == 300
    again = random_encoder(make_encoder(), data, seed=4)
    assert all(torch.equal(a, b) for a, b in zip(found.state_dict().values(), again.state_dict().values(), strict=True))


def test_supervision_learns_what_is_planted() -> None:
    found = train_supervised(make_encoder()(), images(200), images(100, seed=1), steps=60, batch_size=32)
    assert found["accuracy"] > 0.9
    assert (found["steps"], found["n_train"], found["n_test"]) == (60, 200, 100)


def test_supervision_on_shuffled_labels_is_chance() -> None:
    train, test = images(200), images(300, seed=1)
    shuffled = ImageSet(test.images, np.random.default_rng(0).permutation(test.labels), test.classes)
    found = train_supervised(make_encoder()(), train, shuffled, steps=20, level="fc", scale="smoke")
    assert found["accuracy"] == pytest.approx(1 / 3, abs=0.1)


def test_supervision_can_be_given_seconds() -> None:
    found = train_supervised(make_encoder()(), images(60), images(30, seed=1), seconds=0.3)
    assert found["steps"] >= 1
    assert 0.3 <= found["seconds"] < 20


def test_supervision_is_reproducible_and_needs_labels() -> None:
    def once(seed: int) -> dict:
        torch.manual_seed(0)
        return train_supervised(make_encoder()(), images(60), images(90, seed=1), steps=3, seed=seed)

    assert once(1)["accuracy"] == once(1)["accuracy"]
    with pytest.raises(UserError, match="needs labels"):
        train_supervised(make_encoder()(), images(60, labels=False), images(30), steps=1)
