"""Batches on the device, in an order that depends only on the seed and the epoch."""

import mmap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from deepinfomax import memory
from deepinfomax.data.channels import Channels
from deepinfomax.data.images import CHUNK, WIDER, ImageSet, as_tensor, normalise
from deepinfomax.errors import UserError, count_of

#: the whole set is moved to the device if it needs at most this share of the memory that is free there
RESIDENT_SHARE = 0.5


class Batches:
    """Shuffled training batches of a set: (images, labels, index), epoch by epoch.

    images: float32 (batch_size, C, *S) on the device: pictures in [-1, 1], other numbers standardised by `channels`;
    labels: on the device, or None; index: (batch_size,) int64, positions in the set, on the device.

    The order of an epoch is a permutation of the set that depends only on (seed, epoch). Step k of the epoch is the
    k-th slice of batch_size * world_size images, and each process takes its part of that slice. So any step can be
    computed without the steps before it, two processes never get the same image in an epoch, and all processes together
    get what one process with the whole batch would get. Images at the end that do not fill a slice are left out of the
    epoch.

    Small sets are kept on the device as they are stored (CIFAR-10 is 150 MB), so no process waits for a loader; see
    `RESIDENT_SHARE`. Larger sets are read from their memory map one batch ahead, in a thread.

    Arguments:
        channels: means and deviations by which channels are standardised; None: they are not.
        rank, world_size: number of this process, and of all processes.
        resident: force (True) or forbid (False) moving the whole set to the device; None: if there is enough memory.

    Raises:
        UserError: the set is smaller than one batch of all processes.
    """

    def __init__(
        self,
        images: ImageSet,
        batch_size: int,
        *,
        seed: int = 0,
        device: torch.device | str = "cpu",
        rank: int = 0,
        world_size: int = 1,
        channels: Channels | None = None,
        resident: bool | None = None,
    ):
        together = batch_size * world_size
        if len(images) < together:
            processes = f" in each of {world_size} processes" if world_size > 1 else ""
            most = len(images) // world_size
            mend = f"set training.batch_size to {most} or less, or give more images"
            if most < 2:
                mend = "give more images" + (" or use fewer processes" if world_size > 1 else "")
            have = f"{images.name or 'the set'} has {count_of(len(images), 'image')}"
            raise UserError(f"{have}, fewer than a batch of {batch_size}{processes}; {mend}")
        self.images, self.batch_size, self.seed = images, batch_size, seed
        self.device, self.rank, self.world_size = torch.device(device), rank, world_size
        size = images.images.nbytes * (2 if images.images.dtype.name in WIDER else 1)
        self.resident = fits(size, self.device, world_size) if resident is None else resident
        self._channels = channels
        labels = images.labels
        self._labels = None if labels is None else torch.from_numpy(np.ascontiguousarray(labels)).to(self.device)
        self._pixels = _on_device(images.images, self.device) if self.resident else None

    def __len__(self) -> int:
        """Steps of one epoch."""
        return len(self.images) // (self.batch_size * self.world_size)

    def __call__(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor | None, Tensor]]:
        """The batches of an epoch from step `start` on."""
        slices = self.order(epoch)[start:]
        indices = torch.from_numpy(slices).to(self.device)  # of the whole epoch at once
        if self._pixels is not None:
            for index in indices:
                yield self._prepared(self._pixels[index]), self._labels_at(index), index
        else:
            with ThreadPoolExecutor(1) as reader:
                pending = [reader.submit(self._read, rows) for rows in slices[:1]]
                for step, index in enumerate(indices):
                    pixels = pending.pop().result()
                    if step + 1 < len(slices):
                        pending.append(reader.submit(self._read, slices[step + 1]))
                    yield self._prepared(pixels.to(self.device, non_blocking=True)), self._labels_at(index), index

    def order(self, epoch: int) -> np.ndarray:
        """(steps, batch_size) int64: what this process reads in an epoch."""
        permutation = np.random.default_rng([self.seed, epoch]).permutation(len(self.images))
        used = permutation[: len(self) * self.batch_size * self.world_size]
        return used.reshape(len(self), self.world_size, self.batch_size)[:, self.rank]

    def _read(self, rows: np.ndarray) -> Tensor:
        """Rows of the memory map, read in their order on the disk."""
        stored = self.images.images
        read_ahead(stored, rows)
        ascending = np.argsort(rows)
        batch = np.empty((len(rows), *stored.shape[1:]), stored.dtype)
        batch[ascending] = stored[rows[ascending]]
        pixels = as_tensor(batch)
        return pixels.pin_memory() if self.device.type == "cuda" else pixels

    def _prepared(self, pixels: Tensor) -> Tensor:
        numbers = normalise(pixels)
        return numbers if self._channels is None else self._channels(numbers)

    def _labels_at(self, index: Tensor) -> Tensor | None:
        return None if self._labels is None else self._labels[index]


def read_ahead(stored: np.ndarray, rows: np.ndarray) -> None:
    """Tell the system which rows of a memory map are needed next, so that it reads them all at once, not page by page.

    Random rows of a file that is not in memory are read several times as fast. For other arrays nothing is done.
    """
    mapped = getattr(stored, "_mmap", None)  # of np.memmap; a slice of one has the map of the whole
    if mapped is None or not hasattr(mmap, "MADV_WILLNEED") or not stored.flags.c_contiguous:
        return
    start = stored.ctypes.data - np.frombuffer(mapped, np.uint8).ctypes.data
    size = stored[:1].nbytes
    for row in rows:
        begin = start + int(row) * size
        page = begin - begin % mmap.PAGESIZE
        mapped.madvise(mmap.MADV_WILLNEED, page, begin + size - page)


def fits(size: int, device: torch.device, processes: int = 1) -> bool:
    """Whether `size` bytes are at most `RESIDENT_SHARE` of the free memory of the device.

    On CUDA: the memory that its driver reports as free. Otherwise: `memory.free`, divided by the number of `processes`.
    """
    if device.type == "cuda":
        return size <= RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0]
    return size * processes <= RESIDENT_SHARE * memory.free()


def _on_device(array: np.ndarray, device: torch.device) -> Tensor:
    """Copy an array, which may be a memory map, to a tensor on the device.

    To a GPU, or to a wider type, it is copied in parts, so that the host never holds the whole array.
    """
    if device.type == "cpu" and array.dtype.name not in WIDER:
        return as_tensor(np.array(array))
    first = as_tensor(np.array(array[:CHUNK]))
    pixels = torch.empty(array.shape, dtype=first.dtype, device=device)
    for start in range(0, len(array), CHUNK):
        pixels[start : start + CHUNK] = as_tensor(np.array(array[start : start + CHUNK]))
    return pixels
