"""Networks of other libraries by name, from stand-ins for the libraries: neither is needed to run these tests."""

import importlib
import sys
from types import ModuleType

import pytest
import torch
from torch import nn

from deepinfomax import UserError, encoders


class Small(nn.Module):
    """With the layer names of a ResNet."""

    def __init__(self, pooled: str) -> None:
        super().__init__()
        self.layer2 = nn.Conv2d(3, 5, 2, 2)
        self.layer3 = nn.Conv2d(5, 6, 2, 2)
        self.layer4 = nn.Conv2d(6, 8, 2, 2)
        self.add_module(pooled, nn.AdaptiveAvgPool2d(1))
        self.pooled = pooled

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return getattr(self, self.pooled)(self.layer4(self.layer3(self.layer2(images))))


@pytest.fixture
def timm(monkeypatch: pytest.MonkeyPatch) -> None:
    library = ModuleType("timm")

    def create_model(name: str, *, pretrained: bool, num_classes: int) -> nn.Module:
        assert num_classes == 0
        if name not in ("resnet18", "vit_small"):
            raise RuntimeError(f"Unknown model ({name})")
        network = Small("global_pool")
        if pretrained:
            network.pretrained_cfg = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}  # type: ignore[assignment]
        return network

    library.create_model = create_model  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "timm", library)


def test_a_network_of_timm_by_name(timm: None) -> None:
    shapes = encoders.shapes_of(encoders.wrap("timm:resnet18"), (3, 32, 32))
    assert (shapes.local, shapes.conv, shapes.fc, shapes.y) == ((5, 16, 16), (8, 4, 4), None, (8,))
    named = encoders.wrap("timm:vit_small", local="layer3", y="global_pool")
    assert encoders.shapes_of(named, (3, 32, 32)).conv is None


def test_a_pretrained_network_takes_the_same_images_as_every_encoder(timm: None) -> None:
    torch.manual_seed(0)
    encoder = encoders.wrap("timm:resnet18", pretrained=True)
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    network = encoder.module.network
    wanted = network(((images + 1) / 2 - 0.5) / 0.25).flatten(1)
    torch.testing.assert_close(encoder(images).y, wanted)
    assert all(not key.endswith(("mean", "deviation")) for key in encoder.state_dict())


def test_a_network_of_torchvision_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    package, models = ModuleType("torchvision"), ModuleType("torchvision.models")

    def get_model(name: str, *, weights: str | None) -> nn.Module:
        if name != "resnet18":
            raise ValueError(f"Unknown model {name}")
        return Small("avgpool")

    models.get_model = get_model  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision", package)
    monkeypatch.setitem(sys.modules, "torchvision.models", models)
    assert encoders.shapes_of(encoders.wrap("torchvision:resnet18"), (3, 32, 32)).y == (8,)
    with pytest.raises(UserError, match="torchvision has no network 'resnet1'"):
        encoders.wrap("torchvision:resnet1")


def test_weights_that_cannot_be_fetched_are_one_line(timm: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise OSError("<urlopen error [Errno -2] Name or service not known>\nmore")

    monkeypatch.setattr(sys.modules["timm"], "create_model", unreachable)
    line = r"^timm cannot give the weights of 'resnet18': <urlopen error \[Errno -2\] Name or service not known>$"
    with pytest.raises(UserError, match=line):
        encoders.wrap("timm:resnet18", pretrained=True)
    models = ModuleType("torchvision.models")
    models.get_model = unreachable  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision", ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, "torchvision.models", models)
    with pytest.raises(UserError, match="torchvision cannot give the weights of 'resnet18': <urlopen error"):
        encoders.wrap("torchvision:resnet18", pretrained=True)


def test_mistakes_are_one_line(timm: None) -> None:
    for name, message in {
        "resnet18": "names no network",
        "keras:resnet18": "names no network",
        "timm:": "names no network",
        "timm:nothing": "timm has no network 'nothing'",
        "timm:vit_small": "the layers of timm:vit_small are not known: name local",
    }.items():
        with pytest.raises(UserError, match=message) as told:
            encoders.wrap(name)
        assert "\n" not in str(told.value)
    with pytest.raises(UserError, match="pretrained is for networks by name"):
        encoders.wrap(Small("avgpool"), local="layer3", y="avgpool", pretrained=True)


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_a_library_that_is_not_there_is_named(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)  # as if it were not installed
    with pytest.raises(UserError, match=rf"needs one more package: pip install {library}"):
        encoders.wrap(f"{library}:resnet18")


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_the_real_library_where_it_is_installed(library: str) -> None:
    try:
        importlib.import_module(library)
    except Exception as error:  # torchvision of another torch stops with RuntimeError
        pytest.skip(f"needs {library}: pip install {library}, built for torch {torch.__version__} ({error})")
    shapes = encoders.shapes_of(encoders.wrap(f"{library}:resnet18"), (3, 64, 64))
    assert (shapes.local[0], shapes.y) == (128, (512,))
