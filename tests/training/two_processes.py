"""Run by test_processes.py under two gloo processes: gradients of half a batch each against the whole batch alone."""

import gc
import os
import sys
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.overrides import TorchFunctionMode

from deepinfomax import encoders
from deepinfomax.features import Features
from deepinfomax.information import across
from deepinfomax.information.across import gather_with_gradient
from deepinfomax.information.bounds import BOUNDS, Bound
from deepinfomax.information.pairs import local_infomax_with_squares
from deepinfomax.objectives import OBJECTIVES, Batch, Facts, Game

IMAGE, IMAGES = (3, 16, 16), 8


@dataclass(frozen=True)
class Case:
    objective: str
    settings: dict[str, Any] = field(default_factory=dict)
    second_player: bool = False  #: its own loss, by its own parameters, at features without gradient
    training: bool = False  #: what an objective does in training only; BatchNorm would mix the images of a process
    views: int = 1  #: of each image
    noise: str | None = None  #: a prior by which noise is put on y


CASES = {
    **{
        f"local {bound} {pairing}": Case("local", {"bound": bound, "units": 12, "pairing": pairing})
        for bound in BOUNDS
        for pairing in ("global", "local")
    },
    **{
        f"local dv per place {critic}": Case(
            "local", {"bound": "dv", "critic": critic, "units": 8, "normaliser": "per-place", "places": 3}
        )
        for critic in ("dot", "concat")
    },
    "local concat dv": Case("local", {"bound": "dv", "critic": "concat", "units": 8}),
    "local concat infonce": Case("local", {"bound": "infonce", "critic": "concat", "units": 8, "pairing": "local"}),
    "local places": Case("local", {"units": 12, "places": 3}),
    **{f"local views {bound}": Case("local", {"bound": bound, "units": 12}, views=3) for bound in BOUNDS},
    **{
        f"local noise {prior}": Case("local", {"units": 12}, noise=prior) for prior in ("gaussian", "uniform", "sphere")
    },
    "local views local": Case("local", {"units": 12, "pairing": "local", "within": 0.5}, views=2),
    "local views levels": Case("local", {"units": 12, "y_conv": 1.0, "map_map": 1.0}, views=2),
    "local views rest": Case("local", {"units": 12, "several": "rest"}, views=3),
    "local clip": Case("local", {"units": 12, "clip": 2.0, "score_penalty": 0.05}),
    "local views clip": Case("local", {"units": 12, "clip": 2.0, "score_penalty": 0.05}, views=2),
    **{f"global {bound}": Case("global", {"bound": bound, "units": 8}) for bound in BOUNDS},
    "prior": Case("prior"),
    "prior critic": Case("prior", second_player=True),
    **{f"prior {by}": Case("prior", {"by": by, "prior": "gaussian", "slices": 16}) for by in ("sigreg", "visreg")},
    "prior sigreg uniform views": Case("prior", {"by": "sigreg", "slices": 16}, views=2),
    "prior ball critic": Case("prior", {"prior": "ball"}, second_player=True),
    "coordinates absolute": Case("coordinates", {"kind": "absolute"}),
    "coordinates relative": Case("coordinates", {"kind": "relative"}),
    "coordinates places": Case("coordinates", {"kind": "both", "places": 3}),
    "supervised": Case("supervised"),
    "autoencoder": Case("autoencoder", {"width": 4}),
    "vae": Case("vae", {"width": 4}),
    "bigan": Case("bigan", {"width": 4}),
    "bigan critic": Case("bigan", {"width": 4}, second_player=True),
    "nat": Case("nat", training=True),
    "cpc": Case("cpc", {"units": 8, "offsets": 1}),
    **{
        method: Case(method, {"hidden": 8, "outputs": 6}, views=2)
        for method in ("simclr", "vicreg", "barlow", "byol", "emp_ssl")
    },
    "simclr three views": Case("simclr", {"hidden": 8, "outputs": 6}, views=3),
    "lejepa": Case("lejepa", {"hidden": 8, "outputs": 6, "slices": 16}, views=2),
    "cpc places": Case("cpc", {"units": 8, "offsets": 1, "places": 3}),
}


def threads_of_the_group() -> list[str]:
    """Names of the threads of gloo that run here; none where the system does not tell, as Linux does.

    They end with the group of processes. Where they outlive it, they may abort the process at its end.
    """
    gc.collect()
    names = [task.read_text().strip() for task in Path("/proc/self/task").glob("*/comm")]
    return sorted(name for name in names if "gloo" in name)


