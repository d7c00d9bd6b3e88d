from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from deepinfomax import encoders
from deepinfomax.encoders import wrap
from deepinfomax.errors import UserError
from deepinfomax.objectives import Batch, Facts, GlobalInfoMax, LocalInfoMax, VariationalAutoencoder


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 4, 2), nn.ReLU())
        self.stage = nn.Conv2d(4, 8, 3)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(8, 5)
        self.unused = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.pool(self.stage(self.stem(x))).flatten(1))


def test_levels_are_the_layers_named() -> None:
    net = Net()
    encoder = wrap(net, local="stem.0", conv="stage", fc="pool", y="head")
    images = torch.randn(3, 1, 12, 12)
    features = encoder(images)
    assert torch.equal(features.local, net.stem[0](images))
    assert torch.equal(features.conv, net.stage(net.stem(images)))
    assert torch.equal(features.fc, features.conv.mean((2, 3)))
    assert torch.equal(features.y, net(images))
    assert not any(m._forward_hooks for m in encoder.modules())


class Overwriting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv, self.relu = nn.Conv2d(1, 4, 4, 2), nn.Conv2d(4, 8, 3), nn.ReLU(inplace=True)
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.relu(self.conv(self.relu(self.stem(x)))).mean((2, 3))).sigmoid_()


def test_what_comes_behind_a_layer_does_not_write_over_it() -> None:
    net, images = Overwriting(), torch.randn(3, 1, 12, 12)
    features = wrap(net, local="stem", conv="conv", fc="head", y="head")(images)
    assert torch.equal(features.local, net.stem(images))
    assert torch.equal(features.conv, net.conv(net.stem(images).relu()))
    assert features.conv.min() < 0
    assert torch.equal(features.y, net.head(features.conv.relu().mean((2, 3))))


def test_threads_share_a_network() -> None:
    """As those of a server do, and the copies of DataParallel: each has its own images' features, and no other's."""
    encoder = wrap(Net(), local="stem", conv="stage", fc="pool", y="head").eval()
    several = [torch.randn(8, 1, 48, 48) for _ in range(4)]
    with torch.no_grad():
        alone = [encoder(images) for images in several]

    @torch.no_grad()
    def many_times(number: int) -> bool:
        return all(torch.equal(encoder(several[number]).local, alone[number].local) for _ in range(100))

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(many_times, range(4)))
    assert not any(m._forward_hooks for m in encoder.modules())


def test_a_layer_that_runs_twice_is_ambiguous() -> None:
    encoder = wrap(Overwriting(), local="relu", conv="conv", fc="head", y="head")
    with pytest.raises(UserError, match="'relu' runs more than once in forward: name one for local that runs once"):
        encoder(torch.randn(3, 1, 12, 12))


def test_objectives_train_it() -> None:
    encoder = wrap(Net(), local="stem", conv="stage", fc="pool", y="head")
    facts = Facts(encoders.shapes_of(encoder, (1, 12, 12)))
    features = encoder(torch.randn(4, 1, 12, 12))
    batch = Batch(torch.zeros(4, 1, 12, 12), None, torch.arange(4))
    local, whole = LocalInfoMax(facts, units=8), GlobalInfoMax(facts, units=8)
    (local(features, batch)["loss"] + whole(features, batch)["loss"]).backward()
    for name in ("stem.0.weight", "stage.weight", "head.weight"):
        assert encoder.module.get_parameter(name).grad.abs().sum() > 0


def test_mistakes() -> None:
    with pytest.raises(UserError, match=r"local='body' is no layer of Net; it has stem, "):
        wrap(Net(), local="body", conv="stage", fc="pool", y="head")
    encoder = wrap(Net(), local="unused", conv="stage", fc="pool", y="head")
    with pytest.raises(UserError, match="'unused' did not run"):
        encoder(torch.randn(2, 1, 12, 12))


def test_a_network_without_conv_and_fc_need_not_invent_them() -> None:
    encoder = wrap(Net(), local="stem", y="head")
    features = encoder(torch.randn(4, 1, 12, 12))
    assert features.conv is None
    assert features.fc is None
    shapes = encoders.shapes_of(encoder, (1, 12, 12))
    assert (shapes.conv, shapes.fc) == (None, None)
    LocalInfoMax(Facts(shapes), units=8)(features, Batch(torch.zeros(4, 1, 12, 12)))["loss"].backward()
    with pytest.raises(UserError, match="global needs an encoder with a conv map"):
        GlobalInfoMax(Facts(shapes))
    with pytest.raises(UserError, match="fc"):
        VariationalAutoencoder(Facts(shapes))
