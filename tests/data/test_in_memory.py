import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from deepinfomax.data import from_array, load
from deepinfomax.errors import UserError

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 3, 6, 7), dtype=np.uint8)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (PIXELS, PIXELS),
        (PIXELS.transpose(0, 2, 3, 1), PIXELS),
        (PIXELS[:, 0], PIXELS[:, :1]),
        (PIXELS[:, :1], PIXELS[:, :1]),
        (PIXELS.astype(np.float32) / 255, PIXELS),
        (PIXELS.astype(np.float64) / 255, PIXELS),
        (PIXELS[:, 0] > 127, np.where(PIXELS[:, :1] > 127, 255, 0)),
    ],
    ids=["nchw", "nhwc", "grey", "grey channel", "float32", "float64", "bool"],
)
def test_npy(tmp_path: Path, array: np.ndarray, expected: np.ndarray):
    np.save(tmp_path / "x.npy", array)
    images = load(tmp_path / "x.npy")
    assert images.images.dtype == np.uint8
    np.testing.assert_array_equal(images.images, expected)
    assert images.labels is None


def test_uint8_npy_is_memory_mapped_and_nothing_is_cached(tmp_path: Path):
    np.save(tmp_path / "x.npy", PIXELS)
    images = load(tmp_path / "x.npy", cache_dir=tmp_path / "cache")
    assert isinstance(images.images, np.memmap)
    assert not (tmp_path / "cache").exists()


def test_rgba_arrays_are_composited_on_white():
    rgba = np.random.default_rng(1).integers(0, 256, (2, 4, 5, 4), dtype=np.uint8)
    images = from_array(rgba)
    for n, row, column, channel in np.ndindex(2, 4, 5, 3):
        alpha = rgba[n, row, column, 3] / 255
        expected = alpha * rgba[n, row, column, channel] + (1 - alpha) * 255
        assert abs(images.images[n, channel, row, column] - expected) <= 0.51
    assert images.notes == ("2 images have an alpha channel: composited on white",)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(5, np.uint8), r"has shape \(5,\), which holds nothing to learn from: series are \(N, T\)"),
        (np.zeros((5, 2, 2, 2, 2, 2)), "has items of shape 2x2x2x2x2, which fits nothing"),
        (np.zeros((5, 9, 9, 9, 9)), "has volumes of shape 9x9x9x9, which does not show where the channels are"),
        (np.zeros((0, 6, 6), np.uint8), r"has shape \(0, 6, 6\), which holds nothing"),
        (np.full((5, 6, 6), np.nan), "channel 0 has no value at all, every one is NaN: leave it out"),
        (np.full((5, 6, 6), -np.inf), "180 of 180 values are infinite, first in number 0"),
        (np.zeros((5, 6, 6), complex), "holds complex128, no real numbers; give real and imaginary parts as two"),
    ],
)
def test_arrays_that_are_no_images(tmp_path: Path, array: np.ndarray, message: str):
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(UserError, match=message) as error:
        load(tmp_path / "x.npy")
    assert "\n" not in str(error.value)


def test_a_pickle_is_never_loaded(tmp_path: Path):
    class Opened:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "opened",))

    np.save(tmp_path / "x.npy", np.array([Opened()], dtype=object), allow_pickle=True)
    (tmp_path / "y.npy").write_bytes(pickle.dumps(Opened()))
    np.savez(tmp_path / "z.npz", images=np.array([Opened()], dtype=object))
    for name in ("x.npy", "y.npy", "z.npz"):
        with pytest.raises(UserError, match="cannot be read"):
            load(tmp_path / name)
    assert not (tmp_path / "opened").exists()


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
def test_a_file_that_is_no_array(tmp_path: Path, name: str):
    (tmp_path / name).write_text("words")
    with pytest.raises(UserError, match="cannot be read as a NumPy array"):
        load(tmp_path / name)
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(UserError, match="cannot be read as a NumPy array"):
        load(tmp_path / name)


@pytest.mark.parametrize("keys", [("images", "labels"), ("x", "y"), ("X", "Y")])
def test_npz(tmp_path: Path, keys: tuple[str, str]):
    np.savez(tmp_path / "x.npz", **{keys[0]: PIXELS, keys[1]: np.arange(5)[:, None]})
    images = load(tmp_path / "x.npz")
    np.testing.assert_array_equal(images.images, PIXELS)
    np.testing.assert_array_equal(images.labels, np.arange(5))


@pytest.mark.parametrize("style", ["x_{}/y_{}", "{}_images/{}_labels", "images_{}/labels_{}"])
@pytest.mark.parametrize("test_name", ["test", "val"])
def test_npz_with_parts(tmp_path: Path, style: str, test_name: str):
    image, label = style.split("/")
    content = {
        image.format("train"): PIXELS[:3],
        label.format("train"): np.array(["b", "a", "c"]),
        image.format(test_name): PIXELS[3:],
        label.format(test_name): np.array(["c", "c"]),
    }
    np.savez(tmp_path / "x.npz", **content)
    train, test = load(tmp_path / "x.npz"), load(tmp_path / "x.npz", "test")
    np.testing.assert_array_equal(train.images, PIXELS[:3])
    np.testing.assert_array_equal(test.images, PIXELS[3:])
    np.testing.assert_array_equal(train.labels, [1, 0, 2])
    np.testing.assert_array_equal(test.labels, [2, 2])
    assert train.classes == ("a", "b", "c")


