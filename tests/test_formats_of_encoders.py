"""Encoders in other formats give what torch gives, to a hundred-thousandth."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from command import mistake
from deepinfomax import encoders, load
from deepinfomax.encoders import storage
from deepinfomax.export import export

ARCHITECTURES = {
    "dcgan": {"width": 8, "fc": 32, "y": 16},
    "resnet18": {"width": 8, "y": 16},
    "strided": {"width": 8, "fc": 32, "y": 16},
}


@pytest.fixture(scope="module", params=ARCHITECTURES)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    name, arguments = request.param, ARCHITECTURES[request.param]
    torch.manual_seed(0)
    encoder = encoders.build(name, (3, 32, 32), **arguments)
    encoder.train()(torch.randn(8, 3, 32, 32))  # running averages that are not those of the beginning
    folder = tmp_path_factory.mktemp(name)
    storage.save(encoder, folder, name=name, image_shape=(3, 32, 32), **arguments)
    return folder


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1


def of_torch(run: Path, images: torch.Tensor) -> list[torch.Tensor]:
    with torch.no_grad():
        features = load(run)(images)
    return [features.y, features.fc, features.conv]


def test_a_program_of_torch_export(run: Path, images: torch.Tensor) -> None:
    file = Path(export(run, "pt2")["pt2"])
    about = {"deepinfomax.json": ""}
    program = torch.export.load(file, extra_files=about).module()
    assert "bytes * scale + shift" in about["deepinfomax.json"]
    for made, wanted in zip(program(images), of_torch(run, images), strict=True):
        torch.testing.assert_close(made, wanted, atol=1e-5, rtol=1e-5)
    assert len(program(images[:1])[0]) == 1


def network() -> nn.Module:
    """One of somebody's own, without an fc."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 4, 2),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.Conv2d(8, 16, 4, 2),
        nn.Flatten(),
        nn.Linear(576, 6),
    )


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    encoder = encoders.wrap(network(), local="0", conv="3", y="5")
    encoder.train()(torch.randn(8, 3, 32, 32))
    folder = tmp_path_factory.mktemp("own")
    storage.save(encoder, folder, name="wrapped", image_shape=(3, 32, 32))
    return folder


@pytest.mark.parametrize("format", ["onnx", "pt2"])
def test_a_network_of_ones_own_and_the_levels_it_has(
    own: Path, images: torch.Tensor, format: str, capsys: pytest.CaptureFixture
) -> None:
    said = mistake(capsys, "export", str(own), "--format", format)
    assert "holds a network of your own, which only its code can rebuild: in Python, `from deepinfomax" in said
    assert f"export('{own}', '{format}', module=your_network)" in said
    module = encoders.wrap(network(), local="0", conv="3", y="5")
    file = export(own, format, module=module)[format]
    with torch.no_grad():
        wanted = module.eval()(images)
    if format == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        made = dict(
            zip(
                [output.name for output in session.get_outputs()],
                session.run(None, {"images": images.numpy()}),
                strict=True,
            )
        )
    else:
        about = {"deepinfomax.json": ""}
        y, conv = torch.export.load(file, extra_files=about).module()(images)
        assert "y: the representation; conv: the layers before it" in about["deepinfomax.json"]
        made = {"y": y.detach().numpy(), "conv": conv.detach().numpy()}
    assert set(made) == {"y", "conv"}
    for level, values in made.items():
        np.testing.assert_allclose(values, getattr(wanted, level).numpy(), atol=1e-5, rtol=1e-5)


FULL = """
import resource, sys
from deepinfomax.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
sys.argv = ["deepinfomax", "export", *sys.argv[1:]]
main()
"""


@pytest.mark.parametrize("run", ["dcgan"], indirect=True)
def test_a_full_disk_is_a_line_and_an_earlier_program_stays(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "encoder.pt2"
    file.write_bytes(b"earlier")
    words = [sys.executable, "-c", FULL, str(run), "--format", "pt2", "--out", str(file)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == f"deepinfomax: {file}: File too large\n"
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"earlier"]


def test_onnx_in_its_own_runtime(run: Path, images: torch.Tensor) -> None:
    import onnxruntime

    file = export(run, "onnx")["onnx"]
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    for batch in (images, images[:1]):
        made = session.run(["y", "fc", "conv"], {"images": batch.numpy()})
        for one, wanted in zip(made, of_torch(run, batch), strict=True):
            np.testing.assert_allclose(one, wanted.numpy(), atol=1e-5, rtol=1e-5)