def say(line: str) -> None:
    """Print a line whole: two processes that print its end apart from it mix their lines."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class WholeBatchDraws(TorchFunctionMode):
    """Noise and places are drawn for the whole batch, image by image along the first axis, and each process keeps its
    own images' part: what one process alone would have drawn.
    """

    def __init__(self, rank: int, world: int) -> None:
        super().__init__()
        self.rank, self.world, self.draws = rank, world, 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        drawn = func(*args, **(kwargs or {}))
        if func not in (torch.rand, torch.randn, torch.randn_like, torch.randint):
            return drawn
        self.draws += 1
        generator = torch.Generator().manual_seed(self.draws)
        kind = torch.double if drawn.is_floating_point() else drawn.dtype
        whole = torch.empty(self.world * len(drawn), *drawn.shape[1:], dtype=kind)
        if func is torch.randint:
            whole.random_(*args[:2], generator=generator)
        elif func is torch.rand:
            whole.uniform_(generator=generator)
        else:
            whole.normal_(generator=generator)
        return whole[self.rank * len(drawn) : (self.rank + 1) * len(drawn)].to(drawn)


def build(case: Case) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    encoder = encoders.build("dcgan", IMAGE, width=4, fc=8, y=6).eval()
    facts = Facts(encoders.shapes_of(encoder, IMAGE), classes=3, images=IMAGES)
    objective = OBJECTIVES[case.objective](facts, **case.settings)
    return encoder.double(), objective.double().train(case.training)


def gradients(
    case: Case,
    images: torch.Tensor,
    labels: torch.Tensor,
    rank: int,
    world: int,
    *,
    autocast: torch.dtype | None = None,
) -> torch.Tensor:
    """Of the loss of this process's part of the batch, by all parameters: where the images are, in their precision."""
    encoder, objective = (part.to(images) for part in build(case))
    own = slice(rank * IMAGES // world, (rank + 1) * IMAGES // world)
    shifted = torch.cat([images[own].roll(view, 3) for view in range(case.views)])
    index = torch.arange(IMAGES, device=images.device)[own]
    batch = Batch(shifted, labels[own], index, views=case.views)
    mixed = torch.autocast(images.device.type, autocast, enabled=autocast is not None)
    with WholeBatchDraws(rank, world), mixed:
        if case.second_player:
            features: Features = encoder(batch.images)
            losses = objective.adversary(features.detach(), batch)
        else:
            played = {"it": (1.0, objective)}
            if case.noise is not None:
                facts = Facts(encoders.shapes_of(encoder.float(), IMAGE))
                encoder.to(images)
                played["noise"] = (1.0, OBJECTIVES["prior"](facts, by="noise", prior=case.noise))
            losses = Game(encoder, played)(batch).losses
    sum(losses.values()).backward()
    parameters = [*encoder.parameters(), *objective.parameters()]
    return torch.cat([p.new_zeros(p.numel()) if p.grad is None else p.grad.flatten() for p in parameters])


def batch_of_all() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(IMAGES, *IMAGE, dtype=torch.double, generator=generator).clamp(-1, 1)
    labels = torch.randint(3, (IMAGES,), generator=generator)
    labels[:3] = -1  # no label: one process has more labelled images than the other
    return images, labels


def check_bounds(rank: int, world: int) -> None:
    """Values, mean squares and gradients of `local_infomax` over both processes against one that has the whole batch.

    Nothing as large as the local features may travel, where all negatives are asked for.
    """
    as_they_are = Bound("difference", lambda u: u, None, "sum")  # as a package of somebody else may have
    generator = torch.Generator().manual_seed(2)
    sent: list[int] = []
    originals = across._all_gather, across._reduce_scatter

    def noted(collective: Any) -> Any:
        def send(into: torch.Tensor, what: torch.Tensor) -> None:
            sent.append(min(into.numel(), what.numel()))
            collective(into, what)

        return send

    across._all_gather, across._reduce_scatter = map(noted, originals)
    for images, places, globals_each, units in ((6, 7, 2, 12), (2, 3, 1, 40)):
        whole = [torch.randn(images, each, units, generator=generator).double() for each in (places, globals_each)]
        own = slice(rank * images // world, (rank + 1) * images // world)
        half = [features[own] for features in whole]
        for bound, pairing, more in product(
            (*BOUNDS, as_they_are),
            ("global", "local"),
            ({}, {"clip": 2.0}, {"chunk_size": 1}, {"normaliser": "per-place"}),
        ):
            if bound == "infonce" and "normaliser" in more:
                continue

            def values_and_gradients(
                features: list[torch.Tensor], negatives_from: Any, bound: str | Bound = bound, **settings: Any
            ) -> list[torch.Tensor]:
                leaves = [side.clone().requires_grad_() for side in features]
                found = local_infomax_with_squares(*leaves, bound, negatives_from=negatives_from, **settings)
                (found.bound + 0.1 * found.mean_square).backward()
                return [found.bound.detach(), found.mean_square.detach(), *(leaf.grad for leaf in leaves)]

            alone = values_and_gradients(whole, "own", pairing=pairing, **more)
            sent.clear()
            together = values_and_gradients(half, "all", pairing=pairing, **more)
            assert 0 < max(sent) < half[0].numel(), (bound, pairing, sent)
            expected = [*alone[:2], *(world * gradient[own] for gradient in alone[2:])]
            for one, other in zip(together, expected, strict=True):
                error = ((one - other).norm() / other.norm()).item()
                assert error < 1e-12, (bound, pairing, more, error)
    across._all_gather, across._reduce_scatter = originals


def main() -> None:
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    torch.set_num_threads(1)
    images, labels = batch_of_all()
    alone = {name: gradients(case, images, labels, 0, 1) for name, case in CASES.items()}

    dist.init_process_group("gloo")
    for name, case in CASES.items():
        together = gradients(case, images, labels, rank, world)
        dist.all_reduce(together)
        together /= world  # as DistributedDataParallel does
        error = ((together - alone[name]).norm() / alone[name].norm()).item()
        assert error < 1e-10, f"{name}: relative gradient error {error:.2g}"
        assert alone[name].norm() > 0, name
    check_bounds(rank, world)
    # A gather without gradients passes no such test: this one has them.
    x = torch.full((1,), float(rank), requires_grad=True)
    (gather_with_gradient(x) * torch.tensor([1.0, 10.0])).sum().backward()
    assert x.grad is not None
    assert x.grad.item() == world * (1.0, 10.0)[rank]
    if rank == 0:
        print(f"checked {len(CASES)} cases: {', '.join(CASES)}")
    dist.destroy_process_group()


if __name__ == "__main__":
    sys.exit(main())
