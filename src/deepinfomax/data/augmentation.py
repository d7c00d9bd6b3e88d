"""Augmentation of a whole batch at once, on the device, by a few tensor operations.

The paper trains without augmentation, except on STL-10: "random 64x64 crop and horizontal flip in unsupervised
training" of the 96x96 images. The authors' code of 2018 resizes a random area instead (`random_resized_crop=64`) and
their README of 2019 resizes without cropping. Here the paper's text is followed: `crop=64, flip=True`, and the centre
crop of 64 in `eval()` mode, for probes and tests.
"""

import functools
from collections.abc import Callable
from typing import Annotated, Literal

import torch
from jaxtyping import Float, Shaped
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from deepinfomax.errors import UserError
from deepinfomax.settings import Count, Fraction, NotNegative, Whole, checked

JITTERED_TOGETHER = 4  #: images
ASPECT = (3 / 4, 4 / 3)  #: width to height of a random area, as in Inception's recipe and every one since


Share = Annotated[float, Field(gt=0, le=1)]  #: of the area of an image

#: settings for some kinds of data only: how many axes besides the channels, the kind's name, the value that means "off"
_IS_FOR: dict[str, tuple[tuple[int, ...], str, str]] = {
    "flip": ((2, 3), "images (C, H, W) and volumes (C, D, H, W)", "false"),
    "random_resized_crop": ((2,), "images (C, H, W)", "none"),
    "noise": ((1,), "series (C, T)", "0"),
    "amplitude": ((1,), "series (C, T)", "0"),
    "channel_drop": ((1,), "series (C, T)", "0"),
}


