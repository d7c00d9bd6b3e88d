"""The optimizers that `training.optimizer` can name."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from deepinfomax.config import Training

#: what each of them has besides the learning rate and the weight decay
SETTINGS = {"adam": {"betas"}, "adamw": {"betas"}, "sgd": {"momentum"}, "lars": {"momentum", "trust"}}


def unused(training: Training) -> list[str]:
    """Settings of other optimizers that are not at their default: this one does not use them."""
    others = set().union(*SETTINGS.values()) - SETTINGS[training.optimizer]
    return sorted(name for name in others if getattr(training, name) != getattr(Training, name))


def optimizer(parameters: list[nn.Parameter], training: Training, device: torch.device) -> Optimizer:
    """The optimizer that `training.optimizer` names, for these parameters on this device."""
    if training.optimizer == "lars":
        return LARS(
            parameters,
            lr=training.lr,
            momentum=training.momentum,
            weight_decay=training.weight_decay,
            trust=training.trust,
        )
    fused = device.type in ("cpu", "cuda")
    if training.optimizer == "sgd":
        return SGD(
            parameters,
            lr=training.lr,
            momentum=training.momentum,
            weight_decay=training.weight_decay,
            nesterov=training.momentum > 0,
            fused=fused,
        )
    kind = Adam if training.optimizer == "adam" else AdamW
    return kind(parameters, lr=training.lr, betas=training.betas, weight_decay=training.weight_decay, fused=fused)


class LARS(Optimizer):
    """SGD with momentum whose step is scaled, weight by weight, to a share of the weight's length (arXiv 1708.03888).

    v <- m·v + τ·|w| / |g + λw| · (g + λw);  w <- w - lr·v. For biases and weights of BatchNorm (tensors of one axis)
    v <- m·v + g, without decay, as in SimCLR, BYOL, Barlow Twins and VICReg.

    Args:
        parameters: what is trained.
        lr, momentum, weight_decay: lr, m and λ.
        trust: τ.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = 1e-3,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust}
        super().__init__(parameters, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                change = weight.grad
                if weight.ndim > 1:
                    change = change.add(weight, alpha=group["weight_decay"])
                    lengths = weight.norm(), change.norm()
                    share = group["trust"] * lengths[0] / lengths[1]
                    change = change * torch.where((lengths[0] > 0) & (lengths[1] > 0), share, 1.0)
                state = self.state[weight]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(weight)
                state["momentum"].mul_(group["momentum"]).add_(change)
                weight.sub_(group["lr"] * state["momentum"])
