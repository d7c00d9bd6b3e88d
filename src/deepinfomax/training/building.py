"""Build the game (encoder and objectives) that a configuration describes, for a data set."""

import numpy as np
from torch import nn

from deepinfomax import encoders
from deepinfomax.config import Config, objective_type
from deepinfomax.data.augmentation import Augmentation
from deepinfomax.data.channels import Channels
from deepinfomax.data.images import ImageSet, in_range, normalise
from deepinfomax.encoders.whitening import IMAGES as WHITENED
from deepinfomax.encoders.whitening import whiten_first_layer
from deepinfomax.errors import UserError
from deepinfomax.features import Shapes
from deepinfomax.objectives import OBJECTIVES, Facts, Game
from deepinfomax.objectives.game import check_views
from deepinfomax.objectives.occlusion import Occlusion
from deepinfomax.objectives.protocol import AcrossViews, ComparesProcesses


def build_game(
    config: Config,
    image_shape: tuple[int, ...],
    images: ImageSet,
    encoder: nn.Module | None = None,
    channels: Channels | None = None,
) -> Game:
    """The game that a resolved configuration describes, initialised from torch's random state.

    Args:
        image_shape: (C, *S) of the encoder's input, after augmentation.
        images: the training set.
        encoder: a network to train in place of the configuration's.
        channels: means and deviations by which the images are standardised; None: they are not.

    Raises:
        UserError: an objective needs labels and the data set has none; an objective needs more views than there are;
            no objective uses the small views; all weights are 0; or an objective refuses its settings.
    """
    if encoder is None:
        settings = {name: value for name, value in config.encoder.items() if name != "name"}
        encoder = encoders.build(config.encoder["name"], image_shape, **settings)
        begin(encoder, config, images, channels)
    if config.training.small_views:  # raises an error if the encoder cannot take both sizes
        encoders.shapes_of(encoder, Augmentation(**config.augmentation).small_shape(image_shape))
    facts = _facts(encoders.shapes_of(encoder, image_shape), images, bounded=channels is None and in_range(images))
    objectives = {}
    for name, section in config.objective.items():
        kind = OBJECTIVES[objective_type(name, section)]
        if uses_labels(kind) and images.labels is None:
            raise UserError(
                f"{name} needs labels, and the training images of {images.name or 'the data'} have none: give them "
                "labels, or choose another recipe"
            )
        settings = {key: value for key, value in section.items() if key not in ("weight", "type")}
        objectives[name] = (section["weight"], kind(facts, **settings))
        views, small = config.training.views, config.training.small_views
        check_views(objectives[name][1], views + small, views, name)
    if not any(weight for weight, _ in objectives.values()):
        raise UserError("all objectives have a weight of 0, so nothing would be trained: give one more than 0")
    if config.training.small_views and not any(isinstance(own, AcrossViews) for _, own in objectives.values()):
        raise UserError(
            "training.small_views are seen only by objectives that compare views, and there is none: set it to 0"
        )
    occlusion = None if config.occlusion is None else Occlusion(image_shape, **config.occlusion)
    return Game(encoder, objectives, occlusion)


def with_common_batchnorm(game: Game) -> Game:
    """The game with SyncBatchNorm, if an objective compares images of different processes; else unchanged.

    Ordinary BatchNorm normalises each process's images by its own statistics. A critic that compares images of
    different processes could recognise the process by that, and would learn nothing else. Losses of single images do
    not have this problem, and SyncBatchNorm would cost them a wait in every layer.
    """
    compared = (
        objective.compares_processes if isinstance(objective, ComparesProcesses) else True
        for objective in game.objectives.values()
    )
    return nn.SyncBatchNorm.convert_sync_batchnorm(game) if any(compared) else game


def begin(encoder: nn.Module, config: Config, images: ImageSet, channels: Channels | None = None) -> None:
    """Set the first layer of a new encoder as `training.first_layer` says.

    Args:
        images: the training set.
        channels: means and deviations by which it is standardised; None: it is not.

    Raises:
        UserError: the encoder or the images do not allow this first layer.
    """
    if config.training.first_layer == "whitening":
        augment = Augmentation(**config.augmentation).eval()
        chosen = np.sort(np.random.default_rng([config.seed, 1]).permutation(len(images))[:WHITENED])
        numbers = normalise(np.asarray(images.images[chosen]))
        shown = augment(numbers if channels is None else channels(numbers))
        whiten_first_layer(encoder, shown, seed=config.seed)


def uses_labels(objective: type) -> bool:
    """Whether an objective reads labels."""
    return getattr(objective, "uses_labels", False)


def uses_index(objective: type) -> bool:
    """Whether an objective reads each image's position in the data set."""
    return getattr(objective, "uses_index", False)


def needs_labels(config: Config) -> bool:
    """Whether any objective of the configuration reads labels."""
    kinds = (objective_type(name, section) for name, section in config.objective.items())
    return any(uses_labels(OBJECTIVES[kind]) for kind in kinds)


def _facts(shapes: Shapes, images: ImageSet, *, bounded: bool) -> Facts:
    classes = None
    if images.labels is not None and len(images.labels):
        classes = len(images.classes) or int(images.labels.max()) + 1
        if images.labels.ndim == 1 and not -1 <= images.labels.min() <= images.labels.max() < classes:
            found = f"labels run from {images.labels.min()} to {images.labels.max()}, of {classes} classes"
            raise UserError(f"{images.name or 'the set'}: {found}: labels are 0 to {classes - 1}, and -1 for none")
    return Facts(shapes, classes=classes or None, images=len(images), bounded=bounded)
