"""Strided crops against slow loops over crops and blocks."""

import pytest
import torch

from deepinfomax import encoders
from deepinfomax.encoders.strided import crop_and_stride, crops
from deepinfomax.features import Shapes
from deepinfomax.objectives import Batch, Facts, LocalInfoMax


@pytest.mark.parametrize("sides", [(32, 32), (64, 64), (32, 48)])
def test_crops_are_a_quarter_of_the_side_every_eighth(sides):
    size, stride = crop_and_stride(sides)
    assert (size, stride) == (min(sides) // 4, min(sides) // 8)
    images = torch.randn(3, 2, *sides)
    slow = []
    for image in images:
        for top in range(0, sides[0] - size + 1, stride):
            for left in range(0, sides[1] - size + 1, stride):
                slow.append(image[:, top : top + size, left : left + size])
    fast = crops(images, size, stride)
    assert torch.equal(fast, torch.stack(slow))
    if sides[0] == sides[1]:
        assert len(fast) == 3 * 49


@pytest.mark.parametrize(("stack", "sides"), [("dcgan", (32, 40)), ("alexnet", (64, 64)), ("resnet19", (32, 32))])
def test_local_map_is_the_convolutions_of_each_crop_alone(stack, sides):
    torch.manual_seed(0)
    encoder = encoders.build("strided", (3, *sides), stack=stack, width=4, fc=16).eval()
    image = torch.randn(1, 3, *sides)
    local = encoder(image).local[0]
    size, stride = crop_and_stride(sides)
    for row in range(local.shape[1]):
        for column in range(local.shape[2]):
            top, left = row * stride, column * stride
            alone = encoder.convolutions(image[:, :, top : top + size, left : left + size])[0]
            torch.testing.assert_close(local[:, row, column], alone, rtol=1e-4, atol=1e-5)


def test_a_pixel_reaches_only_the_crops_that_hold_it():
    torch.manual_seed(0)
    encoder = encoders.build("strided", (3, 32, 32), width=4, fc=16).eval()
    image = torch.randn(1, 3, 32, 32)
    changed = image.clone()
    changed[:, :, 1, 30] += 1  # in the crop of the first row and last column, and in no other
    moved = (encoder(image).local - encoder(changed).local).abs().sum(1)[0] > 0
    assert moved.nonzero().tolist() == [[0, 6]]


def test_blocks_give_one_global_for_every_3x3_block_of_places():
    torch.manual_seed(0)
    encoder = encoders.build("strided", (3, 32, 32), globals="blocks", width=4, y=8).eval()
    features = encoder(torch.randn(2, 3, 32, 32))
    assert features.y.shape == (2, 8, 25)
    for row in range(5):
        for column in range(5):
            block = features.local[:, :, row : row + 3, column : column + 3]
            hidden = encoder.fc(block)
            torch.testing.assert_close(features.y[:, :, 5 * row + column], encoder.y(hidden).flatten(1))
            torch.testing.assert_close(features.fc.view(2, -1, 25)[:, :, 5 * row + column], hidden.flatten(1))


@pytest.mark.parametrize("critic", ["dot", "concat"])
def test_local_infomax_takes_many_globals(critic):
    """Value of M globals = mean over them of the value of one, and every parameter is trained."""
    torch.manual_seed(0)
    shape = (3, 32, 32)
    encoder = encoders.build("strided", shape, globals="blocks", width=4, y=8)
    shapes: Shapes = encoders.shapes_of(encoder, shape)
    objective = LocalInfoMax(Facts(shapes), critic=critic, units=16)
    images = torch.randn(4, *shape)
    batch = Batch(images, None, torch.arange(4))
    loss = objective(encoder(images), batch)["loss"]
    loss.backward()
    idle = [n for n, p in encoder.named_parameters() if not p.grad.abs().sum() > 0]
    assert not idle

    encoder.eval(), objective.eval()
    with torch.no_grad():
        features = encoder(images)
        together = objective(features, batch)["loss"]
        singles = [objective(features._replace(y=features.y[:, :, m]), batch)["loss"] for m in range(25)]
    torch.testing.assert_close(together, torch.stack(singles).mean(), rtol=1e-4, atol=1e-5)
