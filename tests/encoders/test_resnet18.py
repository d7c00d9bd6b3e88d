import pytest
import torch

from deepinfomax import UserError
from deepinfomax.encoders.resnet18 import ResNet18


def test_it_is_the_resnet_18_of_the_field() -> None:
    # 11,173,962 parameters with a head of 10 classes, as every CIFAR repository counts them.
    assert sum(p.numel() for p in ResNet18((3, 32, 32), y=10).parameters()) == 11_173_962


def test_levels_at_32() -> None:
    features = ResNet18((3, 32, 32), width=8).eval()(torch.zeros(2, 3, 32, 32))
    assert [tuple(level.shape[1:]) for level in features] == [(32, 8, 8), (64, 4, 4), (64,), (64,)]


@pytest.mark.parametrize("size", [8, 24, 33])
def test_images_of_any_size(size: int) -> None:
    encoder = ResNet18((3, 32, 32), width=4, y=6).eval()
    features = encoder(torch.zeros(2, 3, size, size))
    assert features.y.shape == (2, 6)
    torch.testing.assert_close(features.fc, features.conv.mean((2, 3)))


def test_the_large_stem_takes_a_quarter_of_the_places() -> None:
    features = ResNet18((3, 64, 64), width=4, stem="large").eval()(torch.zeros(2, 3, 64, 64))
    assert features.local.shape[2:] == (4, 4)


def test_too_small() -> None:
    with pytest.raises(UserError, match="resize to 8 or more"):
        ResNet18((3, 4, 4))
