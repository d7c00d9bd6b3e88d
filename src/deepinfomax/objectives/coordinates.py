"""Coordinates: where in the map a local feature is, told from it and the representation (paper §4.3, A.7)."""

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

    One categorical an axis, independent of each other, so the loss is the sum of the axes' cross-entropies, averaged
    over places; maps of any number and length of axes. For the relative task each place is given a partner, any other
    place of the same image with equal chance (the paper says no more than "two random positions"), and an axis of
    length s has the 2s - 1 offsets from 1 - s to s - 1.

    The authors' code has the absolute task only, and a LayerNorm on the logits that keeps the predictor from ever
    being certain; here the logits are as they come.

    Of several globals, y (N, D, M), the predictor sees all at once: they are laid end to end to D·M units, since which
    block of places a global is of says something about coordinates that their mean does not.

    Measured, with `absolute` or `relative` in front: `accuracy` (fraction with every axis right), `accuracy_0`, ...
    (one axis each), `bound`, nats that (y, c) are shown to tell of the coordinates: entropy of the coordinates less
    the cross-entropy, a lower bound on the mutual information, and `cap`, that entropy, which it cannot exceed. It is
    the entropy of all axes together: offsets along two axes depend on each other, since a place is not its own partner.

    Args:
        facts: the shapes of the encoder's features.
        kind: "absolute", "relative", or "both", as in the paper's Table 5.
        units: of each of the predictor's two hidden layers (paper 512).
        places: how many of the L places of each image to use, drawn anew each step; None, or more than there are:
            all.

    Raises:
        UserError: a map of one place.
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
        """Places by number -> their coordinate along each axis of the map."""
        rest, along_axes = position.flatten(), []
        for size in reversed(self.sizes):  # torch.unravel_index copies the sizes to the device in every step
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
        """Cross-entropy summed over axes, each with its `target`, and what was measured."""
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
    """(y, local) -> logits of each axis, by two hidden layers with BatchNorm and ReLU (A.7).

    The first layer of a concatenation is a sum of two layers, so y passes through its half once for all its places.
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
        """Logits of each axis, which has classes of its own."""
        hidden = self.glob(y).unsqueeze(1) + self.local(local)
        return self.logits(hidden.flatten(0, 1)).split(self.classes, dim=1)


def draw_positions(
    images: int, count: int, places: int | None, device: torch.device
) -> tuple[Int[Tensor, "N K"], Int[Tensor, "N K"]]:
    """`places` different places of each image (None, or `count` and more: all, in order), and another as partner.

    Returns the numbers of both places, drawn from torch's global random state.
    """
    if places is None or places >= count:
        position = torch.arange(count, device=device).expand(images, -1)
    else:
        position = torch.rand(images, count, device=device).topk(places, dim=1).indices
    # One of the other count - 1 places: a step of 1 to count - 1, around the end to the beginning.
    step = torch.randint(1, count, position.shape, device=device)
    return position, (position + step) % count


def take(local: Float[Tensor, "N L C"], position: Int[Tensor, "N K"]) -> Float[Tensor, "N K C"]:
    """The rows at these places."""
    return local.gather(1, position.unsqueeze(2).expand(-1, -1, local.shape[2]))


def offset_entropy(sizes: tuple[int, ...]) -> float:
    """Entropy, in nats, of the offset (one number an axis) between two different places of a map of `sizes`.

    An offset with s - |d| pairs of coordinates on each axis of length s is that of their product of pairs of places, so
    the sum over offsets of n log n falls apart into one sum an axis. Offset 0, the places paired with themselves, is
    left out of it at the end.
    """
    count = math.prod(sizes)
    total = 0.0
    for size in sizes:
        pairs = [size - abs(offset) for offset in range(1 - size, size)]
        total += (count // size) ** 2 * sum(n * math.log(n) for n in pairs)
    different = count * (count - 1)
    return math.log(different) - (total - count * math.log(count)) / different
