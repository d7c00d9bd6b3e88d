from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepinfomax.data import load, titles
from deepinfomax.data.decoding import to_array
from deepinfomax.errors import UserError


def one_line(error: pytest.ExceptionInfo[UserError]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def test_all_grey_stays_one_channel(tmp_path: Path, draw):
    pixels = draw(tmp_path / "a.png", mode="L")
    images = load(tmp_path)
    np.testing.assert_array_equal(images.images, pixels[None, None])
    assert images.notes == ()


def test_grey_among_colour_becomes_rgb_with_a_counted_note(tmp_path: Path, draw):
    grey = draw(tmp_path / "a.png", 1, mode="L")
    draw(tmp_path / "b.png", 2)
    draw(tmp_path / "c.png", 3)
    images = load(tmp_path)
    np.testing.assert_array_equal(images.images[0], np.stack([grey] * 3))
    assert images.notes == ("1 of 3 images is grey: converted to RGB",)


def test_transparent_pixels_are_composited_on_white(tmp_path: Path, draw):
    rgba = draw(tmp_path / "a.png", mode="RGBA").astype(float)
    expected = np.zeros((3, 8, 8))
    for row in range(8):
        for column in range(8):
            alpha = rgba[row, column, 3] / 255
            expected[:, row, column] = alpha * rgba[row, column, :3] + (1 - alpha) * 255
    images = load(tmp_path)
    assert np.abs(images.images[0] - expected).max() <= 1  # Pillow rounds
    assert images.notes == ("1 of 1 image is transparent: composited on white",)


def test_grey_with_alpha_stays_grey(tmp_path: Path, draw):
    draw(tmp_path / "a.png", mode="LA")
    assert load(tmp_path).shape == (1, 8, 8)


def test_palette_with_a_transparent_colour(tmp_path: Path):
    image = Image.new("P", (4, 4), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((0, 0), 1)
    image.save(tmp_path / "a.png", transparency=0)
    images = load(tmp_path)
    np.testing.assert_array_equal(images.images[0, :, 0, 0], [0, 0, 255])
    np.testing.assert_array_equal(images.images[0, :, 1, 1], [255, 255, 255])


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path):
    Image.fromarray(np.array([[0, 256], [32768, 65535]], np.uint16)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(load(tmp_path).images[0, 0], [[0, 1], [128, 255]])


def test_sixteen_bits_with_a_transparent_grey(tmp_path: Path):
    image = Image.fromarray(np.array([[7, 256], [32768, 65535]], np.uint16))
    image.save(tmp_path / "a.png", transparency=7)
    images = load(tmp_path)
    np.testing.assert_array_equal(images.images[0, 0], [[255, 1], [128, 255]])
    assert any("transparent: composited on white" in note for note in images.notes)


def test_floats_from_0_to_1_fill_the_whole_range(tmp_path: Path):
    Image.fromarray(np.array([[0, 0.2], [0.5, 1]], np.float32)).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(load(tmp_path, values="bytes").images[0, 0], [[0, 51], [128, 255]])


def test_eight_bits_in_32_stay_as_they_are(tmp_path: Path):
    Image.fromarray(np.array([[0, 1], [128, 255]], np.int32)).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(load(tmp_path, values="bytes").images[0, 0], [[0, 1], [128, 255]])


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.array([[0, 200.5]], np.float32), r"floats from 0 to 200.5; they must lie in \[0, 1\]"),
        (np.array([[0, np.nan]], np.float32), r"floats from nan to nan; they must lie in \[0, 1\]"),
        (np.array([[0, 4000]], np.int32), r"32-bit values from 0 to 4000; they must lie in 0 \.\. 255"),
        (np.array([[-5, 7]], np.int32), r"32-bit values from -5 to 7; they must lie in 0 \.\. 255"),
    ],
)
def test_values_of_no_known_range_are_refused(tmp_path: Path, values: np.ndarray, reason: str):
    Image.fromarray(values).save(tmp_path / "a.tif")
    with pytest.raises(UserError, match=rf"1 of 1 image cannot be read, first: a\.tif \({reason}\)"):
        load(tmp_path, values="bytes")


def test_twelve_bits_in_16_are_told(tmp_path: Path, draw):
    draw(tmp_path / "b.png", mode="L", size=(2, 1))
    Image.fromarray(np.array([[256, 4095]], np.uint16)).save(tmp_path / "a.png")
    images = load(tmp_path)
    np.testing.assert_array_equal(images.images[0, 0], [[1, 15]])
    assert images.notes == (
        "1 of 2 images has more than 8 bits a channel: reduced to 8 bits",
        "no pixel of these images is brighter than 15 of 255: stretch their values to the whole range before training",
    )


@pytest.mark.parametrize(("channels", "shape"), [(1, (1, 8, 8)), (3, (3, 8, 8))])
def test_channels_asked_for(tmp_path: Path, draw, channels: int, shape: tuple[int, ...]):
    draw(tmp_path / "colour" / "a.png")
    draw(tmp_path / "grey" / "a.png", mode="L")
    assert load(tmp_path / "colour", channels=channels).shape == shape
    assert load(tmp_path / "grey", channels=channels).shape == shape
    with pytest.raises(UserError, match="channels must be 1 or 3, not 2"):
        load(tmp_path, channels=2)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tif"])
def test_exif_orientation_is_respected(tmp_path: Path, ending: str, orientation: int):
    upright = Image.new("RGB", (16, 8), "white")
    upright.paste("red", (0, 0, 8, 4))  # the upper left quarter
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's transpositions that the orientation takes back
    stored = upright.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / f"a.{ending}", exif=exif, **({"lossless": True} if ending == "webp" else {}))
    images = load(tmp_path)
    assert images.shape == (3, 8, 16)
    green = images.images[0, 1].astype(int)
    assert green[1, 2] < 60
    assert min(green[1, 13], green[6, 2], green[6, 13]) > 200


