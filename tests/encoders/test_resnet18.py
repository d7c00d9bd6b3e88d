from typing import Literal

import pytest
import torch

from deepinfomax import UserError
from deepinfomax.encoders.resnet18 import PIXELS_SEEN, ResNet18


def test_it_is_the_resnet_18_of_the_field() -> None:
    # 11,173,962 parameters with a head of 10 classes, as every CIFAR repository counts them.
    assert sum(p.numel() for p in ResNet18((3, 32, 32), y=10).parameters()) == 11_173_962


def test_levels_at_32() -> None:
    features = ResNet18((3, 32, 32), width=8).eval()(torch.zeros(2, 3, 32, 32))
    assert [tuple(level.shape[1:]) for level in features] == [(8, 32, 32), (64, 4, 4), (64,), (64,)]


@pytest.mark.parametrize(
    ("stem", "side", "stage"),
    [
        ("small", 16, 1),
        ("small", 32, 1),
        ("small", 49, 1),
        ("small", 50, 2),
        ("small", 64, 2),
        ("small", 105, 2),
        ("small", 106, 3),
        ("large", 64, 1),
        ("large", 224, 2),
        ("large", 448, 3),
    ],
)
def test_a_place_sees_at_most_half_of_the_image_where_it_can(stem: str, side: int, stage: int) -> None:
    for sides in ((side, side), (side, 500), (500, side)):
        assert ResNet18((3, *sides), width=1, stem=stem).local_stage == stage  # type: ignore[arg-type]


@pytest.mark.parametrize("stem", PIXELS_SEEN)
@pytest.mark.parametrize("stage", [1, 2, 3])
def test_what_a_place_of_the_local_map_sees(stem: Literal["small", "large"], stage: Literal[1, 2, 3]) -> None:
    torch.manual_seed(0)
    side = {"small": 64, "large": 256}[stem]
    encoder = ResNet18((3, side, side), width=4, stem=stem, local_stage=stage).eval()
    images = torch.rand(1, 3, side, side, requires_grad=True)
    features = encoder(images)
    places = 64 // 2 ** (stage - 1)
    shape = (4 * 2 ** (stage - 1), places, places)
    assert tuple(features.local.shape[1:]) == shape
    assert tuple(features.conv.shape[1:]) == (32, 8, 8)  # the same, whichever map is local
    features.local[0, :, shape[1] // 2, shape[2] // 2].sum().backward()
    assert images.grad is not None
    rows = images.grad[0].abs().amax((0, 2)).nonzero()[:, 0]
    assert rows[-1] - rows[0] + 1 == PIXELS_SEEN[stem][stage]


def test_the_stage_of_the_local_map_changes_nothing_else() -> None:
    first, third = ResNet18((3, 32, 32), width=4, local_stage=1), ResNet18((3, 32, 32), width=4, local_stage=3)
    first.load_state_dict(third.state_dict())
    images = torch.rand(2, 3, 32, 32)
    for level in ("conv", "fc", "y"):
        torch.testing.assert_close(getattr(first.eval()(images), level), getattr(third.eval()(images), level))


@pytest.mark.parametrize("size", [8, 24, 33])
def test_images_of_any_size(size: int) -> None:
    encoder = ResNet18((3, 32, 32), width=4, y=6).eval()
    features = encoder(torch.zeros(2, 3, size, size))
    assert features.y.shape == (2, 6)
    torch.testing.assert_close(features.fc, features.conv.mean((2, 3)))


def test_the_large_stem_takes_a_quarter_of_the_places() -> None:
    features = ResNet18((3, 64, 64), width=4, stem="large").eval()(torch.zeros(2, 3, 64, 64))
    assert features.local.shape[2:] == (16, 16)


def test_too_small() -> None:
    with pytest.raises(UserError, match="resize to 8 or more"):
        ResNet18((3, 4, 4))
