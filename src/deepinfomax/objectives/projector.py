"""What methods that compare views of an image share: the network behind the encoder, and the batch of all processes.

Each such method is an objective across views; its projector is its critic, trained with the encoder and then put away.
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
    """inputs -> hidden, BatchNorm, ReLU, `layers` - 1 times -> outputs."""

    def __init__(self, inputs: int, hidden: int, outputs: int, layers: int) -> None:
        parts: list[nn.Module] = []
        for _ in range(layers - 1):
            parts += [nn.Linear(inputs, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU()]
            inputs = hidden
        super().__init__(*parts, nn.Linear(inputs, outputs))


class JointEmbedding(nn.Module):
    """An objective on the projected vectors of all views of a batch. A method says `loss` of them.

    Args:
        facts: the shapes of the encoder's features.
        level: what the projector reads, "y" or "fc". The papers read the pooled map, which is `fc` of `resnet18`; then
            nothing trains y.
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
        """Projected vectors, row n of every view of image n, N those of all processes -> the losses."""
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
    """Units of a level. Raises UserError where the encoder has none."""
    shape = facts.shapes.fc if level == "fc" else facts.shapes.y
    if shape is None:
        raise UserError('the encoder has no fc: set level to "y"')
    return torch.Size(shape).numel()


def projected(projector: nn.Module, views: Sequence[Features], level: Level) -> Float[Tensor, "V N D"]:
    """A level of all views through a projector in one pass."""
    rows = [getattr(view, level).flatten(1) for view in views]
    return projector(torch.cat(rows)).view(len(views), len(rows[0]), -1)


def of_all_processes(z: Float[Tensor, "V n D"]) -> Float[Tensor, "V N D"]:
    """The vectors of each process -> those of all, with gradients; z itself where alone."""
    return gather_with_gradient(z.transpose(0, 1)).transpose(0, 1)
