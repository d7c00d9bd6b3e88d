"""An encoder that takes numbers as the data have them: it brings each channel to the scale it was trained on first."""

from collections.abc import Callable
from typing import Self

import torch
from jaxtyping import Num
from torch import Tensor, nn

from deepinfomax.data.channels import Channels
from deepinfomax.data.images import normalise
from deepinfomax.features import Features


class Standardised(nn.Module):
    """Standardise by channel, then encode: what `train` makes of all data but pictures of bytes.

    The mean and the standard deviation of each channel of the training part are buffers, saved with the weights. They
    stay float32 in `half()` and `to(torch.bfloat16)`: numbers of any scale are standardised first and rounded then.

    Args:
        encoder: takes standardised numbers (N, C, *S).
        channels: of the training part; or C, to be filled by `load_state_dict`.
    """

    mean: Tensor
    sd: Tensor

    def __init__(self, encoder: nn.Module, channels: Channels | int) -> None:
        super().__init__()
        if isinstance(channels, int):
            channels = Channels((0.0,) * channels, (1.0,) * channels)
        self.encoder = encoder
        self.register_buffer("mean", torch.tensor(channels.mean, dtype=torch.float32))
        self.register_buffer("sd", torch.tensor(channels.sd, dtype=torch.float32))

    @property
    def channels(self) -> Channels:
        """What it standardises by."""
        return Channels(tuple(self.mean.tolist()), tuple(self.sd.tolist()))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        exact = self.mean, self.sd
        super()._apply(fn, recurse)
        if self.mean.dtype != exact[0].dtype:
            self.mean, self.sd = (numbers.to(self.mean.device) for numbers in exact)
        return self

    def forward(self, images: Num[Tensor, "N C *S"]) -> Features:
        """Images of any type, in the units of the data; bytes are brought to [-1, 1] first."""
        shape = (1, -1, *[1] * (images.ndim - 2))
        standardised = (normalise(images) - self.mean.view(shape)) / self.sd.view(shape)
        return self.encoder(standardised.to(next(self.encoder.parameters(), standardised).dtype))


def unwrapped(encoder: nn.Module) -> nn.Module:
    """The encoder behind the standardising of its input, or itself."""
    return encoder.encoder if isinstance(encoder, Standardised) else encoder


def with_channels_of(encoder: nn.Module, like: nn.Module) -> nn.Module:
    """Another encoder, behind the standardising that `like` has; as it is where `like` has none."""
    return Standardised(encoder, like.channels) if isinstance(like, Standardised) else encoder
