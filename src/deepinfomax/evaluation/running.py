"""A running evaluation: takes measures, writes each result at once, and shows it."""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn

from deepinfomax.data.images import ImageSet
from deepinfomax.evaluation.embeddings import Embed, EmbeddingsOfY, embed, levels_of
from deepinfomax.evaluation.few_labels import mean_over_draws
from deepinfomax.evaluation.frozen import on_device, unchanged
from deepinfomax.evaluation.measure import checked_result
from deepinfomax.evaluation.measures import measure_called
from deepinfomax.evaluation.reading import NO_LEVEL, headline, remarks
from deepinfomax.evaluation.record import Record
from deepinfomax.evaluation.scales import Scale
from deepinfomax.progress import shown

VALUES_AT_ONCE = 2**30  #: float32 numbers of features, or of pixels, that are held at once (4.3 GB)


class Evaluation:
    """The settings that all measures of one evaluation share, and the methods that take measures.

    Args:
        head: what identifies the evaluation: data, encoder, scale and seed.
        out: evaluation.json; None: nothing is written.
        notes: what a reader of the figures should know besides.
        folds: positions of the labelled training images that each fold has.
        quiet: show nothing.
        embed: what embeds a whole set.
    """

    def __init__(
        self,
        head: dict[str, Any],
        out: Path | None,
        *,
        scale: Scale,
        seed: int,
        device: torch.device | str,
        notes: Sequence[str] = (),
        folds: Sequence[np.ndarray] = (),
        quiet: bool = False,
        embed: Embed = embed,
    ) -> None:
        self.console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
        self.record = Record(head, out, partial(self.console.print, markup=False))
        self.scale, self.seed, self.device, self.folds, self.embed = scale, seed, device, folds, embed
        self._of_folds = {"folds": digest(*(np.asarray(fold, dtype=np.int64) for fold in folds))}
        for note in notes:
            self.record.note(note)

    def identity(self, path: tuple[str, ...]) -> dict[str, Any]:
        """What a figure depends on in addition to the evaluation's head: its folds, if it is one of folds."""
        return self._of_folds if any(part == "folds" or part.endswith("_folds") for part in path) else {}

    def has(self, path: tuple[str, ...]) -> bool:
        """Whether the figure is there already."""
        return self.record.has(path, **self.identity(path))

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Show `what` while the block runs, and a line with its seconds when it is done."""
        began = time.perf_counter()
        with shown(what, self.console):
            yield
        self.console.print(f"{what}: {time.perf_counter() - began:.1f} s", markup=False)

    def measure(self, name: str, path: tuple[str, ...], compute: Callable[[], Any], **more: Any) -> None:
        """Compute a result and write it at `path`, unless it is there already.

        Args:
            name: of the measure.
            path: where the result stands in evaluation.json.
            more: further entries of the result.
        """
        if self.has(path):
            return
        what, measure = " ".join(path[1:]), measure_called(name)[0]
        began = time.perf_counter()
        with shown(what, self.console):
            result = checked_result(measure, compute())
        result = result | {"seconds": result.get("seconds", time.perf_counter() - began)} | more | self.identity(path)
        said = remarks(measure, result)
        for remark in said:
            self.record.note(f"{what}: {remark}")
        self.record.put(path, result)
        lines = [f"{what}: {headline(measure, result)}", *(f"  {remark}" for remark in said)]
        self.console.print("\n".join(lines), markup=False)

    def measure_features(
        self,
        names: Sequence[str],
        path: tuple[str, ...],
        train: Tensor,
        train_labels: np.ndarray | None,
        test: Tensor,
        test_labels: np.ndarray | None,
        *,
        level: str | None = None,
        **more: Any,
    ) -> None:
        """Take measures of features (N, units), (T, units), at path/NAME or path/NAME/level."""
        for name in names:
            measure, budget = measure_called(name)
            probe, settings = measure.function, self._settings()
            if budget is not None:
                probe = partial(mean_over_draws, probe)
                settings |= {"budget": budget, "folds": self.folds}
            compute = partial(probe, train, train_labels, test, test_labels, **settings)
            self.measure(name, (*path, name, *([] if level is None else [level])), compute, **more)

    def measure_encoder(
        self,
        names: Sequence[str],
        path: tuple[str, ...],
        encoder: nn.Module,
        train: ImageSet,
        test: ImageSet,
        levels: Sequence[str],
        folder: Path | None,
    ) -> None:
        """Take all measures of one encoder. A level is embedded only where a figure of it is missing.

        A level that the encoder does not have is left out, with a note.

        Args:
            folder: of the run, where measures may leave files; None: nowhere.
        """
        of_features = [name for name in names if measure_called(name)[0].of == "features"]
        y_of = EmbeddingsOfY(encoder, self.device, train, test, embed=self.embed)
        missing = [v for v in levels if any(not self.has((*path, name, v)) for name in of_features)]
        missing = self._without_absent(missing, encoder, train)
        for together in self._passes(missing, encoder, train, test):
            with self.doing(f"{' '.join(path[1:]) or 'encoder'}: embedding {len(train) + len(test):,} images"):
                x, x_test = (
                    self.embed(encoder, images, levels=together, device=self.device) for images in (train, test)
                )
            if "y" in together:
                y_of.keep(train, x["y"])
                y_of.keep(test, x_test["y"])
            for level in together:
                sets = (x.pop(level), train.labels, x_test.pop(level), test.labels)
                self.measure_features(of_features, path, *sets, level=level)
        for name in (name for name in names if name not in of_features):
            measure, budget = measure_called(name)
            settings = self._settings()
            offered = {"folder": folder, "y_of": y_of}
            settings |= {extra: offered[extra] for extra in measure.takes}
            if budget is not None:
                settings |= {"budget": budget, "folds": self.folds}

            def compute(function: Any = measure.function, settings: dict[str, Any] = settings) -> Any:
                with on_device(encoder, self.device), unchanged(encoder):
                    return function(encoder, train, test, **settings)

            self.measure(name, (*path, name), compute)

    def _passes(self, levels: list[str], encoder: nn.Module, train: ImageSet, test: ImageSet) -> list[list[str]]:
        """The levels that are embedded together: all, or each by itself where all are more than `VALUES_AT_ONCE`."""
        if len(levels) < 2:
            return [levels] if levels else []
        one = embed(encoder, train.take(slice(0, 1)), levels=levels, device=self.device)
        values = (len(train) + len(test)) * sum(vectors.shape[1] for vectors in one.values())
        return [levels] if values <= VALUES_AT_ONCE else [[level] for level in levels]

    def _without_absent(self, levels: list[str], encoder: nn.Module, images: ImageSet) -> list[str]:
        if not levels:
            return levels
        there = levels_of(encoder, images, self.device)
        for level in levels:
            if level not in there:
                self.record.note(NO_LEVEL.format(level))
        return [level for level in levels if level in there]

    def _settings(self) -> dict[str, Any]:
        return {"scale": self.scale, "seed": self.seed, "device": self.device}


def digest(*arrays: np.ndarray) -> str:
    """What identifies arrays by their content, in 16 letters."""
    digest = hashlib.sha256()
    for array in arrays:
        plain = np.asarray(array).astype(str) if np.asarray(array).dtype == object else np.ascontiguousarray(array)
        digest.update(f"{plain.dtype} {plain.shape}".encode() + plain.tobytes())
    return digest.hexdigest()[:16]