def test_quantities_in_a_file_of_arrays_are_no_classes(tmp_path: Path):
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(0).normal(size=(6, 40)), y=np.arange(6) / 3)
    images = load(tmp_path / "x.npz")
    assert (images.shape, images.labels, images.classes) == ((1, 40), None, ())
    assert images.notes[0].startswith("array y holds numbers with fractions, no classes: read without labels")


def test_npz_with_class_names(tmp_path: Path):
    np.savez(tmp_path / "x.npz", images=PIXELS, labels=[0, 1, 1, 0, 2], classes=["cat", "dog", "fox"])
    assert load(tmp_path / "x.npz").classes == ("cat", "dog", "fox")


def test_labels_of_the_wrong_length(tmp_path: Path):
    np.savez(tmp_path / "x.npz", images=PIXELS, labels=np.arange(4))
    with pytest.raises(UserError, match="holds 5 images but 4 labels"):
        load(tmp_path / "x.npz")


def test_arrays_without_a_part_beside_a_test_part_are_the_training_part(tmp_path: Path):
    np.savez(tmp_path / "x.npz", x=PIXELS, y=np.arange(5) % 2, x_test=PIXELS[:2], y_test=[1, 0])
    for part, labels in (("train", [0, 1, 0, 1, 0]), ("test", [1, 0])):
        images = load(tmp_path / "x.npz", part)
        assert (images.labels.tolist(), images.notes) == (labels, ())


def test_names_of_classes_without_labels_are_told(tmp_path: Path):
    np.savez(tmp_path / "x.npz", images=PIXELS, classes=["cat", "dog"])
    assert load(tmp_path / "x.npz").notes == ("arrays not used: classes",)


def test_npz_without_arrays(tmp_path: Path):
    np.savez(tmp_path / "x.npz")
    with pytest.raises(UserError, match=r"holds no arrays$"):
        load(tmp_path / "x.npz")


def test_npz_without_images(tmp_path: Path):
    np.savez(tmp_path / "x.npz", pictures=PIXELS)
    with pytest.raises(UserError, match=r"holds the arrays pictures; one must be called images or x .*data\.image$"):
        load(tmp_path / "x.npz")


@pytest.mark.parametrize(("size", "channels", "shape"), [(4, None, (3, 4, 4)), (None, 1, (1, 6, 7)), (9, 1, (1, 9, 9))])
def test_size_and_channels_of_arrays(tmp_path: Path, size: int | None, channels: int | None, shape: tuple[int, ...]):
    np.save(tmp_path / "x.npy", PIXELS)
    assert load(tmp_path / "x.npy", size=size, channels=channels).shape == shape


def test_arrays_in_memory_with_words_as_labels():
    images = from_array(PIXELS, labels=["b", "a", "b", "a", ""], name="mine")
    np.testing.assert_array_equal(images.labels, [1, 0, 1, 0, -1])
    assert (images.classes, images.name) == (("a", "b"), "mine")


def test_masked_pixels_in_memory():
    with pytest.raises(UserError, match="mine: 5 of 5 images have masked pixels"):
        from_array(np.ma.masked_less(PIXELS, 9), name="mine")
    images = from_array(PIXELS, labels=np.ma.array([0, 1, 0, 1, 1], mask=[0, 0, 0, 1, 0]))
    np.testing.assert_array_equal(images.labels, [0, 1, 0, -1, 1])


def test_booleans_that_are_kept_are_no_pictures_and_bytes_have_one_kind():
    values = np.random.default_rng(0).integers(0, 2, (20, 16, 16)).astype(bool)
    kept = from_array(values, values="kept")
    assert not kept.pictures
    np.testing.assert_array_equal(kept.images[:, 0], values)
    assert from_array(values).pictures
    assert from_array(values).images.max() == 255
    with pytest.raises(UserError, match=r"data\.values bytes are pictures, and data\.kind says series"):
        from_array(np.zeros((20, 3, 40), np.uint8), values="bytes", kind="series")


def test_class_names_in_memory():
    assert from_array(PIXELS, [0, 1, 0, 1, 1], np.array(["a", "b"])).classes == ("a", "b")
    with pytest.raises(UserError, match="classes must be a list of names"):
        from_array(PIXELS, [0, 1, 0, 1, 1], "ab")


