"""NAT: noise as targets (Bojanowski & Joulin 2017; a baseline of §4.1)."""

from typing import Annotated

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import normalize

from deepinfomax.devices import whole_precision
from deepinfomax.errors import UserError
from deepinfomax.features import Features
from deepinfomax.information.across import from_first_process, gather_with_gradient
from deepinfomax.information.pairs import at_least_float32
from deepinfomax.objectives.protocol import Batch, Facts, Terms
from deepinfomax.seeds import LAST_SEED
from deepinfomax.settings import checked


@checked
class NoiseAsTargets(nn.Module):
    """|y/|y| - t|², where t is the image's target: one of N fixed random points on the unit sphere, N images in all.

    Which image has which target is a permutation. In training mode `forward` first reassigns the targets of the batch's
    images among these images, so that the sum of squared distances is as small as possible (the Hungarian algorithm);
    under several processes this is done for the batch of all of them. The permutation is kept from step to step, so
    `forward` changes state here.

    Args:
        facts: the shapes of the encoder's features, and how many images the data set has.
        seed: for drawing the targets; the same on every process.

    Raises:
        UserError: the number of images is not known; in forward, a batch without positions or of another data set.
    """

    uses_index = True
    compares_processes = False
    compiles = False  # the assignment is SciPy's, on the CPU

    targets: Float[Tensor, "images D"]  #: points on the sphere
    assignment: Int[Tensor, "images"]  #: image i has the point targets[assignment[i]]

    def __init__(self, facts: Facts, *, seed: Annotated[int, Field(ge=0, le=LAST_SEED)] = 0) -> None:
        super().__init__()
        if facts.images is None:
            raise UserError("nat needs to know how many images the data set has: give Facts(shapes, images=COUNT)")
        images, units = facts.images, torch.Size(facts.shapes.y).numel()
        noise = torch.randn(images, units, generator=torch.Generator().manual_seed(seed))
        self.register_buffer("targets", normalize(noise, dim=1))
        self.register_buffer("assignment", torch.arange(images))

    def forward(self, features: Features, batch: Batch) -> Terms:
        if batch.index is None:
            raise UserError("nat needs each image's position in the data set: give Batch(images, index=positions)")
        if (last := int(batch.index.max())) >= len(self.targets):
            raise UserError(
                f"nat has targets for {len(self.targets)} images but met image {last}: "
                "train on the data set it was made for"
            )
        y = normalize(at_least_float32(features.y.flatten(1)), dim=1)
        before = self.assignment[batch.index]
        if self.training:
            self.reassign(y.detach(), batch.index)
        after = self.assignment[batch.index]
        loss = (y - self.targets[after]).square().sum(1).mean()
        return Terms({"loss": loss}, {"moved": (before != after).float().mean()})

    def reassign(self, y: Float[Tensor, "N D"], index: Int[Tensor, "N"]) -> None:
        """Reassign the targets of the images `index` among these images.

        Args:
            y: their vectors, normalised to length 1.
            index: their positions in the data set.
        """
        from scipy.optimize import linear_sum_assignment  # a slow import, and only needed here

        y, index = gather_with_gradient(y), gather_with_gradient(index)
        # An image may come twice, in a last batch filled up for several processes: then its first y counts.
        image, first = np.unique(index.cpu().numpy(), return_index=True)
        images = torch.from_numpy(image).to(index.device)
        points = self.assignment[images]
        # |y - t|² = 2 - 2 y·t on the sphere. The assignment is solved on the CPU, which waits for the device each step.
        with whole_precision(y.device):
            likeness = (y[torch.from_numpy(first).to(y.device)] @ self.targets[points].T).cpu().numpy()
        if not np.isfinite(likeness).all():
            return  # the loss is not finite either, so training stops with an error
        _, chosen = linear_sum_assignment(likeness, maximize=True)
        # Processes may round differently, but all must have the same permutation.
        self.assignment[images] = points[from_first_process(torch.from_numpy(chosen).to(points.device))]
