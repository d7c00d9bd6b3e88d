"""The game: an encoder with its objectives, and the second player that some objectives need.

    game = Game(encoder, {"local": (1.0, LocalInfoMax(facts)), "prior": (0.1, PriorMatching(facts))})
    optimizers = {player: torch.optim.Adam(its, lr=1e-4) for player, its in game.players().items()}
    for images in loader:
        turn = play(game, Batch(images), optimizers)

There are two players, each with its own optimizer. "encoder" trains the encoder and all critics of mutual information;
"opponents" trains the adversarial networks of objectives such as `prior` (`TwoPlayer`). Neither changes a parameter of
the other.

A batch may have several views of each image. Views of the same size pass the encoder together. An objective that
compares views (`AcrossViews`) gets all of them; any other gets each view of full size by itself, and its losses are
averaged over views.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from deepinfomax.encoders.modes import without_running_averages
from deepinfomax.errors import UserError
from deepinfomax.features import Features
from deepinfomax.objectives.protocol import (
    AcrossViews,
    Batch,
    MeetsEncoder,
    Objective,
    OnePass,
    ShowsY,
    Terms,
    TwoPlayer,
)
from deepinfomax.objectives.target import Target


class Turn(NamedTuple):
    """What one player computed from one batch."""

    features: Features
    total: Float[Tensor, ""]  #: the sum of the losses by their weights, those of 0 left out, which a player minimises
    losses: dict[str, Tensor]  #: each loss by "objective/term", not weighted
    measured: dict[str, Tensor]  #: numbers to be logged by "objective/quantity", detached
    y: Float[Tensor, "N D *M"]  #: the encoder's own output, detached; `features.y` may differ, see `ShowsY`


class Game(nn.Module):
    """An encoder and its objectives; one call is the first player's turn.

    Args:
        encoder: images -> Features.
        objectives: name -> (weight, objective); each objective owns its critic. α, β and γ of the paper are the weights
            of "global", "local" and "prior" (eq. 8). Names are free, so one kind of objective may be used twice.
        occlusion: hides part of the image from y and fc (paper §4.3); None: they see the whole image.

    Raises:
        UserError: occlusion together with an objective that needs y and the local map from the same pass; an objective
            without its weight.
    """

    def __init__(
        self,
        encoder: nn.Module,
        objectives: Mapping[str, tuple[float, nn.Module]],
        occlusion: nn.Module | None = None,
    ) -> None:
        super().__init__()
        for name, pair in objectives.items():
            if not isinstance(pair, Sequence) or len(pair) != 2:
                raise UserError(f"objective {name!r} has no weight: give it as (1.0, {type(pair).__name__}(facts))")
        if occlusion is not None:
            for _, objective in objectives.values():
                if isinstance(objective, OnePass) and objective.one_pass is not None:
                    raise UserError(f"occlusion takes y from another pass than the maps, but {objective.one_pass}")
        shows = next((name for name, (_, objective) in objectives.items() if changes_y(objective)), None)
        for name, (_, objective) in objectives.items():
            if isinstance(objective, MeetsEncoder):
                if shows is not None:
                    raise UserError(
                        f"{name} copies the encoder, and {shows} changes its y, which a copy would not see: take one "
                        "without the other"
                    )
                objective.meet(encoder)
        self.encoder = encoder
        self.objectives = nn.ModuleDict({name: objective for name, (_, objective) in objectives.items()})
        self.weights = {name: float(weight) for name, (weight, _) in objectives.items()}
        self.occlusion = occlusion
        opponents = Opponents({n: o for n, o in self.objectives.items() if isinstance(o, TwoPlayer) and o.players()})
        # Not registered as a submodule: the opponents' networks are submodules of the objectives already.
        self._beside = (opponents if len(opponents.networks) else None,)

    @property
    def opponents(self) -> "Opponents | None":
        """The second player as a module; None if no objective has an opponent."""
        return self._beside[0]

    def forward(self, batch: Batch) -> Turn:
        """The first player's turn: encode the batch, compute each objective's losses, and sum them by their weights."""
        features = self.encoder(batch.images)
        if self.occlusion is not None:
            # Measures later use whole images, so only these update the running averages of BatchNorm.
            with without_running_averages(self.encoder):
                partly_hidden = self.encoder(self.occlusion(batch.images))
            features = features._replace(fc=partly_hidden.fc, y=partly_hidden.y)
        own_y = features.y.detach()
        features = self.shown(features)
        views = features.split(batch.views)
        if batch.small is not None:
            views += self.shown(self.encoder(batch.small)).split(len(batch.small) * batch.views // len(batch.images))
        terms: dict[str, Terms] = {}
        for name, objective in self.objectives.items():
            if isinstance(objective, AcrossViews) and len(views) > 1:
                terms[name] = _terms(name, objective.across(views, batch))
                continue
            check_views(objective, len(views), batch.views, name)
            terms[name] = each_view(name, objective, features, batch)
        return _turn(features, terms, self.weights, own_y)

    def shown(self, features: Features) -> Features:
        """The features that objectives get: the encoder's, with y replaced if an objective changes it (`ShowsY`)."""
        for objective in self.objectives.values():
            if isinstance(objective, ShowsY):
                features = features._replace(y=objective.y_shown(features.y))
        return features

    def players(self) -> dict[str, list[nn.Parameter]]:
        """The parameters of each player: "encoder", and "opponents" if there are any."""
        theirs = [] if self.opponents is None else list(self.opponents.parameters())
        targets = [module for module in self.modules() if isinstance(module, Target)]
        following = [parameter for target in targets for parameter in target.parameters()]  # no optimizer's
        numbers = {id(parameter) for parameter in (*theirs, *following)}
        own = [parameter for parameter in self.parameters() if id(parameter) not in numbers]
        return {"encoder": own} | ({"opponents": theirs} if theirs else {})


