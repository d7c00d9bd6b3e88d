"""Series, volumes and images of many bands through every command, as a person types it."""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from safetensors.numpy import load_file

import deepinfomax
import other_files
from command import exit_code, mistake, run
from deepinfomax.config import Config, Training, resolve
from deepinfomax.data import ImageSet
from deepinfomax.data.channels import Channels
from deepinfomax.encoders.standardised import Standardised
from deepinfomax.sklearn import DeepInfoMax
from deepinfomax.training import run_folder
from deepinfomax.training.building import build_game
from deepinfomax.training.loop import train

SMALL = ["encoder.width", "4", "encoder.fc", "16", "encoder.y", "8", "local.units", "8", "training.trackers", "[]"]
RNG = np.random.default_rng(0)
UNITS = {"series": (2, 40), "volumes": (16, 16, 16), "bands": (12, 16, 16)}  #: shape of an item of each file
TYPES = {"series": "float64", "volumes": "uint16", "bands": "float32"}
SHAPES = {"series": [2, 40], "volumes": [1, 16, 16, 16], "bands": [12, 16, 16]}
ENCODERS = {"series": "sequence", "volumes": "volume", "bands": "dcgan"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An .npz of each kind with labels; the channels have scales of their own."""
    folder = tmp_path_factory.mktemp("arrays")
    for name, shape in UNITS.items():
        scale = np.arange(1, shape[0] + 1).reshape(-1, *[1] * (len(shape) - 1))
        labels = np.arange(36) % 2
        values = RNG.normal(500 + 300 * labels.reshape(-1, *[1] * len(shape)), 40, (36, *shape)) * scale
        np.savez(folder / f"{name}.npz", images=values.astype(TYPES[name]), labels=labels)
    return {name: folder / f"{name}.npz" for name in UNITS}


@pytest.fixture(scope="module", params=list(UNITS))
def trained(
    request: pytest.FixtureRequest, files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, Path]:
    """Name, file and run of each kind."""
    name, out = request.param, tmp_path_factory.mktemp("runs") / request.param
    words = ["train", str(files[name]), "--scale", "smoke", "--device", "cpu", "--out", str(out), "data.holdout", "0.3"]
    assert exit_code(*words, *SMALL) == 0
    return name, files[name], out


def test_data_and_the_command_that_it_names(
    files: dict[str, Path], capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    code, out, _ = run(capsys, "data", str(files["series"]), "--json")
    told = json.loads(out)
    assert (code, told["parts"]["train"]["shape"], told["parts"]["train"]["type"]) == (0, [2, 40], "float64")
    assert told["channels"]["mean"] == pytest.approx([650, 1300], rel=0.01)
    words = told["next"][0].split()[1:]
    code, out, err = run(capsys, *words, "--out", str(tmp_path / "run"), "--scale", "smoke", *SMALL)
    assert code == 0, err


def test_what_a_run_keeps(trained: tuple[str, Path, Path]) -> None:
    name, file, out = trained
    description = json.loads((out / "encoder.json").read_text())
    assert (description["architecture"], description["image_shape"]) == (ENCODERS[name], SHAPES[name])
    config = run_folder.read_config(out)
    assert (config.encoder["name"], config.encoder["width"]) == (ENCODERS[name], 4)
    values = deepinfomax.data.load(file, holdout=0.3).images.astype(np.float64)
    weights = load_file(out / "encoder.safetensors")
    axes = (0, *range(2, values.ndim))
    np.testing.assert_allclose(weights["mean"], values.mean(axes), rtol=1e-5)
    np.testing.assert_allclose(weights["sd"], values.std(axes), rtol=1e-5)
    np.testing.assert_allclose(description["standardised"]["mean"], values.mean(axes), rtol=1e-5)


def test_explore_with_a_run_on_what_no_page_shows_says_what_to_do(
    trained: tuple[str, Path, Path], capsys: pytest.CaptureFixture
) -> None:
    _, file, out = trained
    told = mistake(capsys, "explore", str(file), "--run", str(out))
    assert "make embeddings (deepinfomax embed) and explore those, without --images" in told


def test_explore_of_deep_images_beside_a_run_on_pictures_says_what_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "deep").mkdir()
    for i in range(24):
        tifffile.imwrite(tmp_path / "deep" / f"{i}.tif", RNG.integers(0, 60000, (16, 16), np.uint16))
    np.save(tmp_path / "pictures.npy", RNG.integers(0, 256, (24, 16, 16, 3), np.uint8))
    words = ["train", str(tmp_path / "pictures.npy"), "--scale", "smoke", "--device", "cpu", *SMALL]
    assert exit_code(*words, "--out", str(tmp_path / "run")) == 0
    capsys.readouterr()
    told = mistake(capsys, "explore", str(tmp_path / "deep"), "--run", str(tmp_path / "run"))
    assert "holds uint16 of 1x16x16: explore is for pictures of 8 bits, grey or RGB, which data.values bytes" in told


def test_deep_images_with_a_table_of_labels_from_training_to_neighbours(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    rows = ["file_name,donor,dose"]
    for i in range(24):
        pages = RNG.integers(0, 4000, (3, 16, 16), np.uint16)  # alone each would be an image, here they are channels
        tifffile.imwrite(tmp_path / f"{i}.tif", pages, photometric="minisblack")
        rows.append(f"{i}.tif,{'AB'[i % 2]},{i % 3}")
    (tmp_path / "metadata.csv").write_text("\n".join(rows))
    run_of = tmp_path / "run"
    words = ["train", str(tmp_path), "--scale", "smoke", "--device", "cpu", "--out", str(run_of), *SMALL]
    assert exit_code(*words, "data.label", "donor", "data.holdout", "0.3") == 0
    capsys.readouterr()
    # The file of a query has no columns, whatever the labels of the run are.
    asked = ["neighbours", str(run_of), "--split", "train+test", "--query", str(tmp_path / "3.tif"), "--json"]
    code, said, err = run(capsys, *asked)
    assert code == 0, err
    assert json.loads(said)["queries"][0]["y"]["name"][0] == "3.tif"
    np.save(tmp_path / "others.npy", RNG.integers(0, 4000, (6, 3, 16, 16), np.uint16))
    words = ["embed", str(run_of), str(tmp_path / "others.npy"), "--out", str(tmp_path / "y.npy")]
    told = mistake(capsys, *words)
    assert "has no columns; data.image and data.label name the columns of a table: data.label none reads it" in told
    assert exit_code(*words, "data.label", "none") == 0
    words = ["evaluate", str(run_of), "--measures", "rank", "--scale", "smoke", "--device", "cpu"]
    assert exit_code(*words) == 0


def test_embed_and_load_make_the_same(
    trained: tuple[str, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    _, file, out = trained
    code, _, err = run(capsys, "embed", str(out), str(file), "--out", str(tmp_path / "y.npz"), "--split", "test")
    assert code == 0, err
    y = np.load(tmp_path / "y.npz")["embedding"]
    values = deepinfomax.data.load(file, "test", holdout=0.3).images
    encoder = deepinfomax.load(out)
    with torch.no_grad():
        by_hand = encoder(torch.from_numpy(values.astype(np.float32))).y
    np.testing.assert_allclose(y, by_hand, atol=1e-6)
    np.testing.assert_allclose(deepinfomax.embed(encoder, values)["y"], y, atol=1e-6)
    assert isinstance(encoder, Standardised)
    with torch.no_grad():  # what training saw has mean 0 and standard deviation 1
        mean, sd = (
            np.reshape(v, (1, -1, *[1] * (values.ndim - 2))) for v in (encoder.channels.mean, encoder.channels.sd)
        )
        plain = encoder.encoder(torch.from_numpy(((values - mean) / sd).astype(np.float32))).y
    np.testing.assert_allclose(y, plain, atol=1e-3)


def test_evaluate_neighbours_and_report(trained: tuple[str, Path, Path], capsys: pytest.CaptureFixture) -> None:
    name, file, out = trained
    words = ["--measures", "knn,rank", "--scale", "smoke"]
    code, said, err = run(capsys, "evaluate", str(out), *words, "--json")
    assert code == 0, err
    result = json.loads(said)
    assert result["measures"]["knn"]["y"]["accuracy"] >= 0
    assert result["controls"]["pixels"]["knn"]["accuracy"] > 0.9  # standardised, so no channel hides the others
    code, said, err = run(capsys, "neighbours", str(out), "--query", "0", "--json")
    assert code == 0, err
    found = json.loads(said)
    assert len(found["queries"][0]["y"]["index"]) == 8
    assert Path(found["sheet"]).stat().st_size > 1000
    assert run(capsys, "report", str(out))[0] == 0
    page = (out / "report.html").read_text()
    assert 'id="neighbours"' in page
    assert page.count("<image id=") >= 12
    own = deepinfomax.data.load(file, holdout=0.3).images[3:4]
    np.save(out / "one.npy", own)
    words = ["data.kind", {"series": "series", "volumes": "volumes", "bands": "images"}[name]]
    code, said, err = run(capsys, "neighbours", str(out), "--query", str(out / "one.npy"), *words, "--json")
    assert code == 0, err
    assert json.loads(said)["queries"][0]["y"]["index"][0] == 3  # itself
    np.save(out / "two.npy", np.concatenate([own, own]))
    told = mistake(capsys, "neighbours", str(out), "--query", str(out / "two.npy"), *words)
    assert "two.npy holds 2" in told


def test_export(trained: tuple[str, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    _, file, out = trained
    import onnx

    code, _, err = run(capsys, "export", str(out), "--format", "onnx", "--out", str(tmp_path / "e.onnx"))
    assert code == 0, err
    facts = {entry.key: entry.value for entry in onnx.load(tmp_path / "e.onnx").metadata_props}
    assert "standardised inside" in facts["deepinfomax.input"]
    code, _, err = run(capsys, "export", str(out), "--format", "safetensors", "--out", str(tmp_path / "copy"))
    assert code == 0, err
    values = torch.from_numpy(deepinfomax.data.load(file).images[:3].astype(np.float32))
    torch.testing.assert_close(deepinfomax.load(tmp_path / "copy")(values).y, deepinfomax.load(out)(values).y)


@pytest.mark.parametrize("trained", ["series"], indirect=True)
def test_the_other_data_of_a_run(
    files: dict[str, Path], trained: tuple[str, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    _, file, out = trained
    embed = ["embed", str(out)]
    to = ["--out", str(tmp_path / "y.npz")]
    np.save(tmp_path / "wrong.npy", RNG.normal(size=(5, 40, 2)))
    told = mistake(capsys, *embed, str(tmp_path / "wrong.npy"), *to, "data.layout", "channels-first")
    assert "series of 40x2, but" in told
    assert "their channels are on the other side: set data.layout channels-first or channels-last" in told
    assert "images of 12x16x16, but" in mistake(capsys, *embed, str(files["bands"]), *to)
    gaps = np.load(file)["images"].copy()
    gaps[0, 1, :5] = np.nan
    np.save(tmp_path / "gaps.npy", gaps)
    assert "are NaN, first in number 0: set data.missing mean" in mistake(
        capsys, *embed, str(tmp_path / "gaps.npy"), *to
    )
    code, _, err = run(capsys, *embed, str(tmp_path / "gaps.npy"), *to, "data.missing", "mean")
    assert code == 0
    assert "were NaN: the mean of their channel is in their place" in err
    whole = gaps.copy()
    whole[0, 1, :5] = deepinfomax.load(out).mean[1]  # of the training part, not of what is embedded
    by_hand = deepinfomax.embed(deepinfomax.load(out), whole)["y"]
    np.testing.assert_allclose(np.load(tmp_path / "y.npz")["embedding"][0], by_hand[0], atol=1e-5)


def test_pictures_and_numbers_are_not_mixed_up(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    np.save(tmp_path / "bytes.npy", RNG.integers(0, 256, (20, 16, 16), dtype=np.uint8))
    np.save(tmp_path / "floats.npy", RNG.normal(size=(20, 16, 16)))
    for kind, other in (("bytes", "floats"), ("floats", "bytes")):
        out = tmp_path / kind
        words = ["--out", str(out), "--scale", "smoke", "--device", "cpu", *SMALL]
        assert run(capsys, "train", str(tmp_path / f"{kind}.npy"), *words)[0] == 0
        assert ("standardised" in json.loads((out / "encoder.json").read_text())) == (kind == "floats")
        told = mistake(capsys, "embed", str(out), str(tmp_path / f"{other}.npy"), "--out", str(tmp_path / "y.npz"))
        assert f"but {out} was trained on" in told


def test_what_training_refuses(files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    def refused(file: Path, *words: str) -> str:
        return mistake(capsys, "train", str(file), "--scale", "smoke", "--out", str(tmp_path / "run"), *words)

    series = files["series"]
    assert (
        "augmentation.flip is for images (C, H, W) and volumes (C, D, H, W), not (2, 40): set it to false"
        in refused(series, "augmentation.flip", "true")
    )
    for kind in ("volumes", "bands"):
        told = refused(files[kind], "augmentation.noise", "0.1")
        assert "augmentation.noise is for series (C, T), not" in told
    assert "augmentation.flip is for images" in refused(
        series, "--recipe", "simclr", "augmentation.jitter", "0", "augmentation.grayscale", "0"
    )
    assert (
        "encoder resnet18 takes inputs of shape (C, H, W), not (2, 40): encoder.name sequence takes those"
        in refused(series, "encoder.name", "resnet18")
    )
    flat = np.load(series)["images"].copy()
    flat[:, 1] = 4
    np.save(tmp_path / "flat.npy", flat)
    assert "channel 1 of 2 is 4 everywhere in the training part; leave it out" in refused(tmp_path / "flat.npy")
    assert not (tmp_path / "run").exists()


def test_a_run_of_an_earlier_version_reads_its_arrays_as_then(tmp_path: Path) -> None:
    """It made bytes of floats in [0, 1] and standardised nothing; its configuration has no word of either."""
    config = Config(objective={"local": {}})
    lock = run_folder.create(tmp_path / "run", config)
    lock.release()
    file = tmp_path / "run" / "config.toml"
    new = ("values", "kind", "layout", "missing", "standardise")
    lines = [line for line in file.read_text().splitlines() if not line.startswith(new)]
    file.write_text("\n".join(lines))
    for read in (run_folder.read_config, run_folder.read_data_config):
        data = read(tmp_path / "run").data
        assert (data.values, data.standardise) == ("bytes", False)


def test_from_python_and_resumed(tmp_path: Path) -> None:
    series = ImageSet(RNG.normal([[5.0], [-900.0]], [[1.0], [70.0]], (32, 2, 40)))
    config = Config(
        encoder={"name": "dcgan", "width": 4, "fc": 16, "y": 8},
        objective={"local": {"units": 8}},
        training=Training(epochs=2, batch_size=16, trackers=()),
    )
    encoder = train(config, series, tmp_path / "run", device="cpu", quiet=True)
    loaded = deepinfomax.load(tmp_path / "run")
    values = torch.from_numpy(series.images)
    torch.testing.assert_close(encoder(values).y, loaded(values).y, rtol=0, atol=0)
    longer = Config(**{**vars(config), "training": Training(epochs=3, batch_size=16, trackers=())})
    again = train(longer, series, tmp_path / "run", resume=True, device="cpu", quiet=True)
    straight = train(longer, series, tmp_path / "straight", device="cpu", quiet=True)
    torch.testing.assert_close(again(values).y, straight(values).y, rtol=0, atol=0)


def test_a_network_of_your_own_on_series(tmp_path: Path) -> None:
    def own() -> torch.nn.Module:
        layers = [torch.nn.Conv1d(2, 8, 4, 2), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(8 * 19, 8)]
        return deepinfomax.wrap(torch.nn.Sequential(*layers), local="1", y="3")

    series = ImageSet(RNG.normal([[5.0], [-900.0]], [[1.0], [70.0]], (32, 2, 40)))
    config = Config(objective={"local": {"units": 8}}, training=Training(epochs=1, batch_size=16, trackers=()))
    encoder = train(config, series, tmp_path / "run", device="cpu", quiet=True, encoder=own())
    loaded = deepinfomax.load(tmp_path / "run", module=own())
    values = torch.from_numpy(series.images)
    torch.testing.assert_close(encoder(values).y, loaded(values).y, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "settings", "shape"),
    [
        ("series", {"crop": "32", "noise": "0.1", "amplitude": "0.2", "channel_drop": "0.3"}, [2, 32]),
        ("volumes", {"crop": "same", "padding": "2", "flip": "true"}, [1, 16, 16, 16]),
    ],
)
def test_a_run_with_augmentation_of_its_kind(
    name: str,
    settings: dict[str, str],
    shape: list[int],
    files: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    out = tmp_path / "run"
    words = ["--scale", "smoke", "--device", "cpu", "--out", str(out), "training.views", "2", "training.steps", "2"]
    changed = [word for key, value in settings.items() for word in (f"augmentation.{key}", value)]
    code, _, err = run(capsys, "train", str(files[name]), *words, *changed, *SMALL)
    assert code == 0, err
    assert json.loads((out / "encoder.json").read_text())["image_shape"] == shape
    code, _, err = run(capsys, "embed", str(out), str(files[name]), "--out", str(tmp_path / "y.npz"))
    assert code == 0, err
    assert np.load(tmp_path / "y.npz")["embedding"].shape == (36, 8)


DRAWING = ("ae", "vae", "beta-vae", "aae", "bigan")  #: recipes that draw their data again


@pytest.mark.parametrize("name", list(UNITS))
@pytest.mark.parametrize("recipe", DRAWING)
def test_recipes_that_draw_their_data_again(
    name: str, recipe: str, files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "run"
    words = ["--recipe", recipe, "--scale", "smoke", "--device", "cpu", "--out", str(out), "data.holdout", "0.3"]
    small = ["encoder.width", "4", "encoder.fc", "16", "encoder.y", "8", "training.steps", "2"]
    code, _, err = run(capsys, "train", str(files[name]), *words, *small, "training.trackers", "[]")
    assert code == 0, err
    with np.load(out / "generated.npz") as made:
        kinds = {"images", "reconstructions", "errors", "samples"} - ({"samples"} if recipe == "ae" else set())
        assert set(made.files) == kinds
        assert made["images"].shape == made["reconstructions"].shape
        assert all(made[kind].dtype == np.uint8 for kind in kinds - {"errors"})
        assert made["samples"].shape[1:] == made["images"].shape[1:] if "samples" in kinds else True
        errors = made["errors"]
    assert errors.shape == (16,)
    assert 0.5 < errors.mean() < 3  # standard deviations: it has learnt nothing yet, and knows the scale
    page = (out / "report.html").read_text()
    assert 'id="generated"' in page
    assert f"<span>{errors[0]:.2f}</span>" in page


def waves(shape: tuple[int, ...]) -> np.ndarray:
    """(200, *shape) float32 about 300: a wave along the last axis, its phase and height all that varies."""
    phase, height = RNG.uniform(0, 2 * np.pi, 200), RNG.uniform(10, 30, 200)
    ones = (-1, *[1] * len(shape))
    wave = np.sin(2 * np.pi * np.arange(shape[-1]) / shape[-1] + phase.reshape(ones))
    return np.broadcast_to(300 + height.reshape(ones) * wave, (200, *shape)).astype(np.float32)


@pytest.mark.parametrize("name", list(UNITS))
def test_what_is_drawn_again_comes_nearer(name: str, tmp_path: Path) -> None:
    images = ImageSet(waves(tuple(SHAPES[name])))
    config = Config(
        encoder={"name": "dcgan", "width": 4, "fc": 32, "y": 8},
        objective={"autoencoder": {"width": 8}},
        training=Training(epochs=20, steps=40, batch_size=32, lr=3e-3, log_every=1, trackers=()),
    )
    train(config, images, tmp_path / "run", device="cpu", quiet=True)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    errors = [line["autoencoder/mse"] for line in lines if "autoencoder/mse" in line]
    assert np.mean(errors[:2]) > 0.7  # of variance 1
    assert np.mean(errors[-5:]) < 0.3


def test_numbers_that_nobody_standardises_are_drawn_without_bounds_where_they_go_beyond() -> None:
    def last_layer(values: np.ndarray, channels: Channels | None) -> torch.nn.Module:
        config = resolve(Config(encoder={"name": "sequence", "width": 4}, objective={"autoencoder": {"width": 4}}))
        images = ImageSet(values)
        game = build_game(config, images.shape, images, channels=channels)
        return list(game.objectives["autoencoder"].decoder.layers)[-1]

    values = RNG.uniform(-1, 1, (8, 1, 16))
    assert isinstance(last_layer(values, None), torch.nn.Tanh)
    assert not isinstance(last_layer(5 * values, None), torch.nn.Tanh)
    assert not isinstance(last_layer(values, Channels.of(ImageSet(values))), torch.nn.Tanh)


def test_the_likeness_of_pictures_is_for_pictures(
    files: dict[str, Path], trained: tuple[str, Path, Path], capsys: pytest.CaptureFixture
) -> None:
    name, _, out = trained
    told = mistake(capsys, "evaluate", str(out), "--measures", "reconstruction", "--scale", "smoke")
    expected = {
        "bands": "reconstruction needs values in [-1, 1]",
        "series": "reconstruction compares images (channels, height, width), not items of 2x40",
        "volumes": "reconstruction compares images (channels, height, width), not items of 1x16x16x16",
    }
    assert expected[name] in told


def test_sklearn(files: dict[str, Path]) -> None:
    settings = {"encoder.width": 4, "encoder.fc": 16, "encoder.y": 8, "local.units": 8}
    values = np.load(files["series"])["images"]
    model = DeepInfoMax(scale="smoke", steps=2, device="cpu", settings=settings)
    with pytest.warns(UserWarning, match="items of shape 2x40 are taken as series"):
        y = model.fit_transform(values)
    assert y.shape == (36, 8)
    assert model.config_.encoder["name"] == "sequence"
    last = DeepInfoMax(scale="smoke", steps=2, device="cpu", settings=settings | {"data.layout": "channels-last"})
    np.testing.assert_allclose(last.fit_transform(values.transpose(0, 2, 1)), y, atol=1e-5)
    rows = DeepInfoMax(scale="smoke", steps=2, device="cpu", settings=settings, image_shape=(40,))
    assert rows.fit(values[:, 0]).image_shape_ == (1, 40)
    gaps = values[:, 0].copy()
    gaps[0, :5] = np.nan
    filling = DeepInfoMax(**rows.get_params() | {"settings": settings | {"data.missing": "mean"}})
    with pytest.warns(UserWarning, match="5 of 1,440 values, in 1 of 36, were NaN"):
        assert np.isfinite(filling.fit_transform(gaps)).all()


@pytest.mark.parametrize("name", other_files.FORMATS)
def test_every_format_is_trained_embedded_and_reported(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "data").mkdir()
    path, expected = other_files.FORMATS[name](tmp_path / "data")
    told = other_files.SETTINGS.get(name, {})
    settings = [word for key, value in told.items() for word in (f"data.{key}", str(value))]
    out, table = tmp_path / "run", tmp_path / "y.npz"
    words = ["--out", str(out), "--scale", "smoke", "--device", "cpu", "training.steps", "1", *SMALL]
    code, _, err = run(capsys, "train", str(path), *words, *settings)
    assert code == 0, err
    assert 'id="neighbours"' in (out / "report.html").read_text()
    code, _, err = run(capsys, "embed", str(out), str(path), "--out", str(table))
    assert code == 0, err
    assert np.load(table)["embedding"].shape == (len(expected), 8)
    code, said, err = run(capsys, "neighbours", str(out), "--query", "0", "--json")
    assert code == 0, err
    assert len(json.loads(said)["queries"][0]["y"]["index"]) == 8
    (out / "report.html").unlink()
    code, _, err = run(capsys, "report", str(out))
    assert code == 0, err
    assert 'id="neighbours"' in (out / "report.html").read_text()


def bad_ragged_series(folder: Path) -> list[str]:
    series = np.empty(4, object)
    series[:] = [RNG.normal(size=(2, length)) for length in (30, 30, 28, 30)]
    np.savez(folder / "x.npz", x=series)
    return [str(folder / "x.npz")]


def bad_array_of_objects(folder: Path) -> list[str]:
    np.save(folder / "x.npy", np.array([[1], [1, 2]], object))
    return [str(folder / "x.npy")]


def bad_folder_of_arrays(folder: Path) -> list[str]:
    for name, length in enumerate((30, 28)):
        np.save(folder / f"{name}.npy", RNG.normal(size=(2, length)))
    return [str(folder)]


def bad_sizes(folder: Path) -> list[str]:
    for name, width in enumerate((16, 17, 16)):
        Image.fromarray(RNG.integers(0, 256, (16, width), dtype=np.uint8)).save(folder / f"{name}.png")
    return [str(folder)]


def bad_shapes(folder: Path) -> list[str]:
    import nibabel

    for name, side in enumerate((16, 18, 16)):
        values = RNG.integers(0, 99, (side, side, side)).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder / f"{name}.nii.gz")
    return [str(folder)]


def bad_spacing(folder: Path) -> list[str]:
    import nibabel

    for name, spacing in enumerate((1, 1, 2)):
        values = RNG.integers(0, 99, (16, 16, 16)).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(values, np.diag([spacing, 1, 1, 1])), folder / f"{name}.nii.gz")
    return [str(folder)]


def bad_range(folder: Path) -> list[str]:
    np.save(folder / "x.npy", RNG.normal(0, 1000, (20, 16, 16, 3)))
    return [str(folder / "x.npy"), "data.values", "bytes"]


def bad_constant_channel(folder: Path) -> list[str]:
    series = RNG.normal(size=(20, 3, 40))
    series[:, 1] = 5
    np.save(folder / "x.npy", series)
    return [str(folder / "x.npy")]


def bad_hdf5(folder: Path) -> list[str]:
    file, _ = other_files.hdf5(folder)
    file.write_bytes(file.read_bytes()[:3000])
    return [str(file)]


def bad_tar(folder: Path) -> list[str]:
    tarfile.open(folder / "x.tar", "w").close()
    return [str(folder / "x.tar")]


def bad_tars(folder: Path) -> list[str]:
    for shard in range(2):
        tarfile.open(folder / f"{shard}.tar", "w").close()
    return [str(folder)]


@pytest.mark.parametrize(
    ("make", "says", "mend"),
    [
        (
            bad_ragged_series,
            "x.npz: x cannot be read as an array: it holds objects, as an",
            "cut or pad them to one length",
        ),
        (bad_array_of_objects, "it holds objects", "cut or pad them to one length"),
        (bad_folder_of_arrays, "it has 2 .npy", "stack them into one .npy file"),
        (bad_sizes, "images of 2 sizes", "set data.size 16"),
        (bad_shapes, "the first that differs: 1.nii.gz", "cut, pad or resample them to one shape"),
        (bad_spacing, "2.nii.gz has voxels of 2 x 1 x 1 mm", "resample all scans to one spacing"),
        (bad_range, "for bytes they must lie in [0, 1]", "data.values kept takes them as they are"),
        (
            bad_constant_channel,
            "channel 1 of 3 is 5 everywhere",
            "leave it out of the data, of an array (N, C, ...) by np.delete(x, 1, axis=1)",
        ),
        (bad_hdf5, "cannot be read as HDF5, or is cut off", "copy it here again, or save it anew"),
        (bad_tar, "x.tar holds no files: it is empty", "pack it again, or give another"),
        (bad_tars, "it has 2 .tar", "give one of them, or unpack them; empty ones hold nothing"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_bad_input_is_one_line_that_says_what_to_do(
    make: Callable[[Path], list[str]], says: str, mend: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "data").mkdir()
    words = make(tmp_path / "data")
    before = {file: file.read_bytes() for file in (tmp_path / "data").iterdir()}
    said = mistake(capsys, "train", *words, "--out", str(tmp_path / "run"), "--scale", "smoke", *SMALL)
    assert says in said
    assert mend in said
    assert not (tmp_path / "run").exists()  # mended, the same command is right
    assert {file: file.read_bytes() for file in (tmp_path / "data").iterdir()} == before


@pytest.mark.parametrize("trained", ["series"], indirect=True)
def test_channels_last_after_channels_first_is_one_line(
    trained: tuple[str, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    _, file, out = trained
    values = np.load(file)["images"]
    np.save(tmp_path / "turned.npy", values.transpose(0, 2, 1))
    words = ["embed", str(out), str(tmp_path / "turned.npy"), "--out", str(tmp_path / "y.npy")]
    said = mistake(capsys, *words, "data.kind", "series", "data.layout", "channels-first")
    assert "their channels are on the other side: set data.layout channels-first or channels-last" in said
    assert exit_code(*words, "data.layout", "channels-last") == 0
    expected = deepinfomax.embed(deepinfomax.load(out), values)["y"]
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), expected, atol=1e-6)
