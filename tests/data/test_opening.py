import os
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepinfomax.data import load, opening
from deepinfomax.data.opening import header, is_image, opened
from deepinfomax.errors import UserError

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def write_tiff(file: Path, bands: int, bits: int = 8, extra: int = 0) -> None:
    """An uncompressed TIFF of 4 x 4 pixels, written by hand: Pillow writes at most four bands."""
    pixels = np.zeros((4, 4, bands), np.uint8 if bits == 8 else np.uint16).tobytes()
    entries = [
        *((256, 3, 1, 4), (257, 3, 1, 4), (259, 3, 1, 1)),
        *((262, 3, 1, 2 if bands >= 3 and extra else 1), (273, 4, 1, 8), (277, 3, 1, bands), (278, 3, 1, 4)),
        (279, 4, 1, len(pixels)),
    ]
    behind = 8 + len(pixels)
    values = b"".join(v.to_bytes(2, "little") for v in [bits] * bands)
    entries.append((258, 3, bands, behind if bands > 2 else bits | bits << 16 if bands == 2 else bits))
    if extra:
        entries.append((338, 3, extra, 0))  # none of the extra samples is alpha
    body = b"II*\0" + (behind + len(values)).to_bytes(4, "little") + pixels + values
    body += len(entries).to_bytes(2, "little")
    for tag, kind, count, value in sorted(entries):
        body += tag.to_bytes(2, "little") + kind.to_bytes(2, "little")
        body += count.to_bytes(4, "little") + value.to_bytes(4, "little")
    file.write_bytes(body + bytes(4))


def test_pages_and_frames_are_counted_and_told(tmp_path: Path):
    pages = [Image.fromarray(PIXELS), Image.fromarray(255 - PIXELS), Image.fromarray(PIXELS)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / "b.png", save_all=True, append_images=pages[1:2])
    pages[0].save(tmp_path / "c.png")
    images = load(tmp_path)
    np.testing.assert_array_equal(images.images[0], PIXELS.transpose(2, 0, 1))
    assert images.notes == ("2 of 3 images have several pages or frames (3 at most): the first is used",)


def test_bands_beyond_colour_are_told(tmp_path: Path):
    write_tiff(tmp_path / "a.tif", 4, extra=1)
    with opened(tmp_path / "a.tif") as image:
        assert header(image).dropped_bands == 1
    notes = load(tmp_path).notes
    assert "1 of 1 image has more bands than colour: the others are dropped" in notes


def test_more_bands_than_pillow_reads_are_named_without_a_word_on_stderr(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    write_tiff(tmp_path / "a.tif", 13, 16)
    with pytest.raises(UserError, match=r"a\.tif \(13 bands; data\.values kept takes them\)"):
        load(tmp_path, values="bytes")
    assert capfd.readouterr().err == ""


def write_deep_png(file: Path, values: np.ndarray) -> None:
    """A PNG of 16 bits for each of three colours, which Pillow does not write."""
    import struct
    import zlib

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    file.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def test_sixteen_bits_of_colour_are_told_and_dark_ones_too(tmp_path: Path):
    write_deep_png(tmp_path / "a.png", np.full((4, 4, 3), 4095))
    notes = load(tmp_path).notes
    assert notes == (
        "1 of 1 image has more than 8 bits a channel: reduced to 8 bits",
        "no pixel of these images is brighter than 15 of 255: stretch their values to the whole range before training",
    )
    write_deep_png(tmp_path / "a.png", np.full((4, 4, 3), 65535))
    assert load(tmp_path).notes == notes[:1]


def test_masks_of_0_and_1_are_told(tmp_path: Path):
    Image.fromarray(np.eye(4, dtype=np.uint8)).save(tmp_path / "a.png")
    assert load(tmp_path).notes[0].startswith("no pixel of the images is brighter than 1 of 255: ")
    np.save(tmp_path / "masks.npy", np.eye(4, dtype=np.uint8)[None].repeat(3, 0))
    assert load(tmp_path / "masks.npy").notes[0].startswith("no pixel of the images is brighter than 1 of 255: ")


@pytest.mark.parametrize("ending", [".jfif", ".jpe", ""])
def test_other_endings_of_jpeg_and_none_at_all(tmp_path: Path, ending: str):
    Image.fromarray(PIXELS).save(tmp_path / f"a{ending}", "JPEG")
    (tmp_path / "README").write_text("no image")
    images = load(tmp_path)
    assert len(images) == 1
    assert images.notes == ("files that are no images, not read: 1 without an ending",)


def test_a_plug_in_reads_heic_where_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic")
    assert not is_image(tmp_path / "a.heic")
    module = types.ModuleType("pillow_heif")

    def register() -> None:
        Image.register_open("HEIF", lambda file, name: Image.fromarray(PIXELS), lambda start: start[4:8] == b"ftyp")

    module.register_heif_opener = register
    monkeypatch.setitem(sys.modules, "pillow_heif", module)
    monkeypatch.setattr(Image, "OPEN", dict(Image.OPEN))
    monkeypatch.setattr(Image, "ID", list(Image.ID))
    for known in (opening._formats, opening.extensions):
        known.cache_clear()
    try:
        assert is_image(tmp_path / "a.heic")
        np.testing.assert_array_equal(load(tmp_path).images[0], PIXELS.transpose(2, 0, 1))
    finally:
        for known in (opening._formats, opening.extensions):
            known.cache_clear()


def test_postscript_under_an_image_s_name_reaches_no_other_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/called\nexit 1\n")
    (tmp_path / "bin" / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    (tmp_path / "x.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n%%EndComments\nshowpage\n")
    with pytest.raises(ValueError, match="not an image"), opened(tmp_path / "x.png"):
        pass
    assert not (tmp_path / "called").exists()


def test_a_pipe_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"a\.png \(not a file\)"):
        load(tmp_path)


def test_large_images_are_read_without_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)  # Pillow would warn above 40, which is an error here
    assert len(load(tmp_path)) == 1
