"""Encoders: images (N, C, *S) in [-1, 1] -> `Features`."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from deepinfomax.encoders.alexnet import AlexNet
from deepinfomax.encoders.dcgan import DCGAN
from deepinfomax.encoders.layers import OF_RANK
from deepinfomax.encoders.modes import in_eval_mode
from deepinfomax.encoders.resnet import ResNet
from deepinfomax.encoders.resnet18 import ResNet18
from deepinfomax.encoders.sequence import Sequence
from deepinfomax.encoders.strided import StridedCrops
from deepinfomax.encoders.volume import Volume
from deepinfomax.encoders.wrapping import wrap
from deepinfomax.errors import UserError, first_line
from deepinfomax.features import Features, Shapes
from deepinfomax.plugins import no_module, registry
from deepinfomax.settings import validate

__all__ = [
    "ARCHITECTURES",
    "DCGAN",
    "AlexNet",
    "ResNet",
    "ResNet18",
    "Sequence",
    "StridedCrops",
    "Volume",
    "build",
    "shapes_of",
    "wrap",
]

#: name of an architecture -> class; other packages add theirs as `deepinfomax.encoders`
ARCHITECTURES: Mapping[str, type[nn.Module]] = registry(
    "encoders",
    {
        "dcgan": DCGAN,
        "alexnet": AlexNet,
        "resnet": ResNet,
        "resnet18": ResNet18,
        "strided": StridedCrops,
        "sequence": Sequence,
        "volume": Volume,
    },
    fault=lambda name, thing: no_module("image_shape", thing),
)


def of_rank(section: Mapping[str, Any], image_shape: tuple[int, ...]) -> dict[str, Any]:
    """The [encoder] section to use for data of this shape.

    "dcgan", the default, takes images only. For series it is replaced by "sequence", for volumes by "volume"; settings
    that differ from the defaults of "dcgan" are kept. Any other encoder is returned unchanged.

    Args:
        section: the name of the encoder and its settings.
        image_shape: (C, *S) of one image, series or volume.

    Raises:
        UserError: a setting that the replacing encoder does not have.
    """
    name = OF_RANK.get(len(image_shape) - 1, "dcgan")
    if section["name"] != "dcgan" or name == "dcgan":
        return dict(section)
    usual = validate(ARCHITECTURES["dcgan"], {}, "encoder")
    set_otherwise = {key: value for key, value in section.items() if key != "name" and value != usual.get(key)}
    return {"name": name, **validate(ARCHITECTURES[name], set_otherwise, "encoder")}


def build(name: str, image_shape: tuple[int, ...], **arguments: Any) -> nn.Module:
    """A new encoder with random weights.

    Args:
        name: one of `ARCHITECTURES`.
        image_shape: (C, *S) of the images it will take.
        arguments: settings of that class.

    Raises:
        UserError: an unknown name or argument, or a shape that the architecture cannot take.
    """
    if name not in ARCHITECTURES:
        raise UserError(f"unknown encoder {name!r}; choose one of {', '.join(ARCHITECTURES)}")
    architecture = ARCHITECTURES[name]
    return architecture(tuple(image_shape), **validate(architecture, arguments, f"encoder {name}:"))


def shapes_of(encoder: nn.Module, image_shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Shapes:
    """The shapes of an encoder's outputs for one image, without the batch axis.

    They are found by encoding two blank images in eval mode; the encoder's state does not change.

    Args:
        image_shape: (C, *S).
        dtype: type of the blank images.

    Raises:
        UserError: images that the encoder cannot take, or an output that is not `Features`.
    """
    device = next((p.device for p in encoder.parameters()), torch.device("cpu"))
    try:
        with in_eval_mode(encoder), torch.no_grad():
            features = encoder(torch.zeros(2, *image_shape, dtype=dtype, device=device))
    except RuntimeError as error:
        raise UserError(
            f"the encoder cannot take images of {'x'.join(map(str, image_shape))}: {first_line(error)}"
        ) from error
    _check_features(features, image_shape)
    levels = (None if level is None else tuple(level.shape[1:]) for level in features)
    return Shapes(tuple(image_shape), *levels)  # type: ignore[arg-type]


def _check_features(features: Any, image_shape: tuple[int, ...]) -> None:
    """Raises UserError if a network does not return `Features`, or if its local map is a list of tokens."""
    if not isinstance(features, Features):
        raise UserError(
            f"the encoder returns {type(features).__name__}, not Features: name its layers by "
            "deepinfomax.wrap(module, local=..., y=...)"
        )
    for level, rows in features._asdict().items():
        if rows is None and level in ("conv", "fc"):
            continue
        if not isinstance(rows, torch.Tensor) or not rows.is_floating_point():
            kind = rows.dtype if isinstance(rows, torch.Tensor) else type(rows).__name__
            raise UserError(f"{level} of the encoder is {kind}: return a tensor of floats")
        if rows.ndim < 2 or len(rows) != 2:
            raise UserError(
                f"{level} of the encoder has shape {tuple(rows.shape)} for 2 images: return (2, units) and, of a map, "
                "its axes behind"
            )
    if len(image_shape) == 3 and features.local.ndim == 3:
        places, units = features.local.shape[1:]
        raise UserError(
            f"local has shape ({places}, {units}), which would be {places} units at each of {units} places: "
            "transformers give (tokens, units), so transpose it to (units, rows, columns), or to (units, places, 1)"
        )
