"""An encoder that takes the numbers of the data themselves, and first standardises each channel as training did."""

from collections.abc import Callable
from typing import Self

import torch
from jaxtyping import Num
from torch import Tensor, nn

from deepinfomax.data.channels import Channels
from deepinfomax.data.images import normalise
from deepinfomax.features import Features


class Standardised(nn.Module):
    """Standardise each channel, then encode. `train` returns this for all data except pictures of bytes.

    The mean and standard deviation of each channel over the training part are buffers, saved with the weights. They
    stay float32 in `half()` and `to(torch.bfloat16)`: numbers of any scale are standardised before they are rounded.

    Args:
        encoder: standardised numbers (N, C, *S) -> Features.
        channels: means and deviations of the training part; or C alone, if `load_state_dict` will fill them in.
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
        """The means and standard deviations by which channels are standardised."""
        return Channels(tuple(self.mean.tolist()), tuple(self.sd.tolist()))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        exact = self.mean, self.sd
        super()._apply(fn, recurse)
        if self.mean.dtype != exact[0].dtype:
            self.mean, self.sd = (numbers.to(self.mean.device) for numbers in exact)
        return self

    def forward(self, images: Num[Tensor, "N C *S"]) -> Features:
        """Images of any type, in the units of the data; bytes are first rescaled to [-1, 1]."""
        shape = (1, -1, *[1] * (images.ndim - 2))
        standardised = (normalise(images) - self.mean.view(shape)) / self.sd.view(shape)
        return self.encoder(standardised.to(next(self.encoder.parameters(), standardised).dtype))


def unwrapped(encoder: nn.Module) -> nn.Module:
    """The encoder inside a `Standardised`; any other encoder itself."""
    return encoder.encoder if isinstance(encoder, Standardised) else encoder


def with_channels_of(encoder: nn.Module, like: nn.Module) -> nn.Module:
    """`encoder` with the same standardising of its input as `like`; `encoder` itself if `like` has none."""
    return Standardised(encoder, like.channels) if isinstance(like, Standardised) else encoder
