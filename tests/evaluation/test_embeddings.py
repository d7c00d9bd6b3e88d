from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from planted import Flat, images, make_encoder
from pyarrow import parquet

from deepinfomax.data.channels import Channels
from deepinfomax.data.images import ImageSet, normalise
from deepinfomax.encoders import build, wrap
from deepinfomax.encoders.standardised import Standardised
from deepinfomax.errors import UserError
from deepinfomax.evaluation.embeddings import Embeddings, checked, embed, read_embeddings, write_embeddings


def test_embeddings_are_the_encoders_one_image_at_a_time() -> None:
    encoder, data = make_encoder()(), images(11)
    found = embed(encoder, data, levels=("conv", "fc", "y", "local"), batch_size=4)
    encoder.eval()
    for i in range(len(data)):
        features = encoder(normalise(data.images[i : i + 1]))
        for level, vectors in found.items():
            torch.testing.assert_close(vectors[i], getattr(features, level).detach().flatten(), atol=1e-5, rtol=1e-5)
    assert {k: v.dtype for k, v in found.items()} == dict.fromkeys(found, torch.float32)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_an_encoder_of_another_precision_embeds_too(kind: torch.dtype) -> None:
    encoder, data = make_encoder()(), images(7)
    expected = embed(encoder, data)["y"]
    found = embed(encoder.to(kind), data)["y"]
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0.02)


def test_probes_can_train_on_embeddings() -> None:
    y = embed(make_encoder()(), images(4), levels=("y",))["y"]
    weight = torch.ones(6, 1, requires_grad=True)
    (y @ weight).sum().backward()  # tensors of inference mode would refuse
    assert weight.grad is not None


