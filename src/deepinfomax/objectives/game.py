"""The game: an encoder with its objectives, and the opponents that some objectives bring along.

    game = Game(encoder, {"local": (1.0, LocalInfoMax(facts)), "prior": (0.1, PriorMatching(facts))})
    optimizers = {player: torch.optim.Adam(its, lr=1e-4) for player, its in game.players().items()}
    for images in loader:
        turn = play(game, Batch(images), optimizers)

Two players with an optimizer each: "encoder" trains the encoder and all critics of mutual information, "opponents" the
networks that an objective plays against (`TwoPlayer`). Neither ever moves a parameter of the other.

A batch may show several views of each image. All of one size pass the encoder together; an objective that compares
views (`AcrossViews`) is given all of them, any other works on each view of full size and is averaged over them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
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
    total: Float[Tensor, ""]  #: the weighted sum of the losses, to be minimised by this player
    losses: dict[str, Tensor]  #: each loss by "objective/term", not weighted
    measured: dict[str, Tensor]  #: each number worth logging by "objective/quantity", detached
    y: Float[Tensor, "N D *M"]  #: the encoder's own, detached; that of `features` may be changed, see `ShowsY`


class Game(nn.Module):
    """An encoder and its objectives; one call is the first player's turn.

    Args:
        encoder: images -> Features.
        objectives: name -> (weight, objective); each objective owns its critic. α, β and γ of the paper are the weights
            of "global", "local" and "prior" (eq. 8). Names are free, so one kind of objective may stand here twice.
        occlusion: hides part of the image from y and fc (paper §4.3); None: they see all of it.

    Raises:
        UserError: occlusion beside an objective that needs y and the local map to come from one pass.
    """

    def __init__(
        self,
        encoder: nn.Module,
        objectives: Mapping[str, tuple[float, nn.Module]],
        occlusion: nn.Module | None = None,
    ) -> None:
        super().__init__()
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
        # Beside the module tree, not in it: the opponents' networks are the objectives' own already.
        self._beside = (opponents if len(opponents.networks) else None,)

    @property
    def opponents(self) -> "Opponents | None":
        """The second player as a module of its own; None where no objective has an opponent."""
        return self._beside[0]

    def forward(self, batch: Batch) -> Turn:
        """The first player's turn: encode the batch, score it by each objective, add the losses by their weights."""
        features = self.encoder(batch.images)
        if self.occlusion is not None:
            # What is measured later sees whole images, so they alone make the averages of BatchNorm.
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
        """The features that objectives see: those of the encoder, but where one of them changes y."""
        for objective in self.objectives.values():
            if isinstance(objective, ShowsY):
                features = features._replace(y=objective.y_shown(features.y))
        return features

    def players(self) -> dict[str, list[nn.Parameter]]:
        """The parameters of each player: "encoder", and "opponents" where there are any."""
        theirs = [] if self.opponents is None else list(self.opponents.parameters())
        targets = [module for module in self.modules() if isinstance(module, Target)]
        following = [parameter for target in targets for parameter in target.parameters()]  # by no optimizer
        numbers = {id(parameter) for parameter in (*theirs, *following)}
        own = [parameter for parameter in self.parameters() if id(parameter) not in numbers]
        return {"encoder": own} | ({"opponents": theirs} if theirs else {})


class Opponents(nn.Module):
    """The second player: the opponents' networks of every two-player objective."""

    def __init__(self, objectives: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self._objectives = dict(objectives)  # beside the module tree: their other parts belong to the first player
        self.networks = nn.ModuleList([network for o in objectives.values() for network in o.players()])  # type: ignore[operator]

    def forward(self, features: Features, batch: Batch) -> Turn:
        """The second player's turn, at the features of the first player's, which carry no gradient."""
        terms = {name: each_view(name, o.adversary, features, batch) for name, o in self._objectives.items()}  # type: ignore[arg-type]
        return _turn(features, terms, dict.fromkeys(terms, 1.0), features.y)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """While the block runs, no parameter of the opponents asks for a gradient."""
        self.requires_grad_(False)
        try:
            yield
        finally:
            self.requires_grad_(True)


def play(game: Game, batch: Batch, optimizers: Mapping[str, torch.optim.Optimizer]) -> Turn:
    """One step of both players. Returns what both computed; features and losses carry no gradient any more.

    Raises:
        UserError: a loss without a gradient.
    """
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
    """One step on each batch, from whatever gives batches; yields each turn for whoever watches."""
    game.train()
    for batch in batches:
        yield play(game, batch, optimizers)


def each_view(
    name: str, objective: Objective | nn.Module | Callable[..., Terms], features: Features, batch: Batch
) -> Terms:
    """An objective of one view on each view of full size: the mean of its losses, and of what it measured."""
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
    """What an objective returned; UserError where that is something else than `Terms`."""
    if not isinstance(returned, Terms):
        raise UserError(f'the objective {name} returned a {type(returned).__name__}: return Terms({{"loss": loss}})')
    return returned


def changes_y(objective: object) -> bool:
    """Whether objectives see another y than the encoder's because of this one."""
    return isinstance(objective, ShowsY) and getattr(objective, "changes_y", True)


def check_views(objective: object, views: int, full: int, name: str) -> None:
    """Raises UserError where an objective compares more views of an image than there are, or takes no more than one.

    Args:
        views: of an image, of any size.
        full: those of full size, each of which is shown to an objective of one view.
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


def check_gradients(losses: Mapping[str, Tensor]) -> None:
    """Raises UserError where there is no loss, or one that carries no gradient: nothing would be trained by it."""
    if not losses:
        raise UserError("no objective has a loss (prior.by noise has none): add one, such as local")
    for name, loss in losses.items():
        if not loss.requires_grad:
            raise UserError(
                f"the loss {name} carries no gradient, so that nothing is trained by it: compute it of features or "
                "parameters that take one, without detach()"
            )


def _turn(features: Features, terms: Mapping[str, Terms], weights: Mapping[str, float], y: Tensor) -> Turn:
    losses = {f"{name}/{term}": loss for name, own in terms.items() for term, loss in own.items()}
    measured = {f"{name}/{quantity}": value for name, own in terms.items() for quantity, value in own.measured.items()}
    total = sum((weights[name] * loss for name, own in terms.items() for loss in own.values()), torch.zeros(()))
    return Turn(features, total, losses, measured, y)


def _descend(turn: Turn, optimizer: torch.optim.Optimizer) -> None:
    check_gradients(turn.losses)
    optimizer.zero_grad()
    turn.total.backward()
    optimizer.step()
