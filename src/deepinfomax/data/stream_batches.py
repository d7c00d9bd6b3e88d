"""Batches of a stream, made by the workers of a `torch.utils.data.DataLoader`; a run goes on at its shards."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from deepinfomax.data.decoding import reason
from deepinfomax.data.images import normalise
from deepinfomax.data.streaming import Stream, shuffled
from deepinfomax.data.workers import cores
from deepinfomax.errors import UserError, count_of

MOST_WORKERS = 8  #: of a process, where none are asked for
EMPTY_PASSES = 20  #: in a row, after which a reader whose shards fill no batch has too few images, and not bad luck

Batch = tuple[Tensor, Tensor | None, Tensor | None]  #: images in [-1, 1], labels, index; a stream has only images


@dataclass(frozen=True)
class Place:
    """How far one reader is."""

    turn: int = 0  #: passes that are over
    shards: int = 0  #: of its shards of this pass, read to their end
    bad: int = 0  #: images that were left out, in all passes together


@dataclass(frozen=True)
class Failed:
    """Why a reader cannot go on, in one line: an error that crosses processes as a value keeps it one line."""

    reason: str


class StreamStopped(UserError):
    """A shard or an image cannot be read in the middle of a run."""


class ShardReader(IterableDataset):
    """Endless batches: (pixels (batch_size, C, H, W) uint8, number of the reader, its `Place`).

    Every worker of every process is a reader. In each pass the order of the shards depends on (seed, pass), and reader
    r of R takes those at r, r + R, ... Its images go through a shuffle buffer; at the end of a pass, images that do not
    fill a batch are left out. So if a reader's only shard in a pass is smaller than a batch, it makes no batch in this
    pass and goes on with the next one.
    """

    def __init__(
        self,
        stream: Stream,
        batch_size: int,
        *,
        seed: int,
        buffer: int,
        readers: range,
        total: int,
        begun: Mapping[int, Place],
    ) -> None:
        self.stream, self.batch_size, self.buffer, self.seed = stream, batch_size, buffer, seed
        self.readers, self.total = readers, total  #: numbers of this process's, one a worker; of all processes
        self.begun = begun  #: where each goes on
        self.read = 0  #: shards of this pass, read to their end

    def __iter__(self) -> Iterator[tuple[Tensor, int, Place] | Failed]:
        worker = get_worker_info()
        reader = self.readers[worker.id if worker is not None else 0]
        try:
            yield from self._batches(reader)
        except UserError as error:
            yield Failed(str(error))

    def _batches(self, reader: int) -> Iterator[tuple[Tensor, int, Place]]:
        begun = self.begun.get(reader, Place())
        bad, empty = begun.bad, 0
        for turn in count(begun.turn):
            first = begun.shards if turn == begun.turn else 0
            mine = self.shards(reader, turn)
            self.read = first
            rng = np.random.default_rng([self.seed, turn, reader, first])
            pixels, filled, made = self._empty(), 0, 0
            for content in shuffled(self._contents(mine[first:]), self.buffer, rng):
                try:
                    pixels[filled] = self.stream.decode(content)
                except Exception as error:  # damaged files make Pillow's decoders raise errors of every kind
                    if not self.stream.skip_bad:
                        mend = "set data.skip_bad true to leave such images out"
                        raise UserError(
                            f"{self.stream.shards.name}: an image cannot be read ({reason(error)}); {mend}"
                        ) from None
                    bad += 1
                    continue
                filled += 1
                if filled == self.batch_size:
                    yield torch.from_numpy(pixels), reader, Place(turn, self.read, bad)
                    pixels, filled, made = self._empty(), 0, made + 1
            empty = 0 if made or first else empty + 1
            if empty == (EMPTY_PASSES if self.total > 1 else 1):  # one reader has all shards in every pass
                fewer = "data.workers 1, or " if len(self.readers) > 1 else ""
                raise UserError(
                    f"{self.stream.shards.name}: the shards that a worker reads ({len(mine)}) hold fewer images than a "
                    f"batch of {self.batch_size}: set {fewer}a smaller training.batch_size"
                )

    def shards(self, reader: int, turn: int) -> list[int]:
        """The shards that a reader reads in a pass, in their order."""
        order = np.random.default_rng([self.seed, turn]).permutation(len(self.stream.shards))
        return order[reader :: self.total].tolist()

    def _contents(self, shards: list[int]) -> Iterator[bytes]:
        for shard in shards:
            yield from (content for content, _ in self.stream.shards.cells(shard))
            self.read += 1

    def _empty(self) -> np.ndarray:
        return np.empty((self.batch_size, *self.stream.shape), np.uint8)


class StreamBatches:
    """Batches of a stream on the device, in the form of `Batches`: (images, None, None), pass after pass.

    A pass is not one permutation of all images: shards come in random order, and images through a shuffle buffer.

    Args:
        buffer: images that wait in all workers of this process together, encoded.
        workers: of this process; None: one a core, and no more than there are shards. A run that goes on has as many
            as before.

    Raises:
        UserError: fewer shards than readers; a length that is not known.
    """

    def __init__(
        self,
        stream: Stream,
        batch_size: int,
        *,
        seed: int,
        device: torch.device,
        rank: int = 0,
        world_size: int = 1,
        buffer: int,
        workers: int | None = None,
    ) -> None:
        self.stream, self.batch_size, self.seed, self.buffer = stream, batch_size, seed, buffer
        self.device, self.rank, self.world_size = device, rank, world_size
        most = len(stream.shards) // world_size
        if not most or (workers or 1) > most:
            asked = f"{world_size} processes" if not most else f"{workers} workers of {world_size} processes"
            mend = "fewer processes" if not most else f"data.workers {most}"
            raise UserError(
                f"{stream.shards.name} has {count_of(len(stream.shards), 'shard')}, too few for {asked}, which read "
                f"one each: use {mend}, or write more and smaller shards"
            )
        self.workers = workers or min(most, MOST_WORKERS, max(1, cores() // world_size))
        self.places: dict[int, Place] = {}  #: where each reader was when it made its last batch that was trained on

    def __len__(self) -> int:
        """Steps of a pass, as far as its number of images is known."""
        if self.stream.shards.count is None:
            return 0
        return max(1, self.stream.shards.count // (self.batch_size * self.world_size))

    def after(self, done: int, steps: int) -> Iterator[tuple[int, Batch]]:
        """The number of each step after `done`, up to `steps`, with its batch.

        Raises:
            StreamStopped: a shard or an image that cannot be read.
        """
        readers = range(self.rank * self.workers, (self.rank + 1) * self.workers)
        own = ShardReader(
            self.stream,
            self.batch_size,
            seed=self.seed,
            buffer=max(1, self.buffer // self.workers),
            readers=readers,
            total=self.workers * self.world_size,
            begun=self.places,
        )
        # A worker also where one is enough: it decodes while the device computes.
        loader = DataLoader(own, batch_size=None, num_workers=self.workers, pin_memory=self.device.type == "cuda")
        for number, made in zip(range(done + 1, steps + 1), loader, strict=False):
            if isinstance(made, Failed):
                raise StreamStopped(made.reason)
            pixels, reader, place = made
            self.places[reader] = place
            yield number, (normalise(pixels.to(self.device, non_blocking=True)), None, None)

    def state(self) -> dict[str, Any]:
        """Where every reader of every process is, for the checkpoint; all processes call it together."""
        places = [(reader, place.turn, place.shards, place.bad) for reader, place in self.places.items()]
        everywhere = gather_object(places) if self.world_size > 1 else places
        return {"workers": self.workers, "places": {reader: list(place) for reader, *place in sorted(everywhere)}}

    def begun_with(self, state: dict[str, Any] | None) -> str:
        """Begin, or go on from what a checkpoint holds; returns what a person should know of it."""
        shards = self.stream.shards
        if state is None:
            about = "" if shards.exact else "about "
            many = "" if shards.count is None else f" with {about}{count_of(shards.count, 'image')}"
            return (
                f"a stream of {count_of(len(shards), 'shard')}{many}, read by {count_of(self.workers, 'worker')} a "
                f"process through a shuffle buffer of {self.buffer:,}; --resume goes on at shards, not at images"
            )
        self.workers = state["workers"]
        self.places = {reader: Place(*place) for reader, place in state["places"].items()}
        turn = min((place.turn for place in self.places.values()), default=0)
        readers = self.workers * self.world_size
        over = sum(
            place.shards if place.turn == turn else len(range(reader, len(shards), readers))  # a pass ahead: all of its
            for reader, place in self.places.items()
        )
        return (
            f"the stream goes on at shards, not at images: {over} of {count_of(len(shards), 'shard')} of pass "
            f"{turn + 1} were read to their end, those begun are read again from their beginning, and what waited in "
            f"the shuffle buffer (at most {self.buffer:,} images a process) is not seen again in this pass"
        )

    def left_out(self) -> str:
        """What to say of images of this process that could not be read; "" if there are none."""
        bad = sum(place.bad for place in self.places.values())
        return (
            f"an image of the stream was left out {bad:,} times, all passes counted: it cannot be read" if bad else ""
        )