@checked
class Augmentation(nn.Module):
    """Random views of a batch in training mode; in eval mode a view of the same shape without random changes.

    Images are (N, C, H, W), uint8 or float (of pictures: in [-1, 1]), and keep their type. Series (N, C, T) have crops,
    noise, amplitude and dropped channels; volumes (N, C, D, H, W) have flips and crops. All random numbers come from
    torch's global generators, so set a seed before the call to repeat them.

    Arguments:
        flip: mirror left and right with probability one half; volumes along each of their three axes. Not in eval mode.
        same_flip: mirror either all views of an image or none, as in AMDIM (arXiv 1906.00910); False: each view by
            itself.
        crop: side of a window at a uniformly random place: `crop` x `crop` pixels of an image, `crop` steps of a
            series, `crop` along each axis of a volume. In eval mode the window is at the centre. "same": the size of
            the images, which together with `padding` is a random shift.
        padding: pixels, or steps, added by reflection on each side before the crop. (Padding with zeros, as is common,
            would add grey borders.)
        random_resized_crop: take a random area of the image, of a share `scale` and with sides 3:4 to 4:3, and resize
            it to this many pixels; "same": the size of the images. In eval mode the whole image is resized.
        scale: smallest and largest share of the area for `random_resized_crop`.
        jitter: brightness, contrast and saturation each change by a factor in [1 - jitter, 1 + jitter], hue by at most
            jitter/5 of a turn; grey images change in brightness and contrast. Not in eval mode.
        jitter_probability: probability that `jitter` changes an image.
        grayscale: probability that an image is made grey. Not in eval mode.
        small: side of the small views (`training.small_views`) in pixels: random areas of `small_scale`, flipped and
            coloured like the others. None: no small views.
        small_scale: smallest and largest share of the area for small views.
        noise: for series: standard deviation of Gaussian noise that is added to every number; for data standardised by
            channel this is a fraction of each channel's deviation. Not in eval mode.
        amplitude: for series: each channel is multiplied by a factor in [1 - amplitude, 1 + amplitude]. Not in eval
            mode.
        channel_drop: for series: probability that a channel is set to 0, the mean of data standardised by channel; at
            least one channel is kept. Not in eval mode.

    Raises:
        UserError: settings out of range, or both kinds of crop.
    """

    def __init__(
        self,
        flip: bool = False,
        crop: Count | Literal["same"] | None = None,
        padding: Whole = 0,
        random_resized_crop: Count | Literal["same"] | None = None,
        scale: tuple[Share, Share] = (0.2, 1.0),
        jitter: Fraction = 0.0,
        grayscale: Fraction = 0.0,
        same_flip: bool = False,
        jitter_probability: Fraction = 1.0,
        small: Count | None = None,
        small_scale: tuple[Share, Share] = (0.05, 0.3),
        noise: NotNegative = 0.0,
        amplitude: Fraction = 0.0,
        channel_drop: Fraction = 0.0,
    ):
        super().__init__()
        if crop is not None and random_resized_crop is not None:
            raise UserError("augmentation.crop and augmentation.random_resized_crop exclude each other; choose one")
        if padding and crop is None:
            raise UserError("augmentation.padding needs augmentation.crop: it is what the crop is taken from")
        for name, shares in (("scale", scale), ("small_scale", small_scale)):
            if shares[0] > shares[1]:
                raise UserError(f"augmentation.{name} must be two ascending shares of the area, not {shares}")
        self.same_flip, self.jitter_probability = same_flip, jitter_probability
        self.small, self.small_scale = small, small_scale
        self.flip, self.crop, self.padding = flip, crop, padding
        self.random_resized_crop, self.scale = random_resized_crop, scale
        self.jitter, self.grayscale = jitter, grayscale
        self.noise, self.amplitude, self.channel_drop = noise, amplitude, channel_drop

    @property
    def tells_views_apart(self) -> bool:
        """Whether two views of an image can differ in training. With `same_flip` a flip alone makes no difference."""
        cropped = self.random_resized_crop or (self.crop and (self.crop != "same" or self.padding))
        coloured = self.jitter or self.grayscale
        of_series = self.noise or self.amplitude or self.channel_drop
        return bool(cropped or coloured or of_series or (self.flip and not self.same_flip))

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape, without the batch axis, of the views of images of `shape`.

        Raises:
            UserError: the settings do not fit such images.
        """
        for name, on in (("jitter", self.jitter), ("grayscale", self.grayscale)):
            if on and (len(shape) != 3 or shape[0] not in (1, 3)):
                raise UserError(
                    f"augmentation.{name} is for images (C, H, W) of 1 or 3 channels, not {tuple(shape)}: set it to 0"
                )
        for name, (ranks, kinds, off) in _IS_FOR.items():
            if getattr(self, name) and len(shape) - 1 not in ranks:
                raise UserError(
                    f"augmentation.{name} is for {kinds}, not {tuple(shape)}: set it to {off}, or choose a recipe "
                    "without augmentation"
                )
        if self.channel_drop and shape[0] == 1:
            raise UserError("augmentation.channel_drop needs series of two channels or more, not of one: set it to 0")
        size = self.crop or self.random_resized_crop
        if size is None:
            return shape
        channels, *sides = shape
        kind = {1: "series", 2: "images", 3: "volumes"}.get(len(sides))
        if kind is None:
            raise UserError(f"augmentation.crop is for one to three axes, not {tuple(shape)}: set it to none")
        said = "x".join(map(str, reversed(sides)))
        if isinstance(self.crop, int) and self.crop > min(sides) + 2 * self.padding:
            resize = "; resize them first" if kind == "images" else ": choose a smaller one"
            raise UserError(f"augmentation.crop {self.crop} is larger than the {kind}, {said}{resize}")
        if self.padding >= min(sides):
            raise UserError(f"augmentation.padding {self.padding} must be below the size of the {kind}, {said}")
        return shape if size == "same" else (channels, *[size] * len(sides))

    def forward(self, images: Shaped[Tensor, "N C *S"], views: int = 1) -> Shaped[Tensor, "{views}*N C *T"]:
        """(N, C, *S) -> (views·N, *output_shape((C, *S))), the first view of every image, then the second, ..."""
        size = self.output_shape(tuple(images.shape[1:]))[1:]
        if views > 1:
            images = images.repeat(views, *[1] * (images.ndim - 1))
        if self.crop is not None:
            images = random_crop(images, size, self.padding) if self.training else centre_crop(images, size)
        if self.random_resized_crop is not None:
            images = random_area(images, size, self.scale) if self.training else _resized(images, size)
        return self._changed(images, views) if self.training else images

    def small_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape, without the batch axis, of the small views of images of `shape`.

        Raises:
            UserError: `small` is not set, or the data are not images.
        """
        if self.small is None:
            raise UserError("training.small_views needs augmentation.small, the side of those views in pixels")
        if len(shape) != 3:
            raise UserError(f"augmentation crops images of shape (C, H, W), not {shape}")
        return shape[0], self.small, self.small

    def small_views(self, images: Shaped[Tensor, "N C H W"], views: int) -> Shaped[Tensor, "{views}*N C small small"]:
        """Views with sides of `small`, in the order of `forward`; for training only.

        Raises:
            UserError: in the cases of `small_shape`.
        """
        size = self.small_shape(tuple(images.shape[1:]))[1:]
        areas = random_area(images.repeat(views, 1, 1, 1), size, self.small_scale)
        return self._changed(areas, views)

    def _changed(self, images: Tensor, views: int) -> Tensor:
        """Apply flips and colour changes; to series, amplitude, noise and dropped channels."""
        if self.flip:
            axes = (-3, -2, -1) if images.ndim == 5 else (-1,)
            images = random_flip(images, views if self.same_flip else 1, axes)
        if self.jitter:
            images = random_colour(images, self.jitter, self.jitter_probability)
        if self.grayscale:
            images = random_grey(images, self.grayscale)
        if self.amplitude:
            images = random_amplitude(images, self.amplitude)
        if self.noise:
            images = random_noise(images, self.noise)
        if self.channel_drop:
            images = random_channels(images, self.channel_drop)
        return images


