import copy
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from deepinfomax import encoders, files
from deepinfomax.data.channels import Channels
from deepinfomax.encoders import storage
from deepinfomax.encoders.standardised import Standardised
from deepinfomax.errors import UserError

IMAGE = (3, 16, 16)


def encoder(**arguments: int) -> nn.Module:
    torch.manual_seed(0)
    built = encoders.build("dcgan", IMAGE, **({"width": 4, "fc": 8, "y": 6} | arguments))
    built.train()
    built(torch.randn(8, *IMAGE))  # BatchNorm statistics worth saving
    return built


def saved(folder: Path) -> nn.Module:
    built = encoder()
    storage.save(built, folder, name="dcgan", image_shape=IMAGE, width=4, fc=8, y=6)
    return built


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    built = saved(tmp_path)
    loaded = storage.load(tmp_path)
    assert not loaded.training
    images = torch.randn(5, *IMAGE)
    for a, b in zip(built.eval()(images), loaded(images), strict=True):
        assert torch.equal(a, b)
    assert {p.name for p in tmp_path.iterdir()} == {"encoder.safetensors", "encoder.json"}


def test_half_precision_is_of_matrices_and_kernels_alone(tmp_path: Path) -> None:
    built = encoder()
    storage.save(built, tmp_path, name="dcgan", image_shape=IMAGE, half=True, width=4, fc=8, y=6)
    kinds = {name: tensor.dtype for name, tensor in load_file(tmp_path / "encoder.safetensors").items()}
    for name, tensor in built.state_dict().items():
        expected = torch.float16 if tensor.ndim > 1 else tensor.dtype  # biases and BatchNorm keep what they have
        assert kinds[name] == expected
    loaded = storage.load(tmp_path)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    images = torch.randn(5, *IMAGE)
    torch.testing.assert_close(loaded(images).y, built.eval()(images).y, atol=2e-3, rtol=2e-3)


def test_saving_leaves_the_encoder_alone(tmp_path: Path) -> None:
    built = encoder()
    before = {k: v.clone() for k, v in built.state_dict().items()}
    storage.save(built, tmp_path, name="dcgan", image_shape=IMAGE, width=4, fc=8, y=6)
    assert built.training
    assert all(torch.equal(v, before[k]) for k, v in built.state_dict().items())


@pytest.mark.parametrize("kind", [torch.float64, torch.float16, torch.bfloat16])
def test_an_encoder_of_another_precision_comes_back_in_float32(tmp_path: Path, kind: torch.dtype) -> None:
    built = encoder().to(kind)
    storage.save(built, tmp_path, name="dcgan", image_shape=IMAGE, width=4, fc=8, y=6)
    loaded = storage.load(tmp_path)
    for a, b in zip(built.state_dict().values(), loaded.state_dict().values(), strict=True):
        assert b.dtype == (torch.float32 if a.is_floating_point() else a.dtype)
        torch.testing.assert_close(a.to(b.dtype), b)


def test_it_is_loaded_within_autocast_and_beside_another_default_type(tmp_path: Path) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        loaded = storage.load("natural-32")  # whose y is not that of bfloat16
    assert loaded.y.weight.dtype == torch.float32  # type: ignore[union-attr]
    built = saved(tmp_path)
    torch.set_default_dtype(torch.float64)
    try:
        y = storage.load(tmp_path)(torch.ones(1, *IMAGE)).y
    finally:
        torch.set_default_dtype(torch.float32)
    torch.testing.assert_close(y.float(), built.eval()(torch.ones(1, *IMAGE)).y)


def test_a_revision_is_for_the_hub(tmp_path: Path) -> None:
    saved(tmp_path)
    for folder in (tmp_path, str(tmp_path), "natural-32"):
        with pytest.raises(UserError, match=r"is not read from the hub, and has no revision 'v1'"):
            storage.load(folder, revision="v1")


def test_numbers_are_standardised_before_they_are_rounded_to_half(tmp_path: Path) -> None:
    """A mean of 70,000 is infinite in float16, and a deviation of 0.01 of a mean of 1,000 is nothing there."""
    torch.manual_seed(0)
    sequence = encoders.build("sequence", (2, 32), width=4, fc=8, y=6)
    whole = Standardised(sequence.eval(), Channels((70000.0, 1000.0), (2.0, 0.01)))
    numbers = torch.randn(4, 2, 32) * whole.sd.view(1, 2, 1) + whole.mean.view(1, 2, 1)
    y = whole(numbers).y
    for kind in (torch.float16, torch.bfloat16):
        rounded = copy.deepcopy(whole).to(kind)
        assert rounded.channels == whole.channels
        made = rounded(numbers).y
        assert made.dtype == kind
        torch.testing.assert_close(made.float(), y, atol=0.02, rtol=0.02)
    storage.save(rounded, tmp_path, name="sequence", image_shape=(2, 32), width=4, fc=8, y=6)
    torch.testing.assert_close(storage.load(tmp_path)(numbers).y, y, atol=0.02, rtol=0.02)


