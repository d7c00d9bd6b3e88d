"""Reconstructions and samples by a run's own decoder or generator, for the report."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deepinfomax import files
from deepinfomax.data.channels import Channels
from deepinfomax.data.images import ImageSet, denormalise, in_range, normalise
from deepinfomax.data.pictures import drawable, pictures_of
from deepinfomax.encoders.modes import in_eval_mode
from deepinfomax.features import Features
from deepinfomax.objectives.game import Game, changes_y
from deepinfomax.objectives.protocol import Decodes, KnowsItsPrior, Samples

RECONSTRUCTIONS, SAMPLES = 16, 32  #: how many of each are kept
ENCODED = 128  #: images that are encoded together if the y of objectives is normalised by the batch (`ShowsY`)


def write_decoded_images(
    game: Game,
    images: ImageSet,
    augment: torch.nn.Module,
    folder: Path,
    seed: int,
    channels: Channels | None = None,
) -> None:
    """Write generated.npz into a run folder, if an objective can decode y or draw images from its prior.

    The file has `images` (n, C, H, W) uint8: training images as the encoder gets them, without random augmentation;
    `reconstructions`, of the same shape: their y decoded; `samples` (m, C, H, W) uint8. If several objectives can do
    it, the first one does. An adversarial autoencoder has no objective that samples, so its decoder decodes samples of
    the prior. Series, volumes, and images outside [-1, 1] are drawn by `data.pictures`, all on one scale; then the file
    also has `errors` (n,), the root mean squared error of each, which the pictures do not show.

    Args:
        channels: means and deviations by which the images are standardised; None: they are not.
    """
    made = made_by(game, images, augment, seed, channels)
    if not made or not drawable(images.shape):
        return
    if channels is None and images.shape[0] in (1, 3) and len(images.shape) == 3 and in_range(images):
        arrays = {name: denormalise(items) for name, items in made.items()}
    else:
        arrays = drawn(made)
        if "reconstructions" in made:
            squares = (made["images"] - made["reconstructions"]).square()
            arrays["errors"] = squares.flatten(1).mean(1).sqrt().cpu().numpy()
    with files.replacing(folder / files.GENERATED) as partial:
        np.savez_compressed(partial, **arrays)  # type: ignore[arg-type]


@torch.no_grad()
def made_by(
    game: Game, images: ImageSet, augment: torch.nn.Module, seed: int, channels: Channels | None
) -> dict[str, Tensor]:
    """`images`, `reconstructions` and `samples` (n, C, *S) of the encoder's scale, as far as objectives give them."""
    objectives = list(game.objectives.values())
    decoder = next((o for o in objectives if isinstance(o, Decodes)), None)
    generator = next((o for o in objectives if isinstance(o, Samples)), None)
    matched = next((o for o in objectives if isinstance(o, KnowsItsPrior)), None)
    made: dict[str, Tensor] = {}
    with in_eval_mode(game), in_eval_mode(augment):
        if decoder is not None:
            device = next(game.encoder.parameters()).device
            count = ENCODED if any(map(changes_y, objectives)) else RECONSTRUCTIONS
            order = np.random.default_rng(seed).permutation(len(images))[:count]
            chosen = np.concatenate([np.sort(order[:RECONSTRUCTIONS]), order[RECONSTRUCTIONS:]])
            numbers = normalise(np.array(images.images[chosen])).to(device)
            views = augment(numbers if channels is None else channels(numbers))
            features = game.shown(game.encoder(views))
            few = Features(*(None if level is None else level[:RECONSTRUCTIONS] for level in features))  # type: ignore[arg-type]
            made["images"], made["reconstructions"] = views[:RECONSTRUCTIONS], decoder.reconstruct(few)
        if generator is not None:
            made["samples"] = generator.sample(SAMPLES, torch.Generator().manual_seed(seed))
        elif decoder is not None and matched is not None and (y := matched.draw_y(SAMPLES, seed)) is not None:
            # A decoder uses y only.
            y = y.to(next(game.encoder.parameters()))
            made["samples"] = decoder.reconstruct(Features(local=y, conv=None, fc=None, y=y))
    return made


def drawn(sets: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """Draw several sets of items of one shape as pictures (n, C, H, W) uint8, all on one scale."""
    together = pictures_of(torch.cat([items.float().cpu() for items in sets.values()]).numpy())
    ends = np.cumsum([len(items) for items in sets.values()])
    return dict(zip(sets, np.split(together, ends[:-1]), strict=True))
