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


@pytest.mark.parametrize(
    ("stage", "shape", "seen"), [(1, (4, 64, 64), 11), (2, (8, 32, 32), 25), (3, (16, 16, 16), 53)]
)
def test_what_a_place_of_the_local_map_sees(stage: int, shape: tuple[int, ...], seen: int) -> None:
    torch.manual_seed(0)
    encoder = ResNet18((3, 64, 64), width=4, local_stage=stage).eval()  # type: ignore[arg-type]
    images = torch.rand(1, 3, 64, 64, requires_grad=True)
    features = encoder(images)
    assert tuple(features.local.shape[1:]) == shape
    assert tuple(features.conv.shape[1:]) == (32, 8, 8)  # the same, whichever map is local
    features.local[0, :, shape[1] // 2, shape[2] // 2].sum().backward()
    assert images.grad is not None
    rows = images.grad[0].abs().amax((0, 2)).nonzero()[:, 0]
    assert rows[-1] - rows[0] + 1 == seen


def test_the_stage_of_the_local_map_changes_nothing_else() -> None:
    first, third = ResNet18((3, 32, 32), width=4, local_stage=1), ResNet18((3, 32, 32), width=4)
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
    assert features.local.shape[2:] == (4, 4)


def test_too_small() -> None:
    with pytest.raises(UserError, match="resize to 8 or more"):
        ResNet18((3, 4, 4))