def test_mixed_sizes_stop_with_the_sizes_and_the_way_out(tmp_path: Path, draw):
    for seed, size in enumerate([(40, 60), (40, 60), (33, 50)]):
        draw(tmp_path / f"{seed}.png", seed, size)
    with pytest.raises(UserError) as error:
        load(tmp_path)
    line = one_line(error)
    assert "images of 2 sizes (2 of 40x60, 1 of 33x50)" in line
    assert "set data.size 32" in line
    assert load(tmp_path, size=32).images.shape == (3, 3, 32, 32)


def test_many_sizes_suggest_64_and_are_counted(tmp_path: Path, draw):
    for seed in range(6):
        draw(tmp_path / f"{seed}.png", seed, (100 + seed, 120))
    with pytest.raises(UserError, match=r"of 6 sizes .* and 3 other sizes\); set data.size 64"):
        load(tmp_path)


def test_resizing_takes_the_shorter_side_and_the_centre():
    pixels = np.zeros((20, 40), np.uint8)
    pixels[:, 10:30] = 200  # the centre square
    image = to_array(Image.fromarray(pixels), 1, (10, 10))
    assert image.shape == (1, 10, 10)
    assert np.abs(image[:, :, 1:-1].astype(int) - 200).max() <= 4  # bicubic overshoots a little beside an edge


def test_resizing_is_antialiased():
    checks = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    assert abs(to_array(Image.fromarray(checks), 1, (8, 8)).astype(int) - 128).max() <= 3


def test_a_large_jpeg_decoded_small_is_close_to_the_whole(tmp_path: Path):
    ramp = np.add.outer(np.arange(512), np.arange(512)) / 1022 * 255
    Image.fromarray(ramp.astype(np.uint8)).save(tmp_path / "a.jpg", quality=95)
    small = load(tmp_path, size=16).images[0, 0].astype(float)
    expected = ramp.reshape(16, 32, 16, 32).mean((1, 3))
    assert np.abs(small - expected).max() < 4


def test_images_larger_than_a_thread_is_worth_keep_their_order(tmp_path: Path, draw):
    pixels = [draw(tmp_path / f"{seed:03}.png", seed, (160, 130), mode="L") for seed in range(150)]
    np.testing.assert_array_equal(load(tmp_path).images[:, 0], np.stack(pixels))


def damage(folder: Path, draw) -> None:
    """Ten good images, a text file, an empty file and a truncated JPEG."""
    for seed in range(10):
        draw(folder / f"good{seed}.png", seed, (32, 32))
    (folder / "letter.png").write_text("Dear reader, this is no picture.")
    (folder / "void.png").touch()
    draw(folder / "cut.jpg", 5, (32, 32))
    whole = (folder / "cut.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[:-200])


def test_broken_files_are_counted_and_the_first_is_named(tmp_path: Path, draw):
    damage(tmp_path, draw)
    with pytest.raises(UserError) as error:
        load(tmp_path)
    line = one_line(error)
    assert "3 of 13 images cannot be read, first: cut.jpg (" in line
    assert "truncated" in line  # its header is whole: only decoding shows it
    assert line.endswith("; set data.skip_bad true to leave them out")


def test_skip_bad_leaves_them_out_and_keeps_labels_in_step(tmp_path: Path, draw):
    damage(tmp_path / "first", draw)
    last = draw(tmp_path / "second" / "x.png", 99, (32, 32))
    images = load(tmp_path, skip_bad=True)
    assert len(images) == len(images.labels) == 11
    np.testing.assert_array_equal(images.labels, [0] * 10 + [1])
    np.testing.assert_array_equal(images.images[-1], last.transpose(2, 0, 1))
    names = titles(tmp_path, images)
    assert len(names) == 11
    assert names[-1] == "second/x.png"
    assert not any("cut" in name for name in names)
    for name, pixels in zip(names, images.images, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / name).convert("RGB")).transpose(2, 0, 1), pixels)
    assert len(images.notes) == 1
    assert images.notes[0].startswith("3 of 14 images cannot be read, first: first/cut.jpg (")
    assert images.notes[0].endswith(": left out")


@pytest.mark.parametrize(
    ("content", "reason"), [(b"some words", "not an image"), (b"", "empty file"), (b"%!PS-Adobe-3.0", "not an image")]
)
def test_a_file_that_is_no_image(tmp_path: Path, draw, content: bytes, reason: str):
    draw(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(content)
    with pytest.raises(UserError, match=rf"1 of 2 images cannot be read, first: b\.png \({reason}\)"):
        load(tmp_path)


def test_nothing_readable_at_all_is_an_error_even_with_skip_bad(tmp_path: Path):
    (tmp_path / "b.png").write_text("no")
    with pytest.raises(UserError, match="1 of 1 image cannot be read") as error:
        load(tmp_path, skip_bad=True)
    assert "skip_bad" not in str(error.value)  # it would not help


def test_a_picture_of_too_many_pixels_is_refused_with_the_setting_that_allows_it(tmp_path: Path, draw):
    draw(tmp_path / "a.png", size=(50, 40))
    with pytest.raises(UserError, match=r"a\.png \(50x40 pixels; set data\.max_pixels 2000 to read it\)"):
        load(tmp_path, max_pixels=1999)
    assert load(tmp_path, max_pixels=2000).shape == (3, 40, 50)


def test_size_out_of_range(tmp_path: Path, draw):
    draw(tmp_path / "a.png")
    with pytest.raises(UserError, match="size must be at least 1 pixel"):
        load(tmp_path, size=0)