def test_arrays_and_memory_maps_embed_alike(tmp_path: Path) -> None:
    encoder, data = make_encoder()(), images(9)
    np.save(tmp_path / "images.npy", data.images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    expected = embed(encoder, data)["y"]
    assert torch.equal(embed(encoder, mapped)["y"], expected)
    assert torch.equal(embed(encoder, torch.from_numpy(data.images))["y"], expected)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_features_that_are_not_finite_are_named(value: float) -> None:
    encoder = Flat()
    torch.nn.init.constant_(encoder.weight, value)
    with pytest.raises(UserError, match=r"level y of the encoder is not finite .* 5 of 5 rows"):
        embed(encoder, images(5), levels=("y",))


def test_unknown_levels_and_no_images() -> None:
    with pytest.raises(UserError, match="unknown level 'top'; choose of conv, fc, y"):
        embed(Flat(), images(5), levels=("top",))
    with pytest.raises(UserError, match="no images"):
        embed(Flat(), images(5).take(slice(0, 0)))


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_images_that_are_not_finite_are_told_and_not_the_encoder(kind: Any) -> None:
    pixels = np.zeros((4, 3, 16, 16), np.float32)
    pixels[2, 0, 0, 0] = np.nan
    with pytest.raises(UserError, match="images: 1 of 4 images have pixels that are NaN or infinite, first: number 2"):
        embed(make_encoder()(), kind(pixels))


def test_images_of_a_shape_that_the_encoder_cannot_take_are_refused() -> None:
    with pytest.raises(UserError, match="the encoder cannot take images of 16x16x3: "):
        embed(make_encoder()(), np.zeros((4, 16, 16, 3), np.uint8))


@pytest.mark.usefixtures("any_shape")
def test_one_image_grey_ones_and_a_path_are_told_how_to_be_given() -> None:
    pixels, encoder = np.zeros((16, 16, 3), np.uint8), make_encoder()()
    with pytest.raises(
        UserError, match=r"give picture\.transpose\(2, 0, 1\)\[None\], for grey ones .* images\[:, None\]"
    ):
        embed(encoder, pixels)
    assert len(embed(encoder, pixels.transpose(2, 0, 1)[None])["y"]) == 1
    with pytest.raises(UserError, match=r"cannot take images of 3x64: .* to have 2 channels, but got 3"):
        embed(build("sequence", (2, 64)), torch.zeros(5, 3, 64))
    with pytest.raises(UserError, match=r"give deepinfomax\.data\.load\('cats'\)"):
        embed(encoder, "cats")
    with pytest.raises(UserError, match="batch_size must be 1 or more, not 0"):
        embed(encoder, images(5), batch_size=0)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_csv_has_a_column_for_each_unit(tmp_path: Path, separator: str) -> None:
    rows = ["id,a,b,label,split", "7,1.5,2.5,cat,train", "8,3.5,4.5,dog,test", ",,,,"]
    text = "\n".join(rows).replace(",", separator)
    (tmp_path / "e.csv").write_text(text if separator == "," else text.replace(".", ","))
    found = read_embeddings(tmp_path / "e.csv")
    np.testing.assert_array_equal(found.vectors, [[1.5, 2.5], [3.5, 4.5]])
    assert found.labels is not None
    assert found.labels.tolist() == ["cat", "dog"]
    assert found.split is not None
    assert found.split.tolist() == ["train", "test"]
    assert found.notes == ("left out of the embeddings, as columns that are no units: id",)


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".parquet"])
@pytest.mark.parametrize("kind", ["none", "classes", "attributes"])
def test_files_give_back_what_was_written(tmp_path: Path, suffix: str, kind: str) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(7, 3)).astype(np.float32)
    labels = {"none": None, "classes": rng.integers(0, 3, 7), "attributes": rng.integers(0, 2, (7, 4))}[kind]
    path = tmp_path / "deep" / f"y{suffix}"
    write_embeddings(path, vectors, labels, [f"{i}.png" for i in range(7)])
    found = read_embeddings(path)
    np.testing.assert_array_equal(found.vectors, vectors)
    if labels is None:
        assert found.labels is None
    else:
        np.testing.assert_array_equal(found.labels, labels)
    assert found.split is None
    assert [p.name for p in path.parent.iterdir() if "partial" in p.name] == []


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".parquet"])
def test_classes_are_written_by_their_names(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"y{suffix}"
    write_embeddings(path, np.eye(3), np.array([1, -1, 0]), list("abc"), ["high dose", "µM"])
    if suffix == ".npy":
        found = (tmp_path / "y.classes.txt").read_text(encoding="utf-8").splitlines()
    elif suffix == ".npz":
        found = np.load(path)["class"].tolist()
    else:
        found = parquet.read_table(path)["class"].to_pylist()
    assert found == ["µM", "", "high dose"]
    again = read_embeddings(path)
    assert again.labels is not None
    assert again.labels.tolist() == [1, -1, 0]
    assert again.notes == ()
    write_embeddings(path, np.eye(3))
    assert not (tmp_path / "y.classes.txt").exists()


def test_files_of_others(tmp_path: Path) -> None:
    vectors = np.arange(12.0).reshape(4, 3)
    parquet.write_table(
        pa.table({"unit_0": vectors[:, 0], "unit_1": vectors[:, 1], "unit_2": vectors[:, 2], "label": list("abca")}),
        tmp_path / "columns.parquet",
    )
    found = read_embeddings(tmp_path / "columns.parquet")
    np.testing.assert_array_equal(found.vectors, vectors)
    assert found.labels is not None
    assert found.labels.tolist() == list("abca")
    parquet.write_table(
        pa.table({"vector": pa.array(vectors.tolist()), "split": ["train", "train", "test", "test"]}),
        tmp_path / "lists.parquet",
    )
    found = read_embeddings(tmp_path / "lists.parquet")
    np.testing.assert_array_equal(found.vectors, vectors)
    assert found.split is not None
    assert found.split.tolist() == ["train", "train", "test", "test"]
    np.savez(tmp_path / "other.npz", features=vectors, labels=np.arange(4))
    assert read_embeddings(tmp_path / "other.npz").vectors.shape == (4, 3)


def test_a_table_keeps_its_ids_and_targets_out_of_the_vectors(tmp_path: Path) -> None:
    vectors, other = np.arange(8.0).reshape(4, 2), np.arange(4)
    columns = {"id": other, "unit_0": vectors[:, 0], "Target": other, "unit_1": vectors[:, 1], "label": other}
    parquet.write_table(pa.table(columns), tmp_path / "wide.parquet")
    found = read_embeddings(tmp_path / "wide.parquet")
    np.testing.assert_array_equal(found.vectors, vectors)
    assert found.notes == ("left out of the embeddings, as columns that are no units: id, Target",)


def test_columns_of_any_numbers_are_units_and_others_are_named(tmp_path: Path) -> None:
    columns = {
        "a": pa.array([0.5, 1.5]),
        "b": pa.array([True, False]),
        "c": pa.array([Decimal("1.25"), Decimal("2.5")]),
        "d": pa.array([3, 4]),
        "file": pa.array(["x.png", "y.png"]),
        "label": pa.array(["ash", "elm"]),
    }
    parquet.write_table(pa.table(columns), tmp_path / "wide.parquet")
    found = read_embeddings(tmp_path / "wide.parquet")
    np.testing.assert_array_equal(found.vectors, [[0.5, 1, 1.25, 3], [1.5, 0, 2.5, 4]])
    remove = "take them out of the file if they number rows or groups"
    assert found.notes == (
        "left out of the embeddings, as columns that are no units: file",
        f"columns of whole numbers are units too: d; {remove}",
    )


def test_a_csv_of_pandas_keeps_its_index_and_its_ids_out_of_the_vectors(tmp_path: Path) -> None:
    rows = [",a,b,label,Sample_ID", "0,1.5,2.5,cat,0007", "1,3.5,4.5,dog,0008"]
    (tmp_path / "e.csv").write_text("\n".join(rows))
    found = read_embeddings(tmp_path / "e.csv")
    np.testing.assert_array_equal(found.vectors, [[1.5, 2.5], [3.5, 4.5]])
    no_units = "column 1 (without a name), Sample_ID"
    assert found.notes == (f"left out of the embeddings, as columns that are no units: {no_units}",)


@pytest.mark.parametrize("vectors", [1e6 + 1e-2 * np.arange(12.0).reshape(4, 3), 1e-50 * np.arange(12.0).reshape(4, 3)])
def test_what_float32_cannot_tell_is_noted(vectors: np.ndarray) -> None:
    found = checked(Embeddings(vectors), "embeddings")
    assert found.notes == (
        "3 units differ from row to row by less than float32 can tell: subtract their means, and scale them up",
    )
    assert checked(Embeddings(np.arange(12.0).reshape(4, 3) / 7 - 5), "embeddings").notes == ()


def test_arrays_of_any_kind() -> None:
    plain = np.arange(12.0, dtype=np.float32).reshape(4, 3)
    labels = np.arange(4)
    for vectors in (torch.from_numpy(plain).bfloat16(), plain.astype(">f8"), plain.astype(np.float16), plain.tolist()):
        found = checked(Embeddings(vectors, labels.astype(">i4")), "embeddings")  # type: ignore[arg-type]
        np.testing.assert_array_equal(found.vectors, plain)
        torch.from_numpy(found.labels)  # which takes the machine's own order of bytes alone
    words = np.array(["ash", float("nan"), "elm", None], dtype=object)
    assert checked(Embeddings(plain, words), "embeddings").labels[0] == "ash"
    for masked in ({"vectors": np.ma.masked_less(plain, 3)}, {"labels": np.ma.masked_less(labels, 1)}):
        with pytest.raises(UserError, match=r"of embeddings have masked values; leave those rows out"):
            checked(Embeddings(plain, labels)._replace(**masked), "embeddings")


def test_a_module_that_gives_no_levels_is_to_be_wrapped() -> None:
    with pytest.raises(UserError, match=r"the encoder returns Tensor, not conv, fc and y: name its layers by .*wrap"):
        embed(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 256, 4)), images(3))


