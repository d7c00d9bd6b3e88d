"""The two players as modules: all that is trained for the encoder's sake, and all that is trained against it."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from deepinfomax import encoders
from deepinfomax.config import Config
from deepinfomax.data.images import ImageSet
from deepinfomax.errors import UserError
from deepinfomax.features import Features
from deepinfomax.objectives import OBJECTIVES, Batch, Objective, TwoPlayer
from deepinfomax.objectives.occlusion import Occlusion
from deepinfomax.objectives.protocol import SinglePass


class Learner(nn.Module):
    """The encoder and its objectives, so that one forward is one step of the first player.

    Args:
        encoder: images -> Features.
        objectives: by name; each owns its critic.
        weights: of each objective; α, β and γ of the paper are those of "global", "local" and "prior" (eq. 8).
        occlusion: hides part of what the global path sees (§4.3); None: it sees all.

    Raises:
        UserError: occlusion beside an objective that needs y and the maps to be of one pass.
    """

    def __init__(
        self,
        encoder: nn.Module,
        objectives: dict[str, nn.Module],
        weights: dict[str, float],
        occlusion: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if occlusion is not None:
            for objective in objectives.values():
                if isinstance(objective, SinglePass) and objective.single_pass is not None:
                    raise UserError(f"occlusion takes y from another pass than the maps, but {objective.single_pass}")
        self.encoder = encoder
        self.objectives = nn.ModuleDict(objectives)
        self.occlusion = occlusion
        self.objective_weights = dict(weights)
        self.weights: dict[str, float] = {}  #: of each term; an objective may have several

    def forward(self, batch: Batch) -> tuple[Features, dict[str, Tensor]]:
        features = self.encoder(batch.images)
        if self.occlusion is not None:
            partly_hidden = self.encoder(self.occlusion(batch.images))
            features = features._replace(fc=partly_hidden.fc, y=partly_hidden.y)
        losses: dict[str, Tensor] = {}
        objective: Objective
        for name, objective in self.objectives.items():  # type: ignore[assignment]
            for term, loss in objective(features, batch).items():
                losses[term] = loss
                self.weights[term] = self.objective_weights[name]
        return features, losses

    def measured(self) -> dict[str, Tensor]:
        """What the objectives measured in their last forward, as "objective/quantity"."""
        found: dict[str, Tensor] = {}
        objective: Objective
        for name, objective in self.objectives.items():  # type: ignore[assignment]
            found |= {f"{name}/{quantity}": value for quantity, value in objective.measured.items()}
        return found

    def own_parameters(self) -> list[nn.Parameter]:
        """All parameters but those of the second player."""
        others = {
            id(p)
            for o in self.objectives.values()
            if isinstance(o, TwoPlayer)
            for m in o.players()
            for p in m.parameters()
        }
        return [p for p in self.parameters() if id(p) not in others]


class Opponents(nn.Module):
    """The second player: the networks of every two-player objective. False where there is none."""

    def __init__(self, objectives: nn.ModuleDict) -> None:
        super().__init__()
        # The objectives stay out of the module tree: their other parts belong to the learner.
        self._objectives = tuple(o for o in objectives.values() if isinstance(o, TwoPlayer))
        self.networks = nn.ModuleList([network for o in self._objectives for network in o.players()])

    def __bool__(self) -> bool:
        return len(self._objectives) > 0

    def forward(self, features: Features, batch: Batch) -> dict[str, Tensor]:
        return {name: loss for o in self._objectives for name, loss in o.adversary(features, batch).items()}

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """While it lasts, no parameter here asks for a gradient."""
        self.requires_grad_(False)
        try:
            yield
        finally:
            self.requires_grad_(True)


def build(config: Config, image_shape: tuple[int, ...], images: ImageSet, encoder: nn.Module | None = None) -> Learner:
    """The learner that a resolved configuration describes, freshly initialised from torch's random state."""
    if encoder is None:
        arguments = {k: v for k, v in config.encoder.items() if k != "name"}
        encoder = encoders.build(config.encoder["name"], image_shape, **arguments)
    shapes = encoders.shapes_of(encoder, image_shape)
    objectives, weights = {}, {}
    for name, section in config.objective.items():
        arguments = {k: v for k, v in section.items() if k != "weight"}
        objectives[name] = OBJECTIVES[name](shapes, **arguments, **_facts(OBJECTIVES[name], images))
        weights[name] = section["weight"]
    occlusion = None if config.occlusion is None else Occlusion(image_shape, **config.occlusion)
    return Learner(encoder, objectives, weights, occlusion)


def needs_labels(config: Config) -> bool:
    """Whether an objective asks how many classes there are; all others ignore labels."""
    return any("classes" in inspect.signature(OBJECTIVES[name]).parameters for name in config.objective)


def _facts(objective: type, images: ImageSet) -> dict[str, Any]:
    """What an objective asks to know of the data set: the number of classes, of images."""
    asked = inspect.signature(objective).parameters
    facts: dict[str, Any] = {}
    if "images" in asked:
        facts["images"] = len(images)
    if "classes" in asked:
        if images.labels is None:
            raise UserError(f"{objective.__name__} needs labels, and {images.name or 'the data'} has none")
        facts["classes"] = len(images.classes) or int(images.labels.max()) + 1
    return facts
