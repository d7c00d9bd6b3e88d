"""Where the time of a whole training step goes, and how near the encoder's convolutions come to their limit.

    python benchmarks/parts.py [--steps 10] [--rounds 5] [--json FILE]

The step is "cpu" of `step.py`: infoNCE, 256 units, 16 of 64 places, 128 images of 32×32, float32. Shares are of the
processor time of one thread by torch's profiler. A convolution's limit is one large matrix product with as many
multiplications, timed in turn with it.
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from deepinfomax import encoders
from measuring import in_turn, write
from step import IMAGE, N, ours

#: part -> how names of its operations begin; the first that fits
PARTS = {
    "convolutions": ("aten::mkldnn_convolution", "aten::convolution", "aten::_convolution"),
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm", "aten::matmul", "aten::linear", "aten::mkldnn_linear"),
    "BatchNorm": ("aten::native_batch_norm", "aten::batch_norm", "aten::cudnn_batch_norm"),
    "optimizer": ("aten::_fused_adam", "Optimizer"),
    "log-sum-exp of scores": ("aten::logsumexp", "aten::exp", "aten::amax", "aten::logaddexp", "_Scores"),
    "activations": ("aten::relu", "aten::threshold", "aten::clamp"),
}
MATRIX = (2048, 1024, 1024)  #: rows, shared, columns of the product that gives the limit


def shares(steps: int) -> dict[str, float]:
    """Of the time of all operations, the part of each; what fits none is "the rest"."""
    call = ours(256, 16, channels_last=True)
    call()
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        for _ in range(steps):
            call()
    spent: Counter[str] = Counter()
    for operation in profiled.key_averages():
        part = next((part for part, begins in PARTS.items() if operation.key.startswith(begins)), "the rest")
        spent[part] += operation.self_cpu_time_total
    total = sum(spent.values())
    return {part: round(seconds / total, 3) for part, seconds in spent.most_common()}


def convolutions() -> dict[str, tuple[Callable[[], object], float]]:
    """Each convolution of the encoder forward and backward, and how many multiplications that is."""
    torch.manual_seed(0)
    encoder = encoders.build("dcgan", IMAGE).to(memory_format=torch.channels_last)
    images = torch.randn(N, *IMAGE).contiguous(memory_format=torch.channels_last)
    calls: dict[str, tuple[Callable[[], object], float]] = {}

    def seen(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(layer, nn.Conv2d)
        first = not calls
        x = inputs[0].detach().requires_grad_(not first)  # images have no gradient
        gradient = torch.randn_like(output)

        def call() -> None:
            layer(x).backward(gradient)

        passes = 2 if first else 3
        products = passes * output.numel() * layer.weight[0].numel()
        shape = "×".join(map(str, layer.weight.shape))
        calls[f"{shape} on {x.shape[2]}×{x.shape[3]}"] = call, products

    hooks = [layer.register_forward_hook(seen) for layer in encoder.modules() if isinstance(layer, nn.Conv2d)]
    encoder(images)
    for hook in hooks:
        hook.remove()
    return calls


def against_their_limit(rounds: int) -> dict[str, float]:
    """How many times as long each takes as a matrix product of as many multiplications."""
    calls = convolutions()
    left, right = torch.randn(MATRIX[0], MATRIX[1]), torch.randn(MATRIX[1], MATRIX[2])
    seconds = in_turn({"matrix": lambda: left @ right} | {name: call for name, (call, _) in calls.items()}, rounds)
    a_product = seconds["matrix"] / (MATRIX[0] * MATRIX[1] * MATRIX[2])
    return {name: round(seconds[name] / (products * a_product), 2) for name, (_, products) in calls.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    result = {
        "shares_of_a_step": shares(arguments.steps),
        "convolutions_over_a_matrix_product": against_their_limit(arguments.rounds),
    }
    print(json.dumps(result, indent=1, ensure_ascii=False))
    write(arguments.json, "parts", result)


if __name__ == "__main__":
    main()