def test_damaged_labels_beside_vectors_are_named(tmp_path: Path) -> None:
    write_embeddings(tmp_path / "d.npy", np.zeros((4, 3)), np.arange(4))
    (tmp_path / "d.labels.npy").write_bytes(b"no")
    with pytest.raises(UserError, match=r"cannot read \S*d\.labels\.npy"):
        read_embeddings(tmp_path / "d.npy")


def test_mistakes_in_files_are_one_line(tmp_path: Path) -> None:
    vectors = np.zeros((4, 3), np.float32)
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "flat.npy", np.zeros(4))
    np.savez(tmp_path / "short.npz", embedding=vectors, label=np.zeros(3))
    np.savez(tmp_path / "two.npz", a=vectors, b=vectors)
    np.save(tmp_path / "nan.npy", vectors + np.nan)
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1 no")
    parquet.write_table(pa.table({"embedding": [[1.0], [1.0, 2.0], [3.0]]}), tmp_path / "ragged.parquet")
    parquet.write_table(pa.table({"embedding": [[1.0] * 5, [2.0] * 7]}), tmp_path / "shifted.parquet")
    np.save(tmp_path / "empty.npy", vectors[:0])
    parquet.write_table(pa.table({"word": ["a"]}), tmp_path / "words.parquet")
    for name, says in {
        "missing.npy": "does not exist",
        "objects.npy": "cannot read",  # a pickle is never loaded
        "flat.npy": r"embeddings are numbers \(N, units\)",
        "short.npz": "3 values of label for 4 embeddings",
        "two.npz": "call the array of vectors `embedding`",
        "nan.npy": "not finite",
        "damaged.parquet": "cannot read",
        "ragged.parquet": "not vectors of one length|cannot read",
        "shifted.parquet": "not vectors of one length",  # two rows of 6 have as many values
        "empty.npy": r"holds no embeddings: its shape is \(0, 3\)",
        "words.parquet": "call the list column `embedding`",
    }.items():
        with pytest.raises(UserError, match=says) as raised:
            read_embeddings(tmp_path / name)
        assert "\n" not in str(raised.value)
    (tmp_path / "text.txt").write_text("1")
    with pytest.raises(UserError, match="must end in"):
        read_embeddings(tmp_path / "text.txt")
    with pytest.raises(UserError, match="must end in"):
        write_embeddings(tmp_path / "y.csv", vectors)
    with pytest.raises(UserError, match="3 labels for 4"):
        write_embeddings(tmp_path / "y.npy", vectors, np.zeros(3))


class OwnScale(torch.nn.Sequential):
    def __init__(self) -> None:
        super().__init__(torch.nn.Conv2d(3, 4, 4, 4), torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3)))


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_pictures_on_a_scale_from_0_to_1_are_told(kind: Any) -> None:
    encoder, pixels = build("dcgan", (3, 16, 16), width=2, fc=4, y=3).eval(), images(5).images
    floats = pixels.astype(np.float32) / pixels.max()
    with pytest.warns(UserWarning, match=r"^images are floats from 0 to 1, .*, or 2 \* images - 1$"):
        embed(encoder, kind(floats))
    with pytest.warns(UserWarning, match=r"^images are floats from 0 to 255, .*, or images / 127.5 - 1$"):
        embed(encoder, kind(255 * floats))
    embed(encoder, kind(pixels))  # warns of nothing, as the others below
    embed(encoder, kind(2 * floats - 1))
    embed(Standardised(encoder, Channels.of(ImageSet(floats))), kind(floats))
    embed(wrap(OwnScale(), local="0", conv="0", fc="1", y="1"), kind(floats))
