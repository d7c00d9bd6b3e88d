"""Run by test_processes.py under two gloo processes: gradients of half a batch each against the whole batch alone."""

import os
import sys

import torch
import torch.distributed as dist
from torch import nn

from deepinfomax import encoders
from deepinfomax.features import Features
from deepinfomax.objectives import OBJECTIVES, Batch
from deepinfomax.pairs import gather_with_gradient

IMAGE = (3, 16, 16)
CASES = {
    **{
        f"local {bound} {pairing}": ("local", {"bound": bound, "units": 12, "pairing": pairing})
        for bound in ("infonce", "jsd", "dv", "nwj", "smile", "chi2")
        for pairing in ("global", "local")
    },
    "local concat dv": ("local", {"bound": "dv", "critic": "concat", "units": 8}),
    "local concat infonce": ("local", {"bound": "infonce", "critic": "concat", "units": 8, "pairing": "local"}),
    "global jsd": ("global", {"bound": "jsd", "units": 8}),
    "global infonce": ("global", {"bound": "infonce", "units": 8}),
    "global dv": ("global", {"bound": "dv", "units": 8}),
    "prior": ("prior", {}),
    "coordinates": ("coordinates", {"kind": "absolute"}),
    "supervised": ("supervised", {"classes": 3}),
    "autoencoder": ("autoencoder", {}),
    "cpc": ("cpc", {"units": 8}),
}


def build(name: str, settings: dict) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    encoder = encoders.build("dcgan", IMAGE, width=4, fc=8, y=6).double().eval()
    objective = OBJECTIVES[name](encoders.shapes_of(encoder.float(), IMAGE), **settings).double().eval()
    return encoder.double(), objective


def gradients(encoder: nn.Module, objective: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    batch = Batch(images, labels, torch.arange(len(images)))
    features: Features = encoder(images)
    sum(objective(features, batch).values()).backward()
    parameters = [*encoder.parameters(), *objective.parameters()]
    return torch.cat([p.new_zeros(p.numel()) if p.grad is None else p.grad.flatten() for p in parameters])


def main() -> None:
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(8, *IMAGE, dtype=torch.double, generator=generator).clamp(-1, 1)
    labels = torch.randint(3, (8,), generator=generator)
    cases = {k: v for k, v in CASES.items() if v[0] in OBJECTIVES}
    alone = {case: gradients(*build(*settings), images, labels) for case, settings in cases.items()}

    dist.init_process_group("gloo")
    half = slice(rank * 8 // world, (rank + 1) * 8 // world)
    for case, settings in cases.items():
        together = gradients(*build(*settings), images[half], labels[half])
        dist.all_reduce(together)
        together /= world  # as DistributedDataParallel does
        error = ((together - alone[case]).norm() / alone[case].norm()).item()
        assert error < 1e-10, f"{case}: relative gradient error {error:.2g}"
        assert alone[case].norm() > 0, case
    # A gather without gradients passes no such test: this one has them.
    x = torch.full((1,), float(rank), requires_grad=True)
    (gather_with_gradient(x) * torch.tensor([1.0, 10.0])).sum().backward()
    assert x.grad is not None
    assert x.grad.item() == world * (1.0, 10.0)[rank]
    if rank == 0:
        print(f"checked {len(cases)} cases: {', '.join(cases)}")
    dist.destroy_process_group()


if __name__ == "__main__":
    sys.exit(main())
