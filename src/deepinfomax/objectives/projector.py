"""The shared part of methods that compare views of an image: the projector, and the batch of all processes.

The projector is a network on top of the encoder. It is trained with the encoder and is not used afterwards.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from deepinfomax.errors import UserError
from deepinfomax.features import Features
from deepinfomax.information.pairs import at_least_float32, gather_with_gradient
from deepinfomax.objectives.protocol import Batch, Facts, Terms

Level = Literal["fc", "y"]


class Projector(nn.Sequential):
    """`layers` - 1 hidden layers, each linear, BatchNorm and ReLU, then a linear one: (N, inputs) -> (N, outputs)."""

    def __init__(self, inputs: int, hidden: int, outputs: int, layers: int) -> None:
        parts: list[nn.Module] = []
        for _ in range(layers - 1):
            parts += [nn.Linear(inputs, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU()]
            inputs = hidden
        super().__init__(*parts, nn.Linear(inputs, outputs))


class JointEmbedding(nn.Module):
    """An objective on the projected vectors of all views of a batch. A method is a subclass that defines `loss`.

    Args:
        facts: the shapes of the encoder's features.
        level: the input of the projector, "y" or "fc". The papers use the pooled map, which is `fc` of `resnet18`; then
            y is not trained.
        hidden, outputs, layers: of the projector.

    Raises:
        UserError: an encoder without that level.
    """

    least_views = 2

    def __init__(self, facts: Facts, level: Level, hidden: int, outputs: int, layers: int) -> None:
        super().__init__()
        self.level: Level = level
        self.projector = Projector(width_of(facts, level), hidden, outputs, layers)

    def loss(self, z: Float[Tensor, "V N D"]) -> Terms:
        """The losses of projected vectors: V views of the N images of all processes; row n of each is image n."""
        raise NotImplementedError

    def across(self, views: Sequence[Features], batch: Batch) -> Terms:
        z = of_all_processes(at_least_float32(projected(self.projector, views, self.level)))
        if z.shape[1] < 2:
            raise UserError("a batch of one image has no other to compare it with; use a batch size of at least 2")
        with torch.autocast(z.device.type, enabled=False):
            return self.loss(z)

    def forward(self, features: Features, batch: Batch) -> Terms:
        raise UserError("this objective compares views of an image: give it to a Game, or call across(views, batch)")


def width_of(facts: Facts, level: Level) -> int:
    """Units of a level. Raises UserError if the encoder does not have this level."""
    shape = facts.shapes.fc if level == "fc" else facts.shapes.y
    if shape is None:
        raise UserError('the encoder has no fc: set level to "y"')
    return torch.Size(shape).numel()


def projected(projector: nn.Module, views: Sequence[Features], level: Level) -> Float[Tensor, "V N D"]:
    """Project one level of all views, in one pass."""
    rows = [getattr(view, level).flatten(1) for view in views]
    return projector(torch.cat(rows)).view(len(views), len(rows[0]), -1)


def of_all_processes(z: Float[Tensor, "V n D"]) -> Float[Tensor, "V N D"]:
    """Gather the vectors of all processes, with gradients; z itself if there is one process."""
    return gather_with_gradient(z.transpose(0, 1)).transpose(0, 1)
