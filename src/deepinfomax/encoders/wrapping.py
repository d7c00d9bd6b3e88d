"""Any `nn.Module` as an encoder, by naming its layers."""

import threading
from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn

from deepinfomax.encoders.libraries import named_network
from deepinfomax.errors import UserError
from deepinfomax.features import Features


class _Thread(threading.local):
    """Identifies a thread. torch.compile can trace it, but not `threading.get_ident`."""

    def __init__(self) -> None:
        self.own = object()


_this_thread = _Thread()


class Wrapped(nn.Module):
    """See `wrap`. The state has the weights of `module`, with the prefix "module." before its own names."""

    def __init__(self, module: nn.Module, layers: dict[str, str]) -> None:
        super().__init__()
        self.module = module
        self.layers = layers
        modules = dict(module.named_modules())
        for level, name in layers.items():
            if name not in modules:
                known = [n for n in modules if n and n.count(".") < 2]
                raise UserError(f"{level}={name!r} is no layer of {type(module).__name__}; it has {', '.join(known)}")

    def extra_repr(self) -> str:
        return ", ".join(f"{level}={name!r}" for level, name in self.layers.items())

    def forward(self, images: Float[Tensor, "N C *S"]) -> Features:
        """fc and y are flattened, maps are not.

        Raises:
            UserError: a named layer did not run, ran twice, or did not return a tensor.
        """
        caught: dict[str, Tensor] = {}
        # Hooks live for one call only, so the network stays as free to use, copy and save as it was.
        hooks = [
            self.module.get_submodule(name).register_forward_hook(_catch(caught, level, name))
            for level, name in self.layers.items()
        ]
        try:
            self.module(images)
        finally:
            for hook in hooks:
                hook.remove()
        for level, name in self.layers.items():
            if level not in caught:
                raise UserError(f"layer {name!r} did not run in forward, so there is no {level}")
            if not isinstance(caught[level], Tensor):
                raise UserError(f"layer {name!r} returns {type(caught[level]).__name__}, not a tensor")
        flat = {level: caught[level].flatten(1) for level in ("fc", "y") if level in caught}
        return Features(caught["local"], caught.get("conv"), flat.get("fc"), flat["y"])


def _catch(caught: dict[str, Tensor], level: str, name: str) -> Callable[[nn.Module, tuple, Tensor], Tensor | None]:
    caller = _this_thread.own

    def hook(_module: nn.Module, _inputs: tuple, output: Tensor) -> Tensor | None:
        if _this_thread.own is not caller:  # another thread uses the same network, or a copy made by DataParallel
            return None
        if level in caught:
            raise UserError(f"layer {name!r} runs more than once in forward: name one for {level} that runs once")
        if not isinstance(output, Tensor):
            caught[level] = output
            return None
        # Keep one copy and give the next layer another: it may overwrite its input, as ReLU(inplace=True) does,
        # and an objective may stop its gradient at the caught tensor.
        caught[level] = output.clone()
        return caught[level].clone()

    return hook


def wrap(
    module: nn.Module | str,
    *,
    local: str | None = None,
    y: str | None = None,
    conv: str | None = None,
    fc: str | None = None,
    pretrained: bool = False,
) -> Wrapped:
    """Make an encoder of any network, by the names of its layers (as `module.named_modules()` has them).

    >>> from torch import nn
    >>> net = nn.Sequential(nn.Conv2d(3, 8, 4, 2), nn.ReLU(), nn.Conv2d(8, 16, 4, 2), nn.Flatten(),
    ...                     nn.LazyLinear(32), nn.Linear(32, 16))
    >>> encoder = wrap(net, local="1", conv="2", fc="4", y="5")

    Args:
        module: the network; it is used directly, not copied. Or "timm:MODEL" or "torchvision:MODEL", if that library is
            installed; then `local`, `conv` and `y` are known for the common networks and need not be named.
        local: layer whose output (N, C, *S) is the map of local features.
        y: layer whose output is the representation; flattened to (N, D).
        conv: layer whose output is the last convolutional map, to be measured too; None: no such level.
        fc: layer whose output is the last hidden vector, flattened to (N, H); None: no such level.
        pretrained: load the library's weights into a network given by name. Like every encoder, it takes images in
            [-1, 1].

    Raises:
        UserError: a layer that does not exist, or a network that is not available; in `forward`, a layer that did not
            run, runs twice, or does not return a tensor.
    """
    layers = {"local": local, "conv": conv, "fc": fc, "y": y}
    given = {level: name for level, name in layers.items() if name is not None}
    if isinstance(module, str):
        what = module
        module, known = named_network(module, pretrained=pretrained)
        given = known | given
    elif pretrained:
        raise UserError("pretrained is for networks by name, such as timm:resnet18: an nn.Module has its weights")
    else:
        what = type(module).__name__
    for level in ("local", "y"):
        if level not in given:
            names = ", ".join(list(dict(module.named_children()))[:12])
            raise UserError(f"the layers of {what} are not known: name {level} in wrap(...); it has {names}")
    return Wrapped(module, given)
