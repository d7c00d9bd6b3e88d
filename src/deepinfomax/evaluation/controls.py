"""Controls: features that need no learning, and a supervised encoder, measured by the same probes.

The accuracy of a probe says little by itself. It is compared with that of raw pixels, of as many principal components
of them as y has units, of a randomly initialised encoder of the same shape and, if requested, of the same architecture
trained with labels.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from deepinfomax.data.channels import Channels
from deepinfomax.data.images import ImageSet, normalise
from deepinfomax.errors import UserError
from deepinfomax.evaluation.draws import seeded
from deepinfomax.evaluation.frozen import on_device
from deepinfomax.evaluation.labels import check_labels
from deepinfomax.evaluation.scales import Scale, check_scale
from deepinfomax.fitting import ScheduledAdam, accuracy, mini_batches
from deepinfomax.progress import say
from deepinfomax.seeds import random_state

CONTROLS = ("pixels", "pixels_pca", "random_encoder", "supervised")

#: Steps of `train_supervised` with batches of 128.
SUPERVISED_STEPS: dict[Scale, int] = {"smoke": 20, "cpu": 800, "paper": 40_000}
CALIBRATION_BATCHES, CALIBRATION_BATCH = 8, 256


def pixels(images: ImageSet, channels: Channels | None = None) -> Float[Tensor, "N pixels"]:
    """Images as vectors: pictures in [-1, 1], other numbers standardised by `channels`. 4 bytes per value."""
    numbers = normalise(np.asarray(images.images))
    return (numbers if channels is None else channels(numbers)).flatten(1)


def pixels_pca(
    train: Float[Tensor, "N units"], test: Float[Tensor, "T units"], components: int, seed: int = 0
) -> tuple[Float[Tensor, "N c"], Float[Tensor, "T c"]]:
    """Both sets in the principal components of the training pixels.

    c is `components`, or fewer if there are not as many. Computed by scikit-learn's randomised algorithm (Halko et al.
    2009): 64 of 12,288 components in seconds.
    """
    components = min(components, *train.shape)
    # scikit-learn takes no seed of more than 32 bits.
    from sklearn.decomposition import PCA  # a second to import, and only needed here

    pca = PCA(components, svd_solver="randomized", random_state=random_state(seed)).fit(train.numpy())
    return tuple(torch.from_numpy(pca.transform(x.numpy()).astype(np.float32)) for x in (train, test))  # type: ignore


def random_encoder(
    make_encoder: Callable[[], nn.Module], images: ImageSet, *, seed: int = 0, device: torch.device | str = "cpu"
) -> nn.Module:
    """A fresh encoder with the weights of its initialisation, in eval mode.

    Its BatchNorm statistics are estimated on training images (without labels or gradients). A trained encoder has such
    statistics too, and without them this control would be unfairly weak.
    """
    with seeded(seed):
        encoder = make_encoder()
    norms = [m for m in encoder.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if norms:
        momenta = [m.momentum for m in norms]
        for m in norms:
            m.reset_running_stats()
            m.momentum = None  # the plain average of all batches
        chosen = np.random.default_rng(seed).permutation(len(images))[: CALIBRATION_BATCHES * CALIBRATION_BATCH]
        # Parts of equal size: in the average of batches, a last one of two images would weigh as much as the others.
        parts = np.array_split(chosen, -(-len(chosen) // CALIBRATION_BATCH))
        with on_device(encoder, device) as where, torch.no_grad(), seeded(seed, where):
            encoder.train()
            for part in parts:
                if len(part) > 1:
                    encoder(normalise(np.array(images.images[np.sort(part)])).to(where))
        for m, momentum in zip(norms, momenta, strict=True):
            m.momentum = momentum
    return encoder.eval()


def train_supervised(
    encoder: nn.Module,
    train: ImageSet,
    test: ImageSet,
    *,
    steps: int | None = None,
    seconds: float | None = None,
    level: str = "y",
    batch_size: int = 128,
    lr: float = 1e-3,
    scale: Scale = "cpu",
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> dict[str, Any]:
    """Train `encoder` and a linear head on `level` with labels, end to end; returns the accuracy on `test`.

    `encoder` is changed, so pass a new one. Adam with a rate that falls to zero as a cosine; no augmentation, as in the
    paper. Training ends after `steps`, or after `seconds` if given (then the rate falls with time).

    Returns:
        A dictionary: accuracy, train_accuracy (of the last steps), n_train, n_test, steps, protocol, seconds.
    """
    began = time.perf_counter()
    if train.labels is None or test.labels is None:
        raise UserError("the supervised control needs labels; leave it out of the controls")
    y, y_test, classes = check_labels(train.labels, test.labels)
    if len(train) < 2:
        raise UserError("one training image is not enough to train on")
    steps = SUPERVISED_STEPS[check_scale(scale)] if steps is None else steps
    batch_size = min(batch_size, len(train))
    recent: list[float] = []
    with on_device(encoder, device) as where, seeded(seed, where):
        encoder.train()
        with torch.no_grad():
            units = getattr(encoder.eval()(normalise(np.array(train.images[:1])).to(where)), level).flatten(1).shape[1]
        head = nn.Linear(units, classes).to(where)
        encoder.train()

        def share(done: int) -> float:
            """How much of the training is over after `done` steps."""
            return done / steps if seconds is None else (time.perf_counter() - began) / seconds

        def cosine(optimizer: torch.optim.Optimizer) -> LRScheduler:
            return LambdaLR(optimizer, lambda done: (1 + np.cos(np.pi * min(share(done), 1))) / 2)

        adam = ScheduledAdam(encoder, head, lr=lr, schedule=cosine)
        batches = mini_batches(len(train), batch_size)
        done = 0
        while share(done) < 1:
            rows = next(batches)
            images = normalise(np.array(train.images[rows.numpy()])).to(where)
            logits = head(getattr(encoder(images), level).flatten(1))
            target = y[rows].to(where)
            adam.step(cross_entropy(logits, target))
            done += 1
            if done % 20 == 0:
                recent = [*recent[-9:], float((logits.argmax(1) == target).float().mean())]
                say(f"step {done}, training accuracy {np.mean(recent):.2f}")
        encoder.eval()

        def classify(rows: slice) -> Tensor:
            images = normalise(np.array(test.images[rows])).to(where)
            return head(getattr(encoder(images), level).flatten(1)).cpu()

        test_accuracy = accuracy(classify, y_test)
    return {
        "accuracy": test_accuracy,
        "std": None,
        "train_accuracy": float(np.mean(recent)) if recent else None,
        "n_train": len(train),
        "n_test": len(test),
        "steps": done,
        "protocol": f"end to end, linear head on {level}, Adam {lr:g}, {done} steps of {batch_size} images as they are",
        "seconds": time.perf_counter() - began,
    }
