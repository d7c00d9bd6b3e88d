"""Embeddings by several processes: each embeds its share of a set, and the first one has them all and measures."""

import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import torch
from jaxtyping import Float32
from torch import Tensor, distributed, nn

from deepinfomax.data.images import CHUNK, ImageSet
from deepinfomax.evaluation.embeddings import BATCH, check_finite, check_room, embed, vectors_of
from deepinfomax.training.processes import ProcessLost, check_gpus, others_there

MEASURING = timedelta(days=30)  #: how long the others may wait while the first process measures


class SharedEmbedding:
    """`embed` by all processes that were started together, of the sets that all of them have.

    The first process calls `embed` as it would alone, and `end` at last; meanwhile the others are in `help`. Batches
    are those of one process, whole, so that the numbers do not hang on how many processes there are.
    """

    def __init__(self) -> None:
        distributed.init_process_group("gloo", timeout=MEASURING)  # embeddings are gathered on the CPU
        self.rank, self.processes = distributed.get_rank(), distributed.get_world_size()
        self.sets: tuple[ImageSet, ...] = ()

    @property
    def first(self) -> bool:
        """Whether this is the process that measures."""
        return self.rank == 0

    def embed(
        self,
        encoder: nn.Module,
        images: ImageSet,
        *,
        levels: Sequence[str],
        device: torch.device | str | None = None,
    ) -> dict[str, Float32[Tensor, "N units"]]:
        """As `embeddings.embed`, by all processes where `images` is one of `sets`; here alone where it is not.

        Raises:
            ProcessLost: one of the others has ended.
        """
        place = next((i for i, known in enumerate(self.sets) if known is images), None)
        if place is None:
            return embed(encoder, images, levels=levels, device=device)
        with others_there("what was measured is kept; the same command measures the rest"):
            weights = {name: value.cpu() for name, value in encoder.state_dict().items()}
            distributed.broadcast_object_list([(place, tuple(levels), weights)])
            own = vectors_of(encoder, self._share(images, 0), levels=levels, device=device)
            whole: dict[str, Tensor] = {}
            for level, vectors in own.items():
                check_room(level, len(images), vectors.shape[1])
                whole[level] = torch.empty(len(images), vectors.shape[1])
                whole[level][: len(vectors)] = vectors
            del own
            for rank in range(1, self.processes):
                rows = self._rows(len(images), rank)
                for level in whole:
                    for piece in _pieces(whole[level][rows]):
                        distributed.recv(piece, rank)
        for level, vectors in whole.items():
            check_finite(vectors, f"level {level} of the encoder")
        return whole

    def help(self, encoder: nn.Module, device: torch.device | str | None = None) -> None:
        """Embed what the first process asks for, until it ends.

        Args:
            encoder: of the architecture of all that are measured; its weights are replaced by theirs.
        """
        with suppress(ProcessLost), others_there("it has said why"):
            while (asked := self._asked()) is not None:
                place, levels, weights = asked
                encoder.load_state_dict(weights)
                own = self._share(self.sets[place], self.rank)
                if len(own):
                    embedded = vectors_of(encoder, own, levels=levels, device=device)
                    for level in levels:
                        for piece in _pieces(embedded.pop(level)):
                            distributed.send(piece, 0)

    def end(self) -> None:
        """Let the others go."""
        with suppress(ProcessLost), others_there("nothing is left to do"):
            distributed.broadcast_object_list([None])

    def _asked(self) -> Any:
        asked = [None]
        distributed.broadcast_object_list(asked)
        return asked[0]

    def _rows(self, images: int, rank: int) -> slice:
        """The share of a process: whole batches one behind the other, and the first process has some."""
        batches = -(-images // BATCH)
        start, stop = (-(-batches * each // self.processes) * BATCH for each in (rank, rank + 1))
        return slice(min(start, images), min(stop, images))

    def _share(self, images: ImageSet, rank: int) -> ImageSet:
        return images.take(self._rows(len(images), rank))


def _pieces(vectors: Tensor) -> tuple[Tensor, ...]:
    """What travels at once; nothing of a share without images."""
    return vectors.split(CHUNK) if len(vectors) else ()


def own_device(device: torch.device) -> torch.device:
    """The GPU of this process, of several that share the work; any other device as it is.

    Raises:
        UserError: there are fewer GPUs than processes.
    """
    if device.type != "cuda":
        return device
    check_gpus(device)
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