def random_flip(
    images: Shaped[Tensor, "N C *S"], views: int = 1, axes: tuple[int, ...] = (-1,)
) -> Shaped[Tensor, "N C *S"]:
    """Mirror each image along each of the axes (by default left and right) with probability one half.

    The batch consists of `views` views, one after the other; either all views of an image are mirrored or none.
    """
    for axis in axes:
        mirrored = (torch.rand(len(images) // views, device=images.device) < 0.5).repeat(views)
        images = torch.where(mirrored.view(-1, *[1] * (images.ndim - 1)), images.flip(axis), images)
    return images


def random_crop(
    images: Shaped[Tensor, "N C *S"], size: int | tuple[int, ...], padding: int = 0
) -> Shaped[Tensor, "N C *T"]:
    """A random window of each image.

    Args:
        size: of the window: one number, or one for each axis.
        padding: pixels added on each side by reflection. All places in the padded image are equally likely.
    """
    images = reflected(images, padding)
    windows = images
    corner: tuple[Tensor | slice, ...] = (torch.arange(len(images), device=images.device), slice(None))
    for axis, side in enumerate(_sides(size, images), start=2):
        corner += (torch.randint(images.shape[axis] - side + 1, (len(images),), device=images.device),)
        windows = windows.unfold(axis, side, 1)
    return windows[corner]  # of a view of all windows, (N, C, *corners, *size), one of each image is copied


def centre_crop(images: Shaped[Tensor, "N C *S"], size: int | tuple[int, ...]) -> Shaped[Tensor, "N C *T"]:
    """The window at the centre; an image that is smaller is first extended by reflection."""
    sides = _sides(size, images)
    missing = [side - whole for side, whole in zip(sides, images.shape[2:], strict=True)]
    images = reflected(images, max(0, *(-(-more // 2) for more in missing)))
    for axis, side in enumerate(sides, start=2):
        images = images.narrow(axis, (images.shape[axis] - side) // 2, side)
    return images


def random_amplitude(series: Shaped[Tensor, "N C *S"], strength: float) -> Shaped[Tensor, "N C *S"]:
    """Each channel of each item times a factor of its own, uniform in [1 - strength, 1 + strength]."""
    factors = 1 + strength * (2 * torch.rand(_a_channel(series), device=series.device) - 1)
    return _as_type(series * factors, series)


def random_noise(series: Shaped[Tensor, "N C *S"], deviation: float) -> Shaped[Tensor, "N C *S"]:
    """Independent Gaussian noise of that standard deviation added to every number."""
    return _as_type(series + deviation * torch.randn(series.shape, device=series.device), series)


def random_channels(series: Shaped[Tensor, "N C *S"], probability: float) -> Shaped[Tensor, "N C *S"]:
    """Set each channel of each item to 0 with this probability, except one random channel of each item."""
    draw = torch.rand(_a_channel(series), device=series.device)
    stays = torch.randint(series.shape[1], (len(series),), device=series.device)
    kept = draw >= probability
    kept[torch.arange(len(series), device=series.device), stays] = True
    return torch.where(kept, series, torch.zeros_like(series))


def _a_channel(series: Tensor) -> tuple[int, ...]:
    """The shape of one number for each channel of each item."""
    return (*series.shape[:2], *[1] * (series.ndim - 2))


def random_area(
    images: Shaped[Tensor, "N C H W"], size: int | tuple[int, ...], scale: tuple[float, float]
) -> Shaped[Tensor, "N C rows columns"]:
    """A random area of each image, resized to that size, (rows, columns) (bilinear).

    The share of the area is uniform in `scale`, the logarithm of the aspect ratio is uniform in `ASPECT`. A side that
    is longer than the image is cut to the image.
    """
    count, _, height, width = images.shape
    draw = torch.rand(4, count, device=images.device)
    area = scale[0] + (scale[1] - scale[0]) * draw[0]
    low, high = (torch.tensor(ratio).log().item() for ratio in ASPECT)
    aspect = (low + (high - low) * draw[1]).exp() * height / width  # of the area's shares of width and height
    share_x, share_y = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
    # [-1, 1] spans the image: centre so that the area stays inside
    centre_x, centre_y = (1 - share_x) * (2 * draw[2] - 1), (1 - share_y) * (2 * draw[3] - 1)
    zero = torch.zeros_like(area)
    affine = torch.stack([share_x, zero, centre_x, zero, share_y, centre_y], 1).view(count, 2, 3)
    grid = functional.affine_grid(affine, [count, images.shape[1], *_sides(size, images)], align_corners=False)
    sampled = functional.grid_sample(images.float(), grid, padding_mode="reflection", align_corners=False)
    return _as_type(sampled, images)


def random_colour(
    images: Shaped[Tensor, "N C H W"], strength: float, probability: float = 1.0
) -> Shaped[Tensor, "N C H W"]:
    """Change brightness, contrast, saturation and hue of each image, in random order (kornia's ColorJitter).

    Args:
        images: a float outside [-1, 1] is changed by the same amount as the nearest value inside, and is not clipped.
        strength: see `Augmentation.jitter`.
        probability: that an image is changed.
    """
    if images.is_floating_point():
        inside = images.clamp(-1, 1)
        return _recoloured(inside, strength, probability) + (images - inside)
    return _recoloured(images, strength, probability)


def _recoloured(images: Tensor, strength: float, probability: float) -> Tensor:
    from kornia import enhance  # its import takes a second, and only this needs it
    from kornia.augmentation import ColorJitter

    colour = images.shape[1] == 3
    saturation, hue = (strength, strength / 5) if colour else (0.0, 0.0)
    change = ColorJitter(strength, strength, saturation, hue, p=probability)
    unit = _to_unit(images) if colour else _to_unit(images).expand(-1, 3, *images.shape[2:])
    drawn = change.forward_parameters(unit.shape)  # on the CPU, so that to read them makes no GPU wait
    steps: list[tuple[Callable[[Tensor, Tensor], Tensor], Tensor]] = [
        (enhance.adjust_brightness_accumulative, drawn["brightness_factor"].to(images.device)),
        (enhance.adjust_contrast_with_mean_subtraction, drawn["contrast_factor"].to(images.device)),
        (enhance.adjust_saturation_with_gray_subtraction, drawn["saturation_factor"].to(images.device)),
        (turned_hue, drawn["hue_factor"].to(images.device)),
    ]
    order = [steps[number] for number in drawn["order"].tolist() if colour or number < 2]
    chosen = (drawn["batch_prob"] > 0.5).nonzero()[:, 0].to(images.device)
    out = unit.clone()
    # A few at a time, which a processor's cache holds from the first step to the last; a GPU takes all.
    for some in chosen.split(JITTERED_TOGETHER if images.device.type == "cpu" else max(1, len(chosen))):
        part = unit[some].clamp(0, 1)
        for change_by, factors in order:
            part = change_by(part, factors[some])
        out[some] = part.clamp(0, 1)
    return _from_unit(out if colour else out[:, :1], images)


def turned_hue(images: Float[Tensor, "N 3 H W"], turns: Float[Tensor, "N"]) -> Float[Tensor, "N 3 H W"]:
    """Images in [0, 1] with their hue turned by parts of a full turn; value and saturation stay.

    The result equals kornia's conversion to HSV and back, in a tenth of the time: each channel is computed directly
    from its position on the hexagon of hues.
    """
    most, least = images.amax(1), images.amin(1)
    span = most - least
    red, green, blue = images.unbind(1)
    over = torch.where(span == 0, 1, span).reciprocal()
    sixths = torch.where(
        most == red,
        (green - blue) * over,
        torch.where(most == green, (blue - red) * over + 2, (red - green) * over + 4),
    )
    sixths = sixths + 6 * turns.view(-1, 1, 1)
    channels = []
    for corner in (5, 3, 1):  # where red, green and blue stand on the hexagon
        along = (sixths + corner).remainder(6)
        channels.append(most - span * torch.minimum(along, 4 - along).clamp(0, 1))
    return torch.stack(channels, 1)


def random_grey(images: Shaped[Tensor, "N C H W"], probability: float) -> Shaped[Tensor, "N C H W"]:
    """Each image made grey with `probability`: luma (0.299 R + 0.587 G + 0.114 B) in all three channels."""
    if images.shape[1] != 3:
        return images
    grey = _as_type((images.float() * _luma(images.device)).sum(1, keepdim=True), images)
    chosen = torch.rand(len(images), 1, 1, 1, device=images.device) < probability
    return torch.where(chosen, grey, images)


@functools.cache
def _luma(device: torch.device) -> Tensor:
    """How bright each of red, green and blue looks: (1, 3, 1, 1)."""
    return torch.tensor([0.299, 0.587, 0.114], device=device).view(1, 3, 1, 1)


def reflected(images: Shaped[Tensor, "N C *S"], padding: int | tuple[int, ...]) -> Shaped[Tensor, "N C *T"]:
    """Extend images by `padding` pixels on each side of each axis, mirrored at the border pixel.

    It works for every type; torch's own function does not work for uint8.
    """
    for axis, more in enumerate(_sides(padding, images), start=2):
        if more:
            side = images.shape[axis]
            places = torch.arange(-more, side + more, device=images.device).abs()
            images = images.index_select(axis, torch.where(places < side, places, 2 * (side - 1) - places))
    return images


def _sides(size: int | tuple[int, ...], images: Tensor) -> tuple[int, ...]:
    """One number for each axis of the images."""
    return (size,) * (images.ndim - 2) if isinstance(size, int) else size


def _resized(images: Tensor, size: tuple[int, ...]) -> Tensor:
    if images.shape[2:] == size:
        return images
    resized = functional.interpolate(images.float(), size, mode="bilinear", antialias=True, align_corners=False)
    return _as_type(resized, images)


def _to_unit(images: Tensor) -> Tensor:
    """uint8 or [-1, 1] -> [0, 1]"""
    return images.float() / 255 if images.dtype == torch.uint8 else (images + 1) / 2


def _from_unit(images: Tensor, like: Tensor) -> Tensor:
    images = images.clamp(0, 1)
    return _as_type(images * 255, like) if like.dtype == torch.uint8 else (images * 2 - 1).to(like.dtype)


def _as_type(images: Tensor, like: Tensor) -> Tensor:
    return images.round().clamp(0, 255).to(torch.uint8) if like.dtype == torch.uint8 else images.to(like.dtype)
