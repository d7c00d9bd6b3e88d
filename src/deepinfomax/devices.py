"""Where to compute."""

import torch

from deepinfomax.errors import UserError


def choose_device(name: str | None = None) -> torch.device:
    """The device of that name, or the best there is: a GPU before a CPU.

    Raises UserError where there is no such device here.
    """
    if name is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        best = choose_device()
        raise UserError(f"there is no device {name!r} here; leave --device out for the best there is, {best}") from None
    return device
