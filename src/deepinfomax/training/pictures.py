"""Pictures that a run's own decoder or generator makes, for the report: reconstructions and samples."""

from pathlib import Path

import numpy as np
import torch

from deepinfomax.data.images import ImageSet, denormalise, normalise
from deepinfomax.encoders.modes import in_eval_mode
from deepinfomax.features import Features
from deepinfomax.objectives.protocol import DrawsY, Reconstructs, Samples
from deepinfomax.training.learner import Learner

FILE = "generated.npz"
RECONSTRUCTIONS, SAMPLES = 16, 32


@torch.no_grad()
def write_pictures(learner: Learner, images: ImageSet, augment: torch.nn.Module, folder: Path, seed: int) -> None:
    """Write generated.npz into a run folder, where an objective can decode y or draw images from its prior.

    `images` and `reconstructions` (n, C, H, W) uint8 are training images as the encoder sees them without chance, and
    what the objective makes of their y; `samples` (m, C, H, W) uint8. Of several such objectives the first speaks. An
    adversarial autoencoder has no objective that samples; its samples are what the decoder makes of draws from the
    prior that y is matched to.
    """
    objectives = list(learner.objectives.values())
    decoder = next((o for o in objectives if isinstance(o, Reconstructs)), None)
    generator = next((o for o in objectives if isinstance(o, Samples)), None)
    matched = next((o for o in objectives if isinstance(o, DrawsY)), None)
    found: dict[str, np.ndarray] = {}
    with in_eval_mode(learner), in_eval_mode(augment):
        if decoder is not None:
            device = next(learner.encoder.parameters()).device
            chosen = np.sort(np.random.default_rng(seed).permutation(len(images))[:RECONSTRUCTIONS])
            shown = augment(normalise(np.array(images.images[chosen])).to(device))
            found["images"] = denormalise(shown)
            found["reconstructions"] = denormalise(decoder.reconstruct(learner.encoder(shown)))
        if generator is not None:
            found["samples"] = denormalise(generator.sample(SAMPLES, torch.Generator().manual_seed(seed)))
        elif decoder is not None and matched is not None and (y := matched.draw_y(SAMPLES, seed)) is not None:
            found["samples"] = denormalise(decoder.reconstruct(Features(y, y, y, y)))  # it looks at y alone
    if found:
        partial = folder / ".generated.partial.npz"
        np.savez_compressed(partial, **found)  # type: ignore[arg-type]
        partial.replace(folder / FILE)
