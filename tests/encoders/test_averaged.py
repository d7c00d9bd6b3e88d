import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deepinfomax import Averaged, Features, embed, encoders
from deepinfomax.encoders.averaged import copies_of, shifted
from deepinfomax.errors import UserError

CORNERS = ((1, 1), (1, -1), (-1, 1), (-1, -1))  #: down and right


def encoder() -> nn.Module:
    torch.manual_seed(0)
    return encoders.build("dcgan", (3, 16, 16), width=4, fc=16, y=6).eval()


def moved_pixel_by_pixel(image: Tensor, down: int, right: int) -> Tensor:
    """What `shifted` makes of one image (C, H, W): numpy pads and a window is cut out."""
    _, height, width = image.shape
    by_rows, by_columns = down * max(1, height // 16), right * max(1, width // 16)
    margin = [(0, 0), (abs(by_rows), abs(by_rows)), (abs(by_columns), abs(by_columns))]
    padded = np.pad(image.numpy(), margin, mode="reflect")
    top, left = abs(by_rows) - by_rows, abs(by_columns) - by_columns
    return torch.from_numpy(padded[:, top : top + height, left : left + width].copy())


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
@pytest.mark.parametrize("shape", [(2, 3, 16, 16), (2, 1, 33, 48), (1, 5, 7, 2)])
def test_a_shift_is_a_window_of_the_reflected_image(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    images = torch.arange(int(np.prod(shape))).view(shape).to(dtype)
    made = list(shifted(images))
    assert len(made) == len(CORNERS)
    for copy, move in zip(made, CORNERS, strict=True):
        assert torch.equal(copy, torch.stack([moved_pixel_by_pixel(image, *move) for image in images]))


def test_a_row_of_one_pixel_moves_along_itself_only() -> None:
    images = torch.arange(8.0).view(1, 1, 1, 8)
    assert [copy.flatten().tolist()[:2] for copy in shifted(images)] == [[1, 0], [1, 2], [1, 0], [1, 2]]


def test_copies_are_counted_and_differ() -> None:
    images = torch.rand(2, 3, 16, 16)
    for copies, count in ((("mirror",), 2), (("shifts",), 5), (("mirror", "shifts"), 10)):
        made = list(copies_of(images, copies))
        assert len(made) == count
        assert torch.equal(made[0], images)
        assert not any(torch.equal(a, b) for i, a in enumerate(made) for b in made[:i])


@pytest.mark.parametrize("copies", [("mirror",), ("shifts",), ("mirror", "shifts")])
def test_each_level_is_the_mean_over_copies(copies: tuple[str, ...]) -> None:
    net, images = encoder(), torch.rand(4, 3, 16, 16) * 2 - 1
    moves = [(0, 0), *(CORNERS if "shifts" in copies else ())]
    totals: dict[str, list[Tensor]] = {level: [] for level in ("local", "conv", "fc", "y")}
    for image in images:
        each = [net(moved_pixel_by_pixel(image, *move)[None]) for move in moves]
        if "mirror" in copies:
            each += [net(moved_pixel_by_pixel(image, *move)[None].flip(3)) for move in moves]
        for level, vectors in totals.items():
            vectors.append(sum(getattr(features, level)[0] for features in each) / len(each))
    means = Averaged(net, copies)(images)
    for level, vectors in totals.items():
        torch.testing.assert_close(getattr(means, level), torch.stack(vectors), atol=1e-5, rtol=1e-5)


def test_an_image_and_its_mirror_image_are_embedded_alike() -> None:
    images = torch.randint(0, 256, (5, 3, 16, 16), dtype=torch.uint8)
    averaged = Averaged(encoder())
    straight, mirrored = (embed(averaged, part)["y"] for part in (images, images.flip(3)))
    torch.testing.assert_close(straight, mirrored, atol=1e-5, rtol=1e-5)
    plain = (embed(averaged.encoder, part)["y"] for part in (images, images.flip(3)))
    assert not torch.allclose(*plain, atol=1e-3)


def test_a_level_that_is_not_there_stays_away() -> None:
    class Only(nn.Module):
        def forward(self, x: Tensor) -> Features:
            return Features(x, None, None, x.flatten(1))

    features = Averaged(Only())(torch.rand(2, 3, 8, 8))
    assert features.conv is None
    assert features.fc is None


@pytest.mark.usefixtures("any_shape")
def test_mistakes_are_told() -> None:
    for copies, says in (
        ((), "no copies to average"),
        (("mirror", "turned"), "unknown copies 'turned'"),
        ("flip", "flip"),
    ):
        with pytest.raises(UserError, match=says):
            Averaged(encoder(), copies)
    with pytest.raises(UserError, match="only pictures"):
        Averaged(nn.Identity())(torch.rand(2, 3, 8))


def test_copies_are_named_in_any_order_and_stand_in_the_text() -> None:
    assert Averaged(encoder(), ("shifts", "mirror")).copies == ("mirror", "shifts")
    assert Averaged(encoder(), "mirror").copies == ("mirror",)
    assert "copies=('mirror',)" in repr(Averaged(encoder(), "mirror"))
