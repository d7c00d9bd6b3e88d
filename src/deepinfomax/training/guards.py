"""Checks while a run trains: numbers stay finite, and a resumed run has the same data."""

import itertools
from collections.abc import Mapping
from typing import Any, Self

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from deepinfomax.encoders.modes import in_eval_mode
from deepinfomax.errors import UserError
from deepinfomax.objectives.game import Game, metric_name
from deepinfomax.training.processes import any_process

COLLAPSED = 2.0  #: effective rank of y below which every logged line carries a warning


class Diverged(UserError):
    """A loss, a weight or y became infinite or NaN. The last checkpoint is still there and is sound."""

    @classmethod
    def because(cls, what: str) -> Self:
        return cls(f"{what}; any checkpoint stays as it was: --resume with a lower training.lr, or begin anew")

    @classmethod
    def of_losses(cls, losses: Mapping[str, Tensor]) -> Self:
        named = ", ".join(f"{metric_name(name)} {loss.item():.4g}" for name, loss in losses.items())
        return cls.because(f"the loss is no longer finite ({named})")


def not_finite(module: nn.Module) -> set[str]:
    """Names of the parameters and buffers with an infinite number or NaN. Waits for the device only once."""
    tensors = dict(itertools.chain(module.named_parameters(), module.named_buffers()))
    if not tensors:
        return set()
    finite = torch.stack([tensor.detach().isfinite().all() for tensor in tensors.values()]).tolist()
    return {name for name, whole in zip(tensors, finite, strict=True) if not whole}


def check_finite(accelerator: Accelerator, game: Game, images: Tensor, expected: set[str], step: int) -> None:
    """Check, before saving, that the weights are finite, and y of the images in eval mode.

    A finite loss is not enough: it is computed before the step that ruins the weights.

    Args:
        expected: names of tensors that were not finite from the start, such as a mask of -inf.

    Raises:
        Diverged: in all processes, if a number is not finite in one of them.
    """
    encoder = game.encoder
    ruined = sorted(not_finite(game) - expected)
    with in_eval_mode(encoder), torch.no_grad():
        y = encoder.forward(images).y  # `forward` itself: a call would compile the encoder again, for eval mode
    if any_process(accelerator, bool(ruined) or not bool(y.isfinite().all()))[0]:
        what = f"the weights are no longer finite ({ruined[0]})" if ruined else "y is no longer finite in eval mode"
        raise Diverged.because(f"{what} after step {step}")


def check_same_data(before: Mapping[str, Any], now: Mapping[str, Any], out: Any) -> None:
    """Raises UserError if a resumed run has other images or labels than it began with."""
    if before == now:
        return
    if any(data["fingerprint"].startswith("stream:") for data in (before, now)):
        raise UserError(f"cannot resume {out}: it was trained on other shards; give those, or choose another --out")
    was, are = (f"{data['count']:,} images of {'x'.join(map(str, data['shape']))}" for data in (before, now))
    differ = f"{was} before, {are} now" if was != are else "their count and shape agree, their content does not"
    raise UserError(
        f"cannot resume {out}: the data changed ({differ}); give what it was trained on, or choose another --out"
    )
