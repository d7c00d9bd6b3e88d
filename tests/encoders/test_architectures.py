"""Every registered architecture: published shapes and sizes, and that nothing in it is idle."""

import pytest
import torch

from deepinfomax import encoders
from deepinfomax.errors import UserError
from deepinfomax.features import Features
from deepinfomax.objectives import Facts

#: name, input, arguments -> local, conv, fc, y, parameters. Counts are the published ones where the paper's
#: code has the network (4.92, 11.2, 58.4, 17.9, 3.19 and 54.9 million), to three digits.
PUBLISHED = [
    ("dcgan", (3, 32, 32), {}, (128, 8, 8), (256, 4, 4), (1024,), (64,), 4.92e6),
    ("dcgan", (3, 64, 64), {}, (256, 8, 8), (512, 4, 4), (1024,), (64,), 11.2e6),
    ("alexnet", (3, 64, 64), {}, (384, 15, 15), (192, 7, 7), (4096,), (64,), 58.4e6),
    ("resnet", (3, 32, 32), {"depth": 19}, (512, 8, 8), (1024, 4, 4), (1024,), (64,), None),
    ("resnet", (3, 32, 32), {"depth": 34}, (512, 8, 8), (1024, 4, 4), (1024,), (64,), None),
    ("resnet", (3, 32, 32), {"depth": 50}, (512, 8, 8), (2048, 2, 2), (1024,), (64,), None),
    ("strided", (3, 64, 64), {"stack": "alexnet"}, (192, 7, 7), (384, 3, 3), (4096,), (64,), 17.9e6),
    (
        "strided",
        (3, 64, 64),
        {"stack": "alexnet", "globals": "blocks", "y": 192},
        (192, 7, 7),
        (192, 7, 7),
        (4800,),
        (192, 25),
        3.19e6,
    ),
    ("strided", (3, 32, 32), {"stack": "resnet19"}, (1024, 7, 7), (1024, 7, 7), (1024,), (64,), 54.9e6),
    ("strided", (3, 32, 32), {"stack": "resnet34"}, (1024, 7, 7), (1024, 7, 7), (1024,), (64,), None),
    (
        "strided",
        (3, 32, 32),
        {"stack": "resnet50", "globals": "blocks"},
        (2048, 7, 7),
        (2048, 7, 7),
        (2048 * 25,),
        (64, 25),
        None,
    ),
]


@pytest.mark.parametrize(("name", "shape", "arguments", "local", "conv", "fc", "y", "parameters"), PUBLISHED)
def test_published_shapes_and_parameters(name, shape, arguments, local, conv, fc, y, parameters):
    with torch.device("meta"):  # shapes and counts need no weights
        encoder = encoders.build(name, shape, **arguments)
        features = encoder.eval()(torch.empty(2, *shape))
    assert tuple(tuple(f.shape[1:]) for f in features) == (local, conv, fc, y)
    if parameters is not None:
        assert float(f"{sum(p.numel() for p in encoder.parameters()):.3g}") == parameters


#: Exact, so that no block, bias or shortcut comes or goes unseen; of most of these nothing is published.
COUNTED = [
    ("dcgan", (1, 28, 28), {}, (128, 7, 7), 6_696_960),  # the authors' basic28x28: 6.7 million
    ("resnet", (3, 32, 32), {"depth": 19}, (512, 8, 8), 20_281_216),
    ("resnet", (3, 32, 32), {"depth": 34}, (512, 8, 8), 22_589_056),
    ("resnet", (3, 32, 32), {"depth": 50}, (512, 8, 8), 31_956_608),
    ("strided", (3, 32, 32), {"stack": "resnet34"}, (1024, 7, 7), 57_192_064),
    ("strided", (3, 32, 32), {"stack": "resnet50"}, (2048, 7, 7), 126_328_448),
]


@pytest.mark.parametrize(("name", "shape", "arguments", "local", "parameters"), COUNTED)
def test_exact_parameter_counts(name, shape, arguments, local, parameters):
    with torch.device("meta"):
        encoder = encoders.build(name, shape, **arguments)
        features = encoder.eval()(torch.empty(2, *shape))
    assert tuple(features.local.shape[1:]) == local
    assert sum(p.numel() for p in encoder.parameters()) == parameters


def test_strided_alexnet_drops_a_tenth_behind_its_convolution_and_its_hidden_layer():
    with torch.device("meta"):
        networks = {
            (stack, kind): encoders.build("strided", (3, 64, 64), stack=stack, globals=kind)
            for stack in ("alexnet", "dcgan")
            for kind in ("one", "blocks")
        }
    dropped = {
        key: [(n, m) for n, m in e.named_modules() if "Dropout" in type(m).__name__] for key, e in networks.items()
    }
    found = [(name, type(m), m.p) for name, m in dropped.pop(("alexnet", "one"))]
    # Whole maps of the convolution, units of the hidden layer; each the last of its level.
    assert found == [("summary.1", torch.nn.Dropout2d, 0.1), ("fc.2", torch.nn.Dropout, 0.1)]
    assert not any(dropped.values())  # published for that network alone


