"""What the learner shows its encoder, and which pass each objective is given, with and without occlusion."""

import numpy as np
import pytest
import torch
from deepinfomax.training.learner import Learner, build
from torch import Tensor, nn

from deepinfomax import config, recipes
from deepinfomax.data.images import ImageSet
from deepinfomax.features import Features
from deepinfomax.objectives import Batch
from deepinfomax.objectives.occlusion import Occlusion


class RecordingEncoder(nn.Module):
    """Keeps what it was shown and what it made of it; every level is a pixel sum, so no two passes agree."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[Tensor] = []
        self.made: list[Features] = []

    def forward(self, images: Tensor) -> Features:
        self.shown.append(images.clone())
        sums = images.sum((1, 2, 3)).unsqueeze(1)
        self.made.append(Features(local=images * 2, conv=images * 3, fc=sums, y=-sums))
        return self.made[-1]


class RecordingOcclusion(Occlusion):
    """Keeps which pixels it hid."""

    def hidden(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        self.last = super().hidden(count, generator)
        return self.last


class RecordingObjective(nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.measured: dict[str, Tensor] = {}

    def forward(self, features: Features, batch: Batch) -> dict[str, Tensor]:
        self.seen, self.batch = features, batch
        return {self.name: features.y.sum()}


@pytest.fixture
def batch() -> Batch:
    images = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0)) + 1  # nowhere the fill of 0
    return Batch(images, None, torch.arange(8))


def one_step(batch: Batch, occlusion: nn.Module | None) -> tuple[RecordingEncoder, list[RecordingObjective], Features]:
    encoder, objectives = RecordingEncoder(), [RecordingObjective("first"), RecordingObjective("second")]
    learner = Learner(encoder, {o.name: o for o in objectives}, {o.name: 1.0 for o in objectives}, occlusion)
    features, _ = learner(batch)
    return encoder, objectives, features


def test_the_second_pass_sees_all_but_the_hidden_pixels(batch: Batch) -> None:
    torch.manual_seed(0)
    occlusion = RecordingOcclusion((3, 32, 32))
    images = batch.images.clone()
    encoder, _, _ = one_step(batch, occlusion)
    clean, occluded = encoder.shown  # two passes, no more
    assert torch.equal(clean, images)
    hidden = occlusion.last.unsqueeze(1).expand_as(images)
    assert hidden.any()
    assert not hidden.all()
    assert torch.equal(occluded != clean, hidden)


def test_maps_are_of_the_clean_pass_and_fc_and_y_of_the_occluded(batch: Batch) -> None:
    torch.manual_seed(0)
    encoder, objectives, features = one_step(batch, RecordingOcclusion((3, 32, 32)))
    clean, occluded = encoder.made
    assert not torch.equal(clean.y, occluded.y)
    # The features returned are those that the second player is shown.
    for seen in (*(o.seen for o in objectives), features):
        assert torch.equal(seen.local, clean.local)
        assert torch.equal(seen.conv, clean.conv)
        assert torch.equal(seen.fc, occluded.fc)
        assert torch.equal(seen.y, occluded.y)
    for objective in objectives:  # a reconstruction is compared with the image itself
        assert torch.equal(objective.batch.images, encoder.shown[0])


class OneWeight(nn.Module):
    """Every level is the image times one weight, so that the gradient of a sum over a level is the sum of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, images: Tensor) -> Features:
        return Features(*(images * self.weight for _ in Features._fields))


@pytest.mark.parametrize("level", Features._fields)
def test_both_passes_train_the_encoder(batch: Batch, level: str) -> None:
    torch.manual_seed(0)
    encoder, occlusion = OneWeight(), RecordingOcclusion((3, 32, 32))
    features, _ = Learner(encoder, {}, {}, occlusion)(batch)
    getattr(features, level).sum().backward()
    hidden = occlusion.last.unsqueeze(1)
    seen = batch.images if level in ("local", "conv") else batch.images.masked_fill(hidden, 0.0)
    torch.testing.assert_close(encoder.weight.grad, seen.sum())


def test_without_occlusion_one_pass_gives_all(batch: Batch) -> None:
    encoder, objectives, features = one_step(batch, None)
    assert len(encoder.shown) == 1
    assert torch.equal(encoder.shown[0], batch.images)
    for seen in (*(o.seen for o in objectives), features):
        assert all(torch.equal(a, b) for a, b in zip(seen, encoder.made[0], strict=True))


def test_a_configuration_occludes_where_it_says_so() -> None:
    images = ImageSet(np.zeros((4, 3, 32, 32), dtype=np.uint8))
    plain = recipes.recipe("dim-local", "smoke")
    assert build(plain, (3, 32, 32), images).occlusion is None
    asked = config.override(plain, {"occlusion.fill": -0.5, "occlusion.block": 12})
    occlusion = build(asked, (3, 32, 32), images).occlusion
    assert isinstance(occlusion, Occlusion)
    assert (occlusion.fill, occlusion.block, occlusion.sides) == (-0.5, 12, (32, 32))
