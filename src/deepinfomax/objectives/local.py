"""LocalInfoMax: mutual information of the representation and every place of the map (paper §3.2, eq. 6), weight β.

With several views of an image, the places of one view are scored with the y, or with the places, of another.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from deepinfomax.errors import UserError
from deepinfomax.features import Features, places
from deepinfomax.information.across import from_first_process
from deepinfomax.information.critics import ConcatAndConvolve, EmbedRows, EncodeAndDot
from deepinfomax.information.pairs import NegativesFrom, Normaliser, Pairing
from deepinfomax.objectives.pair_bound import TAU, Estimate, PairBound
from deepinfomax.objectives.protocol import Batch, Facts, Terms
from deepinfomax.scales import Scale, Section
from deepinfomax.settings import Count, NotNegative, Positive, checked

LEVELS = ("y_local", "y_conv", "map_map")


@checked
class LocalInfoMax(nn.Module):
    """1/L · sum over places of I(local place; y), by any bound, in nats.

    With V > 1 views: the mean of I(local place of v; y of w) over ordered pairs (v, w) of different views. Negatives
    come from other images only, never from another view of the same image.

    Args:
        facts: the shapes of the encoder's features.
        bound: a name in `bounds.BOUNDS`.
        critic: "dot" (encode-and-dot) or "concat" (concat-and-convolve).
        units: of the critic: D of encode-and-dot (paper 2048), hidden units of concat-and-convolve (paper 512).
        scale: of encode-and-dot's scores; None: 1 as in the paper; "1/sqrt(units)" as in
            AMDIM (arXiv 1906.00910).
        places: how many of the L places of each image to use, drawn anew in each step, before the critic; None, or more
            than L: all. A deviation from the paper that saves most of the step's time on a CPU.
        negatives: "all", or how many per anchor.
        pairing: whether a global or a local is the anchor, see `pairs`.
        negatives_from: under several processes, "all" of them or this one's "own".
        tau: the clip of `smile`.
        normaliser: for `dv`. "shared": one log of a mean over the negatives of all places, as in the authors' code.
            "per-place": one for each place, as eq. (6) says; then the same `places` are drawn for all images. "shared"
            is the default because it has L times as many negatives, and DV needs many.
        y_local: weight of y against the local map, the paper's term.
        y_conv: weight of y against the last convolutional map (AMDIM's 1-to-7), with a critic of its own.
        map_map: weight of the local map of one view against that of another (AMDIM's 5-to-5). Both are embedded by the
            local side of the critic. The anchor is one place of each image, drawn anew in each step, as in the authors'
            code. It needs two views.
        across: weight of the terms between different views, if there are several.
        within: weight of the terms within one view, averaged over views.
        several: how more than two views are compared. "pairs": the mean over all ordered pairs of views. "rest": the
            places of each view with the mean of the embedded y of all other views, which gives V terms in place of
            V(V - 1) (the sufficient statistics of Poly-View, arXiv 2403.05490, with a mean as the statistic). Terms of
            `map_map` always use pairs.
        clip: c: scores become c·tanh(s/c); None: no clip. AMDIM has c = 20, in the paper and in its authors' code.
        score_penalty: weight of the mean squared score, before the clip; AMDIM's code has 5e-2.

    Raises:
        UserError: no level has a weight; a level, scale, clip or penalty that this critic or encoder does not have;
            a `tau` without `smile`; "per-place" where it is not possible (`pairs.check_normaliser`).
    """

    least_views: int  #: 2 if only `map_map` has a weight, else 1

    def __init__(
        self,
        facts: Facts,
        *,
        bound: str = "infonce",
        critic: Literal["dot", "concat"] = "dot",
        units: Count = 2048,
        scale: Positive | Literal["1/sqrt(units)"] | None = None,
        places: Count | None = None,
        negatives: Count | Literal["all"] = "all",
        pairing: Pairing = "global",
        negatives_from: NegativesFrom = "all",
        tau: Positive = TAU,
        normaliser: Normaliser = "shared",
        y_local: NotNegative = 1.0,
        y_conv: NotNegative = 0.0,
        map_map: NotNegative = 0.0,
        across: NotNegative = 1.0,
        within: NotNegative = 0.0,
        several: Literal["pairs", "rest"] = "pairs",
        clip: Positive | None = None,
        score_penalty: NotNegative = 0.0,
    ) -> None:
        super().__init__()
        self.places, self.several, self.score_penalty = places, several, score_penalty
        self.weights = {"across": across, "within": within}
        self.levels = {
            name: weight for name, weight in zip(LEVELS, (y_local, y_conv, map_map), strict=True) if weight > 0
        }
        self.compares_processes = negatives_from == "all"
        self.information = PairBound(
            bound,
            negatives,
            pairing,
            negatives_from,
            tau,
            clip=clip,
            squares=score_penalty > 0,
            normaliser=normaliser,
        )
        if critic == "concat" and (clip is not None or score_penalty > 0 or set(self.levels) - {"y_local"}):
            raise UserError(
                'local.critic "concat" scores y with the local map only: y_conv, map_map, clip and score_penalty are '
                'for "dot"'
            )
        if critic == "concat" and scale is not None:
            raise UserError('local.scale is for the critic "dot", and "concat" has none: set local.scale to none')
        if not self.levels:
            raise UserError("local has nothing to score: give y_local, y_conv or map_map a weight above 0")
        if not across and not within:
            raise UserError("local has nothing to score: give across or within a weight above 0")
        self.least_views = 2 if set(self.levels) == {"map_map"} else 1
        channels, (global_units, _) = facts.shapes.local[0], facts.shapes.globals
        self.critic: EncodeAndDot | ConcatAndConvolve
        if critic == "dot":
            number = units**-0.5 if isinstance(scale, str) else 1.0 if scale is None else scale
            self.critic = EncodeAndDot(channels, global_units, units, number)
        else:
            self.critic = ConcatAndConvolve(channels, global_units, units)
        if y_conv > 0:
            if facts.shapes.conv is None:
                raise UserError("local.y_conv needs an encoder with a conv map, and this one has none: set it to 0")
            self.conv = EmbedRows(facts.shapes.conv[0], units)

    def forward(self, features: Features, batch: Batch) -> Terms:
        (side,) = self.embedded([features])
        return self._terms({level: (1.0, [(side, side)]) for level in self._within_levels()})

    def across(self, views: Sequence[Features], batch: Batch) -> Terms:
        """The terms between views, and those within each view if `within` is above 0."""
        sides = self.embedded(views)
        compared: dict[str, tuple[float, list[tuple[Side, Side]]]] = {}
        if weight := self.weights["across"]:
            compared |= {level: (weight, self._others(level, sides)) for level in self.levels}
        if weight := self.weights["within"]:
            own = [(side, side) for side in sides]
            compared |= {f"within_{level}": (weight, own) for level in self._within_levels()}
        return self._terms(compared)

    def _within_levels(self) -> list[str]:
        """The levels without `map_map`: within one view it would compare a place with itself."""
        return [level for level in self.levels if level != "map_map"]

    def embedded(self, views: Sequence[Features]) -> list["Side"]:
        """Embed each view by the critic; all views pass it in one batch."""
        local = [self._drawn(places(view.local)) for view in views]
        y = [places(view.y) for view in views]
        rows = self.critic(together(local), together(y))
        sides = [Side(*pair, None, None) for pair in zip(apart(rows[0], local), apart(rows[1], y), strict=True)]
        if "y_conv" in self.levels:
            conv = [self._drawn(places(view.conv)) for view in views if view.conv is not None]
            embedded = apart(self.conv(together(conv)), conv)
            sides = [side._replace(conv=own) for side, own in zip(sides, embedded, strict=True)]
        if "map_map" in self.levels:
            assert isinstance(self.critic, EncodeAndDot)
            scale = self.critic.scale
            sides = [side._replace(anchor=scale * sample_places(side.local, 1)) for side in sides]
        return sides

    def _drawn(self, rows: Float[Tensor, "N L C"]) -> Float[Tensor, "N K C"]:
        """K = `places` random places of each image; with "per-place" the same ones for all images."""
        if self.places is None or self.places >= rows.shape[1]:
            return rows
        if self.information.normaliser == "shared":
            return sample_places(rows, self.places)
        drawn = torch.randperm(rows.shape[1], device=rows.device)[: self.places]
        return rows[:, from_first_process(drawn)]

    def _others(self, level: str, sides: list["Side"]) -> list[tuple["Side", "Side"]]:
        """The pairs of views to compare at a level; with `several` = "rest", each view and the mean of all others."""
        pairs = [(own, other) for own in sides for other in sides if other is not own]
        if self.several == "pairs" or level == "map_map":
            return pairs
        rest = len(sides) - 1
        chunks = [pairs[start : start + rest] for start in range(0, len(pairs), rest)]
        return [(c[0][0], c[0][0]._replace(y=torch.stack([other.y for _, other in c]).mean(0))) for c in chunks]

    def _terms(self, compared: dict[str, tuple[float, list[tuple["Side", "Side"]]]]) -> Terms:
        """The losses and measured numbers of these comparisons.

        Args:
            compared: name of a term -> its weight, and the pairs of views to compare. The loss of "y_local", the usual
                term, is called "loss".
        """
        losses: dict[str, Tensor] = {}
        measured: dict[str, Tensor] = {}
        squares: list[Tensor] = []
        for name, (weight, pairs) in compared.items():
            level = name.removeprefix("within_")
            weight = weight * self.levels[level]
            estimate = mean_estimate([self._estimate(level, *pair) for pair in pairs])
            prefix = name.removesuffix("y_local")
            prefix += "_" if prefix and not prefix.endswith("_") else ""
            losses[prefix.removesuffix("_") or "loss"] = weight * -estimate.maximised
            measured |= {prefix + quantity: value for quantity, value in estimate.measured.items()}
            if estimate.mean_square is not None:
                squares.append(weight * estimate.mean_square)
                measured[f"{prefix}mean_square_score"] = estimate.mean_square
        if squares:
            losses["score_penalty"] = self.score_penalty * torch.stack(squares).sum()
        return Terms(losses, measured)

    def _estimate(self, level: str, first: "Side", second: "Side") -> Estimate:
        """The bound for one pair of views: places of the first, and y (or one place) of the second."""
        local = first.conv if level == "y_conv" else first.local
        glob = second.anchor if level == "map_map" else second.y
        assert local is not None
        assert glob is not None
        return self.information(self.critic, local, glob)

    @staticmethod
    def at_scale(scale: Scale, section: Section) -> Section:
        """For encode-and-dot: fewer units, only some places, and scores that begin near 1 instead of √units.

        On CIFAR-10, trained for minutes, that scale of the scores gained 3 points at conv and 1.5 at y in an
        early trial, of which no file is kept. With `several` = "rest" a quarter of the places is enough, since each
        of the many views adds its own.
        """
        units, places = (32, 8) if scale == "smoke" else (256, 16)
        if section.get("several") == "rest":
            places //= 4
        if section.get("critic", "dot") == "dot":
            return section | {"units": units, "places": places, "scale": units**-0.5}
        return section | {"units": units}


class Side(NamedTuple):
    """One view of N images, embedded by the critic in U units."""

    local: Float[Tensor, "N L U"]
    y: Float[Tensor, "N M U"]
    conv: Float[Tensor, "N L2 U"] | None
    anchor: Float[Tensor, "N 1 U"] | None  #: one place of the local map of each image


def mean_estimate(estimates: Sequence[Estimate]) -> Estimate:
    """The mean of several estimates, field by field."""
    values, maximised, squares, caps = zip(*estimates, strict=True)
    square = None if squares[0] is None else torch.stack(squares).mean()
    return Estimate(torch.stack(values).mean(), torch.stack(maximised).mean(), square, torch.stack(caps).mean())


def together(views: Sequence[Float[Tensor, "_ _ C"]]) -> Float[Tensor, "R C"]:
    """Concatenate the places of all views, (N, L, C) each, as rows (R, C); L may differ between views."""
    rows = [view.flatten(0, 1) for view in views]
    return rows[0] if len(rows) == 1 else torch.cat(rows)


def apart(rows: Float[Tensor, "R U"], like: Sequence[Float[Tensor, "_ _ _"]]) -> list[Float[Tensor, "_ _ U"]]:
    """Undo `together`: split rows into views (N, L, U), with the N and L of `like`."""
    parts = rows.split([view.shape[0] * view.shape[1] for view in like])
    return [part.view(*view.shape[:2], -1) for part, view in zip(parts, like, strict=True)]


def sample_places(local: Float[Tensor, "N L C"], count: int) -> Float[Tensor, "N {count} C"]:
    """`count` places of each image, without replacement."""
    keys = torch.rand(local.shape[:2], device=local.device)
    index = keys.topk(count, dim=1).indices.unsqueeze(2).expand(-1, -1, local.shape[2])
    return local.gather(1, index)