SMALL = [
    ("dcgan", (3, 32, 32), {"width": 8, "fc": 32}),
    ("alexnet", (1, 32, 48), {"width": 4, "fc": 32}),
    ("resnet", (3, 16, 16), {"depth": 19, "width": 4, "fc": 32}),
    ("resnet", (4, 16, 24), {"depth": 34, "width": 4, "fc": 32}),
    ("resnet", (3, 32, 32), {"depth": 50, "width": 4, "fc": 32}),
    ("strided", (3, 32, 32), {"width": 4, "fc": 32}),
    ("strided", (1, 32, 48), {"width": 4, "globals": "blocks"}),
    ("strided", (3, 64, 64), {"stack": "alexnet", "width": 4, "fc": 32}),
    ("strided", (3, 64, 64), {"stack": "resnet34", "width": 4, "fc": 32}),
    ("sequence", (2, 100), {"width": 8, "fc": 32}),
    ("sequence", (12, 29), {"width": 8, "fc": 32}),
    ("volume", (1, 16, 24, 16), {"width": 4, "fc": 32}),
]


@pytest.mark.parametrize(("name", "shape", "arguments"), SMALL)
def test_gradients_of_y_reach_every_parameter(name, shape, arguments):
    torch.manual_seed(0)
    encoder = encoders.build(name, shape, y=16, **arguments)
    features = encoder(torch.randn(8, *shape))
    assert features.y.shape[:2] == (8, 16)
    features.y.square().sum().backward()
    idle = [n for n, p in encoder.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not idle


@pytest.mark.parametrize(("name", "shape", "arguments"), SMALL)
def test_images_do_not_see_each_other(name, shape, arguments):
    torch.manual_seed(0)
    encoder = encoders.build(name, shape, y=16, **arguments).eval()
    images = torch.randn(5, *shape)
    together = encoder(images)
    alone = [encoder(image.unsqueeze(0)) for image in images]
    for level, whole in zip(together._fields, together, strict=True):
        parts = torch.cat([getattr(features, level) for features in alone])
        torch.testing.assert_close(whole, parts, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "shape", "arguments", "says"),
    [
        ("alexnet", (3, 12, 12), {}, "resize to 15"),
        ("alexnet", (1, 427), {}, r"\(C, H, W\)"),
        ("resnet", (3, 4, 4), {}, "resize to 8"),
        ("strided", (3, 28, 28), {}, "resize to 32"),
        ("strided", (3, 36, 36), {}, "multiple of 8"),
        ("strided", (3, 32, 33), {}, "multiple of 8"),
        ("strided", (3, 32, 32), {"stack": "alexnet"}, "resize to 64x64"),
        ("sequence", (3, 32, 32), {}, r"\(C, T\)"),
        ("sequence", (1, 4), {}, "resize to 8"),
        ("volume", (1, 8, 16, 16), {}, "resize to 16"),
    ],
)
def test_inputs_it_cannot_take(name, shape, arguments, says):
    with pytest.raises(UserError, match=says):
        encoders.build(name, shape, **arguments)


def test_sequence_keeps_enough_places():
    with torch.device("meta"):
        for length, places in ((427, 26), (100, 25), (64, 16), (29, 14)):
            encoder = encoders.build("sequence", (1, length)).eval()
            assert encoder(torch.empty(2, 1, length)).local.shape[2] == places


class Returns(torch.nn.Module):
    def __init__(self, what: object) -> None:
        super().__init__()
        self.what = what

    def forward(self, images: torch.Tensor) -> object:
        return self.what


def test_a_network_that_returns_no_features_is_told_how_to_become_an_encoder() -> None:
    with pytest.raises(UserError, match=r"returns Tensor, not Features: name its layers by deepinfomax\.wrap"):
        encoders.shapes_of(Returns(torch.zeros(2, 5)), (3, 8, 8))


def test_tokens_are_not_taken_for_a_map() -> None:
    tokens = Features(local=torch.zeros(2, 64, 32), conv=None, fc=None, y=torch.zeros(2, 5))
    with pytest.raises(UserError, match=r"\(64, 32\), which would be 64 units at each of 32 places: transformers"):
        encoders.shapes_of(Returns(tokens), (3, 8, 8))
    line = tokens._replace(local=torch.zeros(2, 32, 64, 1))
    assert encoders.shapes_of(Returns(line), (3, 8, 8)).local == (32, 64, 1)
    assert encoders.shapes_of(Returns(tokens), (3, 256)).local == (64, 32)  # of a sequence it is a map


def test_the_facts_of_an_encoder_of_another_type() -> None:
    encoder = encoders.build("dcgan", (1, 16, 16), width=2, fc=4, y=3).double()
    assert Facts.of(encoder, (1, 16, 16)).shapes.y == (3,)


@pytest.mark.usefixtures("any_shape")
@pytest.mark.parametrize(
    ("made", "says"),
    [
        ({"y": lambda y: y[:, 0]}, r"y of the encoder has shape \(2,\) for 2 images: return \(2, units\)"),
        ({"y": lambda y: y.mean(0, keepdim=True)}, r"y of the encoder has shape \(1, 3\) for 2 images"),
        ({"y": lambda y: None}, "y of the encoder is NoneType: return a tensor of floats"),
        ({"fc": lambda y: y.tolist()}, "fc of the encoder is list"),
        ({"conv": lambda y: y.long()}, r"conv of the encoder is torch.int64: return a tensor of floats"),
        ({"local": lambda y: None}, "local of the encoder is NoneType"),
    ],
)
def test_levels_that_an_encoder_cannot_have_are_told(made: dict, says: str) -> None:
    class Own(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> Features:
            y = images.mean((2, 3))
            levels = {"local": images, "conv": None, "fc": None, "y": y}
            return Features(**levels | {level: make(y) for level, make in made.items()})

    with pytest.raises(UserError, match=says):
        encoders.shapes_of(Own(), (3, 4, 4))
