"""Networks of timm and torchvision as encoders, by name: `wrap("timm:resnet18")`."""

import importlib
import re
from typing import Any

import torch
from torch import Tensor, nn

from deepinfomax.errors import UserError, first_line

#: library -> pattern of the network's name -> its layers for (local, conv, y). `local` is the second stage, as in
#: `ResNet18`: its places see 99 pixels in ResNet-18. Those of the third see 211, nearly all of an image of 224.
LAYERS: dict[str, dict[str, tuple[str, str, str]]] = {
    "timm": {
        r"convnext(v2)?_.*": ("stages.1", "stages.3", "head.global_pool"),
        r"regnet.*": ("s2", "s4", "head.global_pool"),
        r"(resnet|resnext|wide_resnet|seresnet|legacy_seresnet|ecaresnet|skresnet).*": (
            "layer2",
            "layer4",
            "global_pool",
        ),
    },
    "torchvision": {
        r"(resnet|resnext|wide_resnet).*": ("layer2", "layer4", "avgpool"),
        r"convnext_.*": ("features.3", "features.7", "avgpool"),
        r"regnet_.*": ("trunk_output.block2", "trunk_output.block4", "avgpool"),
    },
}
#: mean and standard deviation of each colour of the images, in [0, 1], that most pretrained networks were trained on
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Rescaled(nn.Module):
    """Takes images in [-1, 1] and rescales them to the mean and deviation that a pretrained network expects."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: nn.Module, mean: tuple[float, ...], deviation: tuple[float, ...]) -> None:
        super().__init__()
        self.network = network
        shape = (1, len(mean), 1, 1)
        self.register_buffer("mean", torch.tensor(mean).reshape(shape), persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation).reshape(shape), persistent=False)

    def forward(self, images: Tensor) -> Any:
        return self.network(((images + 1) / 2 - self.mean) / self.deviation)


def named_network(name: str, *, pretrained: bool = False) -> tuple[nn.Module, dict[str, str]]:
    """A network of timm or torchvision, and the names of its layers for local, conv and y.

    Args:
        name: "LIBRARY:MODEL", such as "timm:resnet18".
        pretrained: with the library's weights, which are downloaded. Images in [-1, 1] are rescaled to what they need.

    Returns:
        The network, and level -> name of a layer; {} if the layers of this model are not known.

    Raises:
        UserError: an unknown library or model, a library that is not installed, or weights that cannot be fetched.
    """
    library, _, model = name.partition(":")
    if library not in LAYERS or not model:
        raise UserError(f"{name!r} names no network: give an nn.Module, or timm:MODEL or torchvision:MODEL")
    try:
        module = importlib.import_module(library)
        if library == "torchvision":
            module = importlib.import_module("torchvision.models")
    except Exception as error:  # torchvision of another torch stops with RuntimeError while it is imported
        if isinstance(error, ImportError) and getattr(error, "name", None) == library:
            raise UserError(f"{name} needs one more package: pip install {library}") from None
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{name} cannot be had: {library} does not work beside this torch ({reason})") from None
    network = _timm(module, model, pretrained) if library == "timm" else _torchvision(module, model, pretrained)
    known = next((layers for names, layers in LAYERS[library].items() if re.fullmatch(names, model)), None)
    layers = {} if known is None else dict(zip(("local", "conv", "y"), known, strict=True))
    if not pretrained:
        return network, layers
    settings = getattr(network, "pretrained_cfg", {}) or {}
    rescaled = Rescaled(network, tuple(settings.get("mean", MEAN)), tuple(settings.get("std", DEVIATION)))
    return rescaled, {level: f"network.{layer}" for level, layer in layers.items()}


def _timm(timm: Any, model: str, pretrained: bool) -> nn.Module:
    try:
        return timm.create_model(model, pretrained=pretrained, num_classes=0)
    except RuntimeError as error:  # timm also raises it for an unknown name
        raise UserError(f"timm has no network {model!r} to give: {first_line(error)}") from None
    except Exception as error:  # no network, a full disk: each of its own kind
        raise UserError(f"timm cannot give the weights of {model!r}: {first_line(error)}") from None


def _torchvision(models: Any, model: str, pretrained: bool) -> nn.Module:
    try:
        return models.get_model(model, weights="DEFAULT" if pretrained else None)
    except ValueError:
        raise UserError(f"torchvision has no network {model!r}; torchvision.models.list_models() lists them") from None
    except Exception as error:  # no network, a full disk: each of its own kind
        raise UserError(f"torchvision cannot give the weights of {model!r}: {first_line(error)}") from None