@pytest.mark.parametrize("content", [{"labels": 3}, {"labels": np.arange(5), "classes": "a"}])
def test_npz_with_a_single_number_or_word(tmp_path: Path, content: dict[str, object]):
    np.savez(tmp_path / "x.npz", images=PIXELS, **content)
    with pytest.raises(UserError, match=r"x\.npz: (labels must be one number|classes must be a list)"):
        load(tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 0}, "size must be at least 1 pixel, not 0"),
        ({"channels": 0}, "channels must be 1 or 3, not 0"),
        ({"size": 1_000_000}, r"images of 1000000 pixels take 15,000\.0 GB of memory, .* GB are free; set data\.size"),
    ],
)
def test_impossible_sizes_and_channels(tmp_path: Path, settings: dict[str, int], message: str):
    np.save(tmp_path / "x.npy", PIXELS)
    with pytest.raises(UserError, match=message):
        load(tmp_path / "x.npy", **settings)


def test_a_damaged_npy(tmp_path: Path):
    np.save(tmp_path / "x.npy", PIXELS)
    content = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(content.replace(b"), }", b"(((("))
    with pytest.raises(UserError, match=r"x\.npy cannot be read as a NumPy array: .+$"):
        load(tmp_path / "x.npy")


def test_a_damaged_npz(tmp_path: Path):
    np.savez_compressed(tmp_path / "x.npz", images=PIXELS)
    content = bytearray((tmp_path / "x.npz").read_bytes())
    content[60:80] = b"\xff" * 20  # the first block of the deflated array
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(
        UserError, match=r"x\.npz: images cannot be read as an array: .+; copy it here again, or save it anew$"
    ):
        load(tmp_path / "x.npz")


def test_npy_and_npz_under_each_other_s_name(tmp_path: Path):
    np.save(tmp_path / "one.npy", PIXELS)
    np.savez(tmp_path / "many.npz", images=PIXELS)
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    (tmp_path / "many.npz").rename(tmp_path / "many.npy")
    with pytest.raises(UserError, match=r"one\.npz holds a single array: call it one\.npy"):
        load(tmp_path / "one.npz")
    with pytest.raises(UserError, match=r"many\.npy holds several arrays: call it many\.npz"):
        load(tmp_path / "many.npy")


def test_digits():
    train, test = load("digits"), load("digits", "test")
    assert train.images.shape == (1500, 1, 8, 8)
    assert test.images.shape == (297, 1, 8, 8)
    assert train.images.max() == 255
    assert train.classes == tuple("0123456789")
    assert load("digits", size=16).shape == (1, 16, 16)


@pytest.mark.parametrize("shape", ["(9999999999999999999999, 3, 32, 32)", "(-24, 3, 4, 4)", "(True, 3, 4, 4)"])
def test_headers_that_numpy_answers_with_errors_of_its_own(tmp_path: Path, shape: str):
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (63 - (10 + len(header)) % 64) + b"\n"
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + b"x" * 2000)
    with pytest.raises(UserError, match="cannot be read as a NumPy array") as error:
        load(tmp_path / "x.npy")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("member", ["images.npy", "images"])
def test_members_that_are_no_arrays(tmp_path: Path, member: str):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as content:
        content.writestr(member, b"not an array")
    with pytest.raises(UserError, match=r"images (is no array|cannot be read)"):
        load(tmp_path / "x.npz")


def test_npz_names_its_arrays_and_says_what_is_not_used(tmp_path: Path):
    pixels = np.full((3, 4, 4), 200, np.uint8)
    np.savez(tmp_path / "x.npz", images=pixels, scans=255 - pixels, labels=[b"b", b"", b"a"], age=[1, 2, 3])
    images = load(tmp_path / "x.npz")
    assert (images.classes, images.labels.tolist()) == (("a", "b"), [1, -1, 0])
    assert images.notes == ("arrays not used: scans, age",)
    images = load(tmp_path / "x.npz", image="scans", label="age")
    assert (images.classes, images.images.max()) == (("1", "2", "3"), 55)
    with pytest.raises(UserError, match=r"has no array weight \(data\.label\)"):
        load(tmp_path / "x.npz", label="weight")


def test_no_labels_for_some_images(tmp_path: Path):
    np.savez(tmp_path / "x.npz", images=np.full((3, 4, 4), 200, np.uint8), labels=np.array([], int))
    with pytest.raises(UserError, match="holds 3 images but 0 labels"):
        load(tmp_path / "x.npz")


def test_parts_of_two_scales_are_not_put_together(tmp_path: Path):
    pixels = np.random.default_rng(0).integers(16, 256, (4, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "x.npz", x_train=pixels, x_test=(pixels / 255).astype(np.float32))
    with pytest.raises(UserError, match="parts of uint8 and float32, of two scales"):
        load(tmp_path / "x.npz", "train+test")


def test_parts_whose_whole_numbers_no_common_type_holds_say_so(tmp_path: Path):
    numbers = np.full((4, 2, 16), 2**53 + 1, np.uint64)
    np.savez(tmp_path / "x.npz", x_train=numbers, x_test=-numbers.astype(np.int64))
    note = "some whole numbers are beyond 2^53, where float64 rounds them"
    assert note in load(tmp_path / "x.npz", "train+test").notes
    assert note not in load(tmp_path / "x.npz", "train").notes
