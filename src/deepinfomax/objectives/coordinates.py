"""Coordinates: predict where in the map a local feature is, from it and the representation (paper §4.3, A.7)."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from deepinfomax.errors import UserError
from deepinfomax.features import Features, places
from deepinfomax.objectives.protocol import Batch, Facts, Terms
from deepinfomax.scales import Scale, Section
from deepinfomax.settings import Count, checked

Kind = Literal["absolute", "relative", "both"]


@checked
class Coordinates(nn.Module):
    """max E[log p((i, j) | y, c_ij)]  and  max E[log p((i - i', j - j') | y, c_ij, c_i'j')].

    Each axis has its own categorical distribution, independent of the others. So the loss is the sum of the axes'
    cross-entropies, averaged over places. Maps may have any number of axes of any length. For the relative task each
    place gets a partner, drawn uniformly from the other places of the same image (the paper only says "two random
    positions"). An axis of length s has 2s - 1 offsets, from 1 - s to s - 1.

    The authors' code has the absolute task only. It has a LayerNorm on the logits, which keeps the predictor from ever
    being certain; here there is none.

    If y has several globals (N, D, M), the predictor gets all of them, concatenated to D·M units: each global belongs
    to a block of places, and their mean would lose that.

    Measured, with the prefix `absolute` or `relative`:

    * `accuracy`: fraction of places with every axis right; `accuracy_0`, ...: the same for one axis;
    * `bound`, in nats: the entropy of the coordinates minus the cross-entropy. It is a lower bound on the mutual
      information of the coordinates and (y, c);
    * `cap`, in nats: that entropy, which `bound` cannot exceed. It is the joint entropy of all axes: offsets along two
      axes depend on each other, since a place is never its own partner.

    Args:
        facts: the shapes of the encoder's features.
        kind: "absolute", "relative", or "both", as in the paper's Table 5.
        units: of each of the predictor's two hidden layers (paper 512).
        places: how many of the L places of each image to use, drawn anew in each step; None, or more than L: all.

    Raises:
        UserError: the map has only one place.
    """

    compares_processes = False

    def __init__(self, facts: Facts, *, kind: Kind = "both", units: Count = 512, places: Count | None = None) -> None:
        super().__init__()
        channels, *sizes = facts.shapes.local
        count = math.prod(sizes)
        if count < 2:
            raise UserError("coordinates need a local map of several places; this encoder's has one")
        self.sizes, self.places = tuple(sizes), places
        global_units = math.prod(facts.shapes.y)
        self.predictors = nn.ModuleDict()
        if kind in ("absolute", "both"):
            self.predictors["absolute"] = Predictor(channels, global_units, self.sizes, units)
        if kind in ("relative", "both"):
            offsets = tuple(2 * size - 1 for size in self.sizes)
            self.predictors["relative"] = Predictor(2 * channels, global_units, offsets, units)
        self.caps = {
            "absolute": sum(math.log(size) for size in self.sizes),
            "relative": offset_entropy(self.sizes),
        }

    def forward(self, features: Features, batch: Batch) -> Terms:
        local, y = places(features.local), features.y.flatten(1)
        position, partner = draw_positions(len(local), local.shape[1], self.places, local.device)
        here, there = take(local, position), take(local, partner)
        i, i_partner = self.coordinates(position), self.coordinates(partner)
        losses, measured = {}, {}
        if "absolute" in self.predictors:
            losses["absolute"], measured["absolute"] = self.predict("absolute", y, here, i)
        if "relative" in self.predictors:
            offset = [a - b + size - 1 for a, b, size in zip(i, i_partner, self.sizes, strict=True)]
            both = torch.cat([here, there], dim=2)
            losses["relative"], measured["relative"] = self.predict("relative", y, both, offset)
        return Terms(losses, {f"{kind}_{name}": v for kind, own in measured.items() for name, v in own.items()})

    def coordinates(self, position: Int[Tensor, "N K"]) -> tuple[Int[Tensor, "N*K"], ...]:
        """Numbers of places, 0 to L - 1 -> their coordinates, one tensor for each axis of the map."""
        rest, along_axes = position.flatten(), []
        # By hand, since torch.unravel_index copies the sizes to the device in every step.
        for size in reversed(self.sizes):
            along_axes.append(rest % size)
            rest = rest // size
        return tuple(reversed(along_axes))

    def predict(
        self,
        kind: str,
        y: Float[Tensor, "N H"],
        local: Float[Tensor, "N K C"],
        target: Sequence[Int[Tensor, "N*K"]],
    ) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
        """The cross-entropy in nats, summed over axes, and the measured numbers by name.

        Args:
            kind: "absolute" or "relative".
            y: all globals of each image, flattened.
            local: the K local features of each image.
            target: for each axis, the true class of every place.
        """
        logits = self.predictors[kind](y, local)
        loss = torch.stack([cross_entropy(u, t) for u, t in zip(logits, target, strict=True)]).sum()
        right = torch.stack([u.detach().argmax(1) == t for u, t in zip(logits, target, strict=True)])
        cap = torch.tensor(self.caps[kind])
        measured = {
            "accuracy": right.all(0).float().mean(),
            **{f"accuracy_{axis}": r.float().mean() for axis, r in enumerate(right)},
            "bound": cap - loss.detach(),
            "cap": cap,
        }
        return loss, measured

    @staticmethod
    def at_scale(scale: Scale, section: Section) -> Section:
        """Some places only."""
        return section | ({"units": 64, "places": 4} if scale == "smoke" else {"places": 16})


class Predictor(nn.Module):
    """Two hidden layers with BatchNorm and ReLU: (y, local) -> logits for each axis (A.7).

    A linear layer on the concatenation of y and local equals the sum of a layer on y and one on local. So the layer on
    y is computed only once per image.
    """

    def __init__(self, local_units: int, global_units: int, classes: tuple[int, ...], units: int) -> None:
        super().__init__()
        self.classes = classes
        self.local = nn.Linear(local_units, units, bias=False)
        self.glob = nn.Linear(global_units, units, bias=False)
        self.logits = nn.Sequential(
            nn.BatchNorm1d(units),
            nn.ReLU(),
            nn.Linear(units, units, bias=False),
            nn.BatchNorm1d(units),
            nn.ReLU(),
            nn.Linear(units, sum(classes)),
        )

    def forward(self, y: Float[Tensor, "N H"], local: Float[Tensor, "N K C"]) -> tuple[Float[Tensor, "N*K _"], ...]:
        """Logits (N·K, classes) for each axis; the number of classes differs between axes."""
        hidden = self.glob(y).unsqueeze(1) + self.local(local)
        return self.logits(hidden.flatten(0, 1)).split(self.classes, dim=1)


def draw_positions(
    images: int, count: int, places: int | None, device: torch.device
) -> tuple[Int[Tensor, "N K"], Int[Tensor, "N K"]]:
    """Draw K different places of each image, and for each place a different one as its partner.

    Args:
        images: N.
        count: number of places of the map.
        places: K; None, or at least `count`: all places, in order.

    Returns:
        The numbers of the places and of their partners, drawn from torch's global random state.
    """
    if places is None or places >= count:
        position = torch.arange(count, device=device).expand(images, -1)
    else:
        position = torch.rand(images, count, device=device).topk(places, dim=1).indices
    # One of the other count - 1 places: a step of 1 to count - 1, around the end to the beginning.
    step = torch.randint(1, count, position.shape, device=device)
    return position, (position + step) % count


def take(local: Float[Tensor, "N L C"], position: Int[Tensor, "N K"]) -> Float[Tensor, "N K C"]:
    """The local features at these places."""
    return local.gather(1, position.unsqueeze(2).expand(-1, -1, local.shape[2]))


def offset_entropy(sizes: tuple[int, ...]) -> float:
    """Entropy, in nats, of the offset (one number per axis) between two different places of a map of `sizes`.

    On an axis of length s, s - |d| pairs of coordinates have the offset d. The number n of pairs of places with a given
    offset is the product of these counts over the axes, so the sum of n log n over offsets splits into one sum per
    axis. The offset 0, a place paired with itself, is subtracted at the end.
    """
    count = math.prod(sizes)
    total = 0.0
    for size in sizes:
        pairs = [size - abs(offset) for offset in range(1 - size, size)]
        total += (count // size) ** 2 * sum(n * math.log(n) for n in pairs)
    different = count * (count - 1)
    return math.log(different) - (total - count * math.log(count)) / different
