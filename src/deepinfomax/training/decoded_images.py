"""Images that a run's own decoder or generator makes, for the report: reconstructions and samples."""

from pathlib import Path

import numpy as np
import torch

from deepinfomax import files
from deepinfomax.data.images import ImageSet, denormalise, normalise
from deepinfomax.encoders.modes import in_eval_mode
from deepinfomax.features import Features
from deepinfomax.objectives.game import Game
from deepinfomax.objectives.protocol import Decodes, KnowsItsPrior, Samples

RECONSTRUCTIONS, SAMPLES = 16, 32  #: how many of each are kept


@torch.no_grad()
def write_decoded_images(game: Game, images: ImageSet, augment: torch.nn.Module, folder: Path, seed: int) -> None:
    """Write generated.npz into a run folder, where an objective can decode y or draw images from its prior.

    `images` and `reconstructions` (n, C, H, W) uint8 are training images as the encoder sees them without chance, and
    what the objective makes of their y; `samples` (m, C, H, W) uint8. Where several objectives can do it, the first one
    does. An adversarial autoencoder has no objective that samples: there the decoder decodes draws from the prior.
    """
    objectives = list(game.objectives.values())
    decoder = next((o for o in objectives if isinstance(o, Decodes)), None)
    generator = next((o for o in objectives if isinstance(o, Samples)), None)
    matched = next((o for o in objectives if isinstance(o, KnowsItsPrior)), None)
    arrays: dict[str, np.ndarray] = {}
    with in_eval_mode(game), in_eval_mode(augment):
        if decoder is not None:
            device = next(game.encoder.parameters()).device
            chosen = np.sort(np.random.default_rng(seed).permutation(len(images))[:RECONSTRUCTIONS])
            shown = augment(normalise(np.array(images.images[chosen])).to(device))
            arrays["images"] = denormalise(shown)
            arrays["reconstructions"] = denormalise(decoder.reconstruct(game.encoder(shown)))
        if generator is not None:
            arrays["samples"] = denormalise(generator.sample(SAMPLES, torch.Generator().manual_seed(seed)))
        elif decoder is not None and matched is not None and (y := matched.draw_y(SAMPLES, seed)) is not None:
            # A decoder looks at y alone.
            y = y.to(next(game.encoder.parameters()))
            arrays["samples"] = denormalise(decoder.reconstruct(Features(local=y, conv=None, fc=None, y=y)))
    if arrays:
        with files.replacing(folder / files.GENERATED) as partial:
            np.savez_compressed(partial, **arrays)  # type: ignore[arg-type]