class Opponents(nn.Module):
    """The second player: the adversarial networks of all objectives that have one (`TwoPlayer`)."""

    def __init__(self, objectives: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self._objectives = dict(objectives)  # not as submodules: their other parts belong to the first player
        self.networks = nn.ModuleList([network for o in objectives.values() for network in o.players()])  # type: ignore[operator]

    def forward(self, features: Features, batch: Batch) -> Turn:
        """The second player's turn, on the features of the first player's turn, which carry no gradient."""
        terms = {name: each_view(name, o.adversary, features, batch) for name, o in self._objectives.items()}  # type: ignore[arg-type]
        return _turn(features, terms, dict.fromkeys(terms, 1.0), features.y)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Within the block the opponents' parameters do not require gradients."""
        self.requires_grad_(False)
        try:
            yield
        finally:
            self.requires_grad_(True)


def play(game: Game, batch: Batch, optimizers: Mapping[str, torch.optim.Optimizer]) -> Turn:
    """One training step of both players.

    Args:
        optimizers: one for each key of `game.players()`.

    Returns:
        The losses and measured numbers of both players, and the features; none of them carries a gradient.

    Raises:
        UserError: a loss without a gradient; no optimizer for a player.
    """
    if game.opponents is not None and "opponents" not in optimizers:
        raise UserError(
            'the opponents have no optimizer: make one for each of game.players(), which has "opponents" too'
        )
    first = game(batch)
    _descend(first, optimizers["encoder"])
    features = first.features.detach()
    losses, measured = first.losses, first.measured
    if game.opponents is not None:
        second = game.opponents(features, batch)
        _descend(second, optimizers["opponents"])
        losses, measured = losses | second.losses, measured | second.measured
    detached = {name: loss.detach() for name, loss in losses.items()}
    return Turn(features, first.total.detach(), detached, measured, first.y)


def play_all(game: Game, batches: Iterable[Batch], optimizers: Mapping[str, torch.optim.Optimizer]) -> Iterator[Turn]:
    """Train one step on each batch, and yield what it computed."""
    game.train()
    for batch in batches:
        yield play(game, batch, optimizers)


def each_view(
    name: str, objective: Objective | nn.Module | Callable[..., Terms], features: Features, batch: Batch
) -> Terms:
    """Apply an objective of one view to each view of full size; returns the means of its losses and numbers."""
    if batch.views == 1:
        return _terms(name, objective(features, batch))
    terms = [
        _terms(name, objective(view, batch.of_view(number))) for number, view in enumerate(features.split(batch.views))
    ]

    def mean(tables: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        stacked = {name: torch.stack([table[name] for table in tables]) for name in tables[0]}
        return {name: (own if own.is_floating_point() else own.float()).mean(0) for name, own in stacked.items()}

    return Terms(mean([dict(own) for own in terms]), mean([own.measured for own in terms]))


def _terms(name: str, returned: object) -> Terms:
    """`returned` itself, if it is `Terms`; raises UserError otherwise."""
    if not isinstance(returned, Terms):
        raise UserError(f'the objective {name} returned a {type(returned).__name__}: return Terms({{"loss": loss}})')
    return returned


def changes_y(objective: object) -> bool:
    """Whether this objective replaces the y that all objectives get, see `ShowsY`."""
    return isinstance(objective, ShowsY) and getattr(objective, "changes_y", True)


def check_views(objective: object, views: int, full: int, name: str) -> None:
    """Raises UserError if an objective needs more views of an image than there are, or takes one view only.

    Args:
        views: number of views of an image, of any size.
        full: number of those of full size; each of them is given to an objective of one view.
        name: of the objective, for the message.
    """
    if full > 1 and isinstance(objective, OnePass) and objective.one_pass is not None:
        raise UserError(f"{full} views of an image pass the encoder together, but {objective.one_pass}")
    if isinstance(objective, AcrossViews) and views < objective.least_views:
        raise UserError(
            f"{name} compares views of an image and there is {views}: set training.views to {objective.least_views} or "
            "more, and an augmentation that makes them differ"
        )


def metric_name(loss: str) -> str:
    """ "local/loss" -> "local", "prior/critic" -> "prior_critic": what metrics.jsonl calls a loss."""
    objective, term = loss.split("/")
    return objective if term == "loss" else f"{objective}_{term}"


def check_gradients(turn: Turn) -> None:
    """Raises UserError if there is no loss, or if one, or their sum, carries no gradient and would train nothing."""
    if not turn.losses:
        raise UserError("no objective has a loss (prior.by noise has none): add one, such as local")
    for name, loss in turn.losses.items():
        if not loss.requires_grad:
            raise UserError(
                f"the loss {name} carries no gradient, so that nothing is trained by it: compute it of features or "
                "parameters that take one, without detach()"
            )
    if not turn.total.requires_grad:
        raise UserError(
            "all objectives that have a loss have a weight of 0, so nothing is trained: give one more than 0"
        )


def _turn(features: Features, terms: Mapping[str, Terms], weights: Mapping[str, float], y: Tensor) -> Turn:
    losses = {f"{name}/{term}": loss for name, own in terms.items() for term, loss in own.items()}
    measured = {f"{name}/{quantity}": value for name, own in terms.items() for quantity, value in own.measured.items()}
    # One of weight 0 is left out: 0 times infinity would be NaN, in the gradient too.
    weighted = (weights[name] * loss for name, own in terms.items() if weights[name] for loss in own.values())
    total = sum(weighted, torch.zeros(()))
    return Turn(features, total, losses, measured, y)


def _descend(turn: Turn, optimizer: torch.optim.Optimizer) -> None:
    check_gradients(turn)
    optimizer.zero_grad()
    turn.total.backward()
    optimizer.step()