def test_a_wrapped_network_needs_its_module(tmp_path: Path) -> None:
    def net() -> nn.Module:
        layers = [nn.Conv2d(3, 4, 4, 2), nn.ReLU(), nn.Conv2d(4, 8, 4, 2), nn.Flatten(), nn.Linear(32, 8)]
        return encoders.wrap(nn.Sequential(*layers, nn.Linear(8, 4)), local="1", conv="2", fc="4", y="5")

    torch.manual_seed(0)
    storage.save(net(), tmp_path, name="wrapped", image_shape=IMAGE)
    with pytest.raises(UserError, match=r"pass load\(\.\.\., module=wrap"):
        storage.load(tmp_path)
    other = net()
    images = torch.randn(2, *IMAGE)
    before = other(images).y
    assert not torch.equal(storage.load(tmp_path, module=other)(images).y, before)


def test_a_run_that_was_stopped_names_the_command_that_continues_it(tmp_path: Path) -> None:
    (tmp_path / "my run").mkdir()
    (tmp_path / "my run" / files.CONFIG).touch()
    with pytest.raises(UserError, match=r"has not ended; .* deepinfomax train --out '.*my run' --resume"):
        storage.describe(tmp_path / "my run")
    with pytest.raises(UserError, match=r"no encoder\.json in .*: not a run folder$"):
        storage.describe(tmp_path)


def test_damage_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no encoder\.json"):
        storage.load(tmp_path)
    saved(tmp_path)
    description = json.loads((tmp_path / files.DESCRIPTION).read_text())

    def rewrite(**changes: object) -> None:
        (tmp_path / files.DESCRIPTION).write_text(json.dumps(description | changes))

    rewrite(arguments={"width": 8, "fc": 8, "y": 6})
    with pytest.raises(UserError, match="does not fit dcgan"):
        storage.load(tmp_path)
    rewrite(fingerprint=description["fingerprint"] | {"sha256": "0"})
    with pytest.raises(UserError, match="is not the file that"):
        storage.load(tmp_path)
    rewrite(fingerprint=description["fingerprint"] | {"y": [9.0] * 6})
    with pytest.raises(UserError, match="embeds a test image otherwise"):
        storage.load(tmp_path)
    rewrite()
    (tmp_path / files.WEIGHTS).write_bytes(b"no safetensors")
    with pytest.raises(UserError, match="cannot read"):
        storage.load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": 3}, "'architecture' has a value of the wrong type"),
        ({"arguments": [1]}, "'arguments' has a value of the wrong type"),
        ({"arguments": {"width": "wide"}}, r"its 'arguments' build no encoder: .*width must be a whole number"),
        ({"arguments": {"width": -4}}, r"its 'arguments' build no encoder: .*width must be 1 or more"),
        ({"image_shape": 16}, "'image_shape' has a value of the wrong type"),
        ({"image_shape": [3, "16", 16]}, "'image_shape' has a value of the wrong type"),
        ({"fingerprint": {}}, "'fingerprint' has a value of the wrong type"),
        ({"fingerprint": {"sha256": "0", "y": ["a"]}}, "'fingerprint' has a value of the wrong type"),
    ],
)
def test_values_of_a_wrong_type_are_one_line(tmp_path: Path, changes: dict, message: str) -> None:
    saved(tmp_path)
    file = tmp_path / files.DESCRIPTION
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    with pytest.raises(UserError, match=message) as caught:
        storage.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_description_of_other_units_or_no_text_is_one_line(tmp_path: Path) -> None:
    saved(tmp_path)
    file = tmp_path / files.DESCRIPTION
    description = json.loads(file.read_text())
    file.write_text(json.dumps(description | {"fingerprint": description["fingerprint"] | {"y": [0.0] * 3}}))
    with pytest.raises(UserError, match="embeds a test image otherwise"):
        storage.load(tmp_path)
    file.write_bytes(b"\xff\xfe{}")
    with pytest.raises(UserError, match=r"encoder\.json is damaged \('utf-8'"):
        storage.load(tmp_path)


def test_tied_weights_are_saved(tmp_path: Path) -> None:
    def net() -> nn.Module:
        first, second = nn.Linear(8, 8), nn.Linear(8, 8)
        second.weight = first.weight
        layers = [nn.Conv2d(3, 8, 16), nn.ReLU(), nn.Flatten(), first, second]
        return encoders.wrap(nn.Sequential(*layers), local="1", conv="1", fc="3", y="4")

    torch.manual_seed(0)
    built = net()
    storage.save(built, tmp_path, name="wrapped", image_shape=IMAGE)
    images = torch.randn(2, *IMAGE)
    loaded = storage.load(tmp_path, module=net())
    assert torch.equal(loaded(images).y, built.eval()(images).y)


def test_an_encoder_that_could_not_be_loaded_is_not_saved(tmp_path: Path) -> None:
    built = encoder()
    with torch.no_grad():
        built.y.bias[0] = float("nan")  # type: ignore[union-attr, operator]
    with pytest.raises(UserError, match="a y that is not finite"):
        storage.save(built, tmp_path, name="dcgan", image_shape=IMAGE, width=4, fc=8, y=6)
    assert not list(tmp_path.iterdir())


def test_whether_arguments_rebuild_an_encoder() -> None:
    built, draws = encoder(), torch.get_rng_state()
    own = {"name": "dcgan", "image_shape": IMAGE, "width": 4, "fc": 8, "y": 6}
    assert storage.rebuilds(built, **own)
    assert not storage.rebuilds(built, **(own | {"width": 8}))
    assert torch.equal(torch.get_rng_state(), draws)
    assert built.training
    with torch.no_grad():
        built.y.bias[0] = float("nan")  # type: ignore[union-attr, operator]
    assert storage.rebuilds(built, **own)
