"""Files for the report: sample images with their neighbours, and a sample of y."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from deepinfomax import files
from deepinfomax.data.images import ImageSet
from deepinfomax.data.pictures import drawable, pictures_of
from deepinfomax.encoders import shapes_of
from deepinfomax.evaluation.embeddings import embed, input_type
from deepinfomax.evaluation.neighbours import other_neighbours

METRIC_NAMES = {"l1": "L1", "cosine": "cosine"}  #: of the metrics, as the report says them


def write_gallery(
    encoder: nn.Module,
    images: ImageSet,
    run: Path,
    *,
    bank: int = 1000,
    queries: int = 12,
    count: int = 6,
    metric: str = "l1",
    view: Callable[[ImageSet], ImageSet] | None = None,
    names: Sequence[str] | None = None,
    data: str = "",
    seed: int = 0,
    device: torch.device | str | None = None,
) -> None:
    """Write gallery.npz and embeddings_sample.npz into a run folder, for `deepinfomax.report`.

    A sheet of pictures needs two pictures or more: of a single image, and of data without an axis of time or space,
    only the sample of y is written. Series are shown as line plots, volumes as three slices (`data.pictures`).

    Args:
        encoder: images in [-1, 1] -> Features.
        images: `bank` of them, drawn by `seed`, are searched.
        run: the folder.
        queries: how many of the bank are shown with `count` neighbours each; one of each class in turn where there are
            labels.
        metric: "l1" or "cosine", see `neighbours`. L1 is the paper's (A.4), where y is matched to a uniform prior.
        view: converts the bank's images to the encoder's input; None: they are the input themselves.
        names: of all images, shown under the pictures.
        data: a name for the images if they are not those of the run. Then the sample of y, which the page compares with
            the prior, is not replaced.
        seed: draws the bank and the queries.
        device: where the encoder runs; None: the CPU.

    Raises:
        UserError: an unknown metric, or features that are not finite.
    """
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(images))[:bank])
    part = images.take(chosen)
    if view is not None:
        part = view(part)
    embedded = embed(encoder, part, device=device or "cpu")
    count = min(count, len(part) - 1)
    query = one_of_each(part.labels, len(part), min(queries, len(part)), rng)
    if drawable(part.shape) and count > 0:
        nearest: dict[str, np.ndarray] = {
            f"neighbours_{level}": other_neighbours(vectors, torch.from_numpy(query), count, metric)[0].numpy()
            for level, vectors in embedded.items()
        }
        labels = {}
        if part.labels is not None and part.labels.ndim == 1:
            labels = {"labels": part.labels, "classes": np.array(part.classes, dtype=np.str_)}
        named = {} if names is None else {"names": np.array([names[i] for i in chosen])}
        small = pictures_of(part.images)
        save_arrays(
            run / files.GALLERY,
            images=small,
            query=query,
            metric=np.array(METRIC_NAMES[metric]),
            data=np.array(data),
            **labels,
            **named,
            **nearest,
        )
    if not data:
        y = embedded["y"].numpy().astype(np.float32)
        own = shapes_of(
            encoder, part.shape, input_type(encoder)
        ).y  # (D,), or (D, M) of M globals, which `embed` flattens
        save_arrays(run / files.SAMPLE, y=y.reshape(len(y), *own))


def one_of_each(labels: np.ndarray | None, images: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Positions of `count` of the images, one of each class in turn, those without a label last; in order if there are
    no classes."""
    order = rng.permutation(images)
    if labels is None or labels.ndim > 1:
        return np.sort(order[:count])
    rounds = np.zeros(len(labels), dtype=np.int64)
    seen: dict[int, int] = {}
    for i in order:
        rounds[i] = seen.get(int(labels[i]), 0)
        seen[int(labels[i])] = int(rounds[i]) + 1
    rounds[labels < 0] = images
    return order[np.lexsort((labels[order], rounds[order]))][:count]


def save_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Replace an .npz file."""
    with files.replacing(path) as partial:
        np.savez_compressed(partial, **arrays)  # type: ignore[arg-type]
