"""Files of science: every number comes back as it was written, and what is wrong with a file is said in one line."""

import builtins
import io
import json
import shutil
import sys
import tarfile
import warnings
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image, ImageOps

from deepinfomax.data import describe, load, titles
from deepinfomax.data.describe_command import data_command
from deepinfomax.data.formats import format_of
from deepinfomax.data.formats import nifti as formats_nifti
from deepinfomax.data.names import find, read_folds
from deepinfomax.data.section import Data
from deepinfomax.data.streaming import stream_of
from deepinfomax.errors import UserError
from other_files import (
    BANDS,
    FORMATS,
    LABELLED,
    LABELS,
    PICTURES,
    RATE,
    SERIES,
    SETTINGS,
    VOLUMES,
    dicom,
    hdf5,
    nifti,
    parquet,
    ts,
)
from other_files import webdataset as write_shards


@pytest.mark.parametrize("name", FORMATS)
def test_every_number_comes_back(name: str, tmp_path: Path):
    path, expected = FORMATS[name](tmp_path)
    images = load(path, **SETTINGS.get(name, {}))
    assert images.images.dtype == expected.dtype
    np.testing.assert_array_equal(images.images, expected)
    again = load(path, **SETTINGS.get(name, {}))  # from the cache, where there is one
    np.testing.assert_array_equal(again.images, expected)
    if name in LABELLED:
        np.testing.assert_array_equal(images.labels, LABELS)
        assert images.classes == ("0", "1")


def test_classes_parts_and_names_are_those_of_folders(tmp_path: Path):
    bands, _ = FORMATS["tiff_bands"](tmp_path)
    images = load(bands)
    assert images.classes == ("class0", "class1")
    assert images.labels.tolist() == [0] * 12 + [1] * 12
    assert titles(bands, images)[0] == "class0/000.tif"
    (tmp_path / "scans").mkdir()
    scans, _ = nifti(tmp_path / "scans")
    for part, names in {"train": range(16), "test": range(16, 24)}.items():
        for label in "ab":
            (scans / part / label).mkdir(parents=True)
        for name in names:
            (scans / f"{name:03}.nii.gz").rename(scans / part / "ab"[name % 2] / f"{name:03}.nii.gz")
    assert len(load(scans)) == 16
    assert load(scans, "test").classes == ("a", "b")
    assert titles(scans, load(scans, "test"), "test")[0] == "test/a/016.nii.gz"


def test_hdf5_in_one_piece_is_mapped_and_has_its_own_parts(tmp_path: Path):
    file, _ = hdf5(tmp_path)
    images = load(file, cache_dir=tmp_path / "cache")
    assert isinstance(images.images, np.memmap)
    assert not (tmp_path / "cache").exists()
    assert len(load(file, "test")) == 5
    np.testing.assert_array_equal(load(file, image="test/images").images, BANDS[:5])


def test_windows_of_one_recording_stay_on_one_side(tmp_path: Path):
    folder, _ = FORMATS["audio"](tmp_path)
    sides = {}
    for split in ("train", "test"):
        images = load(folder, split, window=0.08, holdout=0.5)
        names = titles(folder, images, split, window=0.08, holdout=0.5)
        sides[split] = {name.split(" from ")[0] for name in names}
        assert len(names) == 4 * len(sides[split])
    assert not sides["train"] & sides["test"]
    assert load(folder, window=0.08).notes[-2:] == (
        "6 recordings cut into 24 windows of 0.08 seconds",
        "0.135 seconds at the ends of recordings fill no window: left out",
    )
    assert load(folder).shape == (2, 137)


def test_a_stack_in_time_and_a_single_scan(tmp_path: Path):
    values = VOLUMES[:6].transpose(3, 2, 1, 0)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "film.nii")
    np.testing.assert_array_equal(load(tmp_path / "film.nii").images, VOLUMES[:6, None])
    scaled = nibabel.Nifti1Image(values[..., 0], np.eye(4))
    scaled.header.set_slope_inter(0.5, 10)
    nibabel.save(scaled, tmp_path / "one.nii.gz")
    np.testing.assert_allclose(load(tmp_path / "one.nii.gz").images[0, 0], VOLUMES[0] * 0.5 + 10)


@pytest.mark.parametrize("name", ["nifti_in_time", "webdataset"])
def test_files_that_end_like_archives_are_not_unpacked(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr("deepinfomax.data.names.unpacked")
    path, _ = FORMATS[name](tmp_path)
    assert read_folds(min(path.glob("*.tar")) if path.is_dir() else path) == []  # `data` and `evaluate` ask for them


def test_a_zarr_store_of_one_array_and_of_version_2(tmp_path: Path):
    array = zarr.create_array(tmp_path / "one", shape=SERIES.shape, chunks=(5, 2, 32), dtype="f4", zarr_format=2)
    array[:] = SERIES
    np.testing.assert_array_equal(load(tmp_path / "one").images, SERIES)
    array[3] = 0
    assert (load(tmp_path / "one").images[3] == 0).all()  # a store that has changed is read anew


def test_pictures_in_tiff_stay_pictures(tmp_path: Path):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    for i, picture in enumerate(pixels):
        tifffile.imwrite(tmp_path / f"{i}.tif", picture, photometric="rgb")
    assert load(tmp_path).pictures
    np.testing.assert_array_equal(load(tmp_path).images, load(tmp_path, values="kept").images)


def test_a_stack_written_page_by_page_is_read_whole(tmp_path: Path):
    pages = np.random.default_rng(0).integers(0, 60_000, (20, 16, 16), dtype=np.uint16)
    (tmp_path / "scans").mkdir()
    for file in (tmp_path / "stack.tif", tmp_path / "scans" / "0.tif"):
        with tifffile.TiffWriter(file) as writer:
            for page in pages:
                writer.write(page)
    np.testing.assert_array_equal(load(tmp_path / "stack.tif").images[:, 0], pages)
    np.testing.assert_array_equal(load(tmp_path / "scans").images[0, 0], pages)
    with tifffile.TiffWriter(tmp_path / "stack.tif", append=True) as writer:
        writer.write(pages[0, :8, :8])
    images = load(tmp_path / "stack.tif")
    np.testing.assert_array_equal(images.images[:, 0], pages)
    assert images.notes == ("pages of another size or type than the first, left out: 1",)


@pytest.mark.parametrize("mode", ["1", "P"])
def test_pages_of_bits_and_palettes_are_shown_as_one_picture_a_file_is(mode: str, tmp_path: Path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    pages = [Image.fromarray(p).quantize(8) if mode == "P" else Image.fromarray(p).convert("1") for p in pixels]
    white_is_zero = {262: 0} if mode == "1" else {}
    pages[0].save(tmp_path / "x.tif", save_all=True, append_images=pages[1:], tiffinfo=white_is_zero)
    (tmp_path / "files").mkdir()
    for i, page in enumerate(pages):
        page.save(tmp_path / "files" / f"{i}.tif", tiffinfo=white_is_zero)
    np.testing.assert_array_equal(load(tmp_path / "x.tif").images, load(tmp_path / "files").images)


def test_images_of_dicom_one_a_file(tmp_path: Path):
    scans, _ = dicom(tmp_path)
    from pydicom import dcmread
    from pydicom.uid import generate_uid

    flat = tmp_path / "flat"
    for label in "ab":
        (flat / label).mkdir(parents=True)
    for i in range(6):
        dataset = dcmread(scans / f"scan{i:03}" / "00")
        dataset.SeriesInstanceUID = generate_uid()
        dataset.save_as(flat / "ab"[i % 2] / f"{i}.dcm")
    images = load(flat)
    assert (images.shape, images.classes, images.images.dtype) == ((1, 16, 16), ("a", "b"), np.int32)
    np.testing.assert_array_equal(images.images[:3, 0], VOLUMES[[0, 2, 4], 0])
    np.testing.assert_array_equal(load(flat / "a" / "0.dcm").images[0, 0], VOLUMES[0, 0])


@pytest.mark.parametrize("dark", [0, 2, 6])
def test_scans_of_dicom_that_are_darker_the_larger_the_number_are_told(dark: int, tmp_path: Path):
    from pydicom import dcmread

    scans, _ = dicom(tmp_path)
    flat = tmp_path / "flat"
    flat.mkdir()
    for i in range(6):
        dataset = dcmread(scans / f"scan{i:03}" / "00")
        dataset.PhotometricInterpretation = "MONOCHROME1" if i < dark else "MONOCHROME2"
        dataset.save_as(flat / f"{i}.dcm")
    images = load(flat)
    np.testing.assert_array_equal(images.images[:, 0], VOLUMES[:6, 0])
    said = [note for note in images.notes if "MONOCHROME1" in note]
    assert len(said) == (dark > 0)
    if dark:
        assert said[0].startswith("2 of 6 scans are" if dark == 2 else "the scans are")
        assert ("turn these over" in said[0]) == (dark == 2)


def test_a_palette_of_dicom_is_colours(tmp_path: Path):
    from pydicom import dcmread
    from pydicom.datadict import tag_for_keyword

    scans, _ = dicom(tmp_path)
    dataset = dcmread(scans / "scan000" / "00")
    random = np.random.default_rng(0)
    numbers = random.integers(0, 4, (16, 16), dtype=np.uint8)
    colours = random.integers(0, 256, (3, 4), dtype=np.uint8)
    dataset.PhotometricInterpretation = "PALETTE COLOR"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    del dataset.RescaleSlope, dataset.RescaleIntercept
    for name, row in zip(("Red", "Green", "Blue"), colours, strict=True):
        dataset.add_new(tag_for_keyword(f"{name}PaletteColorLookupTableDescriptor"), "US", [4, 0, 8])
        dataset.add_new(tag_for_keyword(f"{name}PaletteColorLookupTableData"), "OW", row.tobytes())
    dataset.PixelData = numbers.tobytes()
    dataset.save_as(tmp_path / "x.dcm")
    np.testing.assert_array_equal(load(tmp_path / "x.dcm").images[0], colours[:, numbers])


def wrong_ragged(folder: Path) -> Path:
    import pyarrow as pa
    from pyarrow import parquet as pq

    pq.write_table(pa.table({"series": [[1.0, 2, 3, 4]] * 3 + [[1.0, 2]]}), folder / "x.parquet")
    return folder / "x.parquet"


def wrong_channels(folder: Path) -> Path:
    import pyarrow as pa
    from pyarrow import parquet as pq

    pq.write_table(pa.table({"a": [[1.0, 2, 3]] * 3, "b": [[1.0, 2]] * 3}), folder / "x.parquet")
    return folder / "x.parquet"


def wrong_shapes(folder: Path) -> Path:
    nifti(folder)

    nibabel.save(nibabel.Nifti1Image(np.zeros((8, 8, 8), np.int16), np.diag([2.0, 2, 2, 1])), folder / "010.nii.gz")
    return folder


def wrong_bands(folder: Path) -> Path:
    for name, bands in (("a", 5), ("b", 6)):
        pixels = np.zeros((16, 16, bands), np.uint16)
        tifffile.imwrite(folder / f"{name}.tif", pixels, photometric="minisblack", planarconfig="contig")
    return folder


def wrong_gaps(folder: Path) -> Path:
    np.save(folder / "x.npy", np.full((4, 2, 30), np.nan))
    return folder / "x.npy"


def wrong_spacing(folder: Path) -> Path:
    nifti(folder)

    volume = nibabel.Nifti1Image(np.zeros((16, 16, 16), np.int16), np.diag([1.0, 2, 3, 1]))
    nibabel.save(volume, folder / "010.nii.gz")
    return folder


def wrong_nifti(folder: Path) -> Path:
    nifti(folder)
    content = (folder / "004.nii.gz").read_bytes()
    (folder / "004.nii.gz").write_bytes(content[:2000])
    return folder


def wrong_hdf5(folder: Path) -> Path:
    file, _ = hdf5(folder)
    file.write_bytes(file.read_bytes()[:3000])
    return file


def wrong_tar(folder: Path) -> Path:
    tarfile.open(folder / "x.tar", "w").close()
    return folder / "x.tar"


def wrong_cut_tar(folder: Path) -> Path:
    write_shards(folder)
    shard = folder / "x-train-0.tar"
    shard.write_bytes(shard.read_bytes()[:3000])
    (folder / "x-train-1.tar").unlink()
    return shard


def wrong_sample(folder: Path) -> Path:
    write_shards(folder)
    with tarfile.open(folder / "x-train-1.tar", "a") as archive:
        member = tarfile.TarInfo("000099.cls")
        archive.addfile(member)
    return folder


def wrong_ts(folder: Path) -> Path:
    file, _ = ts(folder)
    text = file.read_text().replace("@equalLength true", "@equalLength false").splitlines()
    text[-1] = "1.0,2.0,3.0:1.0,2.0,3.0:1"
    file.write_text("\n".join(line for line in text if not line.startswith("@seriesLength")))
    return file


def wrong_rate(folder: Path) -> Path:
    import soundfile

    for name, rate in (("a", RATE), ("b", 2 * RATE)):
        soundfile.write(folder / f"{name}.wav", np.zeros(100, np.int16), rate)
    return folder


def wrong_lengths(folder: Path) -> Path:
    import soundfile

    for name, length in (("a", 500), ("b", 900)):
        soundfile.write(folder / f"{name}.wav", np.zeros(length, np.int16), RATE)
    return folder


def wrong_wav(folder: Path) -> Path:
    (folder / "a.wav").write_bytes(b"words" * 20)
    return folder


def wrong_tiff(folder: Path) -> Path:
    (folder / "a.tif").write_bytes(b"II*\0" + b"x" * 40)
    return folder / "a.tif"


def wrong_json(folder: Path) -> Path:
    return shard_of_labels(folder, "json", b"{")


def wrong_label(folder: Path) -> Path:
    return shard_of_labels(folder, "cls", b"\xff\xfe")


def shard_of_labels(folder: Path, ending: str, label: bytes) -> Path:
    with tarfile.open(folder / "x.tar", "w") as archive:
        for i in range(3):
            array = io.BytesIO()
            np.save(array, SERIES[i])
            for name, data in ((f"{i}.npy", array.getvalue()), (f"{i}.{ending}", label)):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return folder / "x.tar"


def wrong_silence(folder: Path) -> Path:
    import soundfile

    soundfile.write(folder / "a.wav", np.zeros(0, np.int16), RATE)
    return folder


def wrong_arff(folder: Path) -> Path:
    (folder / "x.arff").write_text("nonsense")
    return folder / "x.arff"


def wrong_zarr(folder: Path) -> Path:
    (folder / "zarr.json").write_text("{")
    return folder


def wrong_dicom(folder: Path) -> Path:
    scans, _ = dicom(folder)
    for place in sorted(scans.iterdir())[1:]:
        shutil.rmtree(place)
    file = scans / "scan000" / "03"
    file.write_bytes(file.read_bytes()[:-100])
    return scans


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (wrong_ragged, r"items of 2 shapes \(3 of 4, 1 of 2; the first that differs: x.parquet row 3\): cut, pad or"),
        (wrong_channels, "x.parquet row 0 has channels of 3, 2 steps: cut or pad them to one length"),
        (wrong_shapes, r"23 of 1x16x16x16, 1 of 1x8x8x8; the first that differs: 010.nii.gz\): cut, pad or resample"),
        (wrong_spacing, "010.nii.gz has voxels of 1 x 2 x 3 mm, and those before it 2 x 2 x 2 mm: resample all scans"),
        (wrong_nifti, r"1 of 24 images cannot be read, first: 004.nii.gz \(.*\); set data.skip_bad true to leave them"),
        (wrong_hdf5, "x.h5 cannot be read as HDF5, or is cut off: .*truncated"),
        (wrong_tar, "x.tar.*holds no"),
        (wrong_cut_tar, "x-train-0.tar is damaged"),
        (wrong_sample, "every sample must have a file .png; x-train-1.tar 000099 has none: data.image names the"),
        (wrong_ts, "x_TRAIN.ts has series of 3 to 32 steps: cut or pad them to one length"),
        (wrong_rate, "recordings of 400, 800 samples a second, the first that differs: b.wav: bring all to one rate"),
        (wrong_lengths, "recordings of 1.25 to 2.25 seconds: set data.window to the seconds .*, such as 1$"),
        (wrong_wav, "a.wav cannot be read as a recording: "),
        (wrong_tiff, "a.tif cannot be read as TIFF: "),
        (wrong_json, r"x.tar: 0.json is no JSON: Expecting property name"),
        (wrong_label, r"x.tar: 0.cls is no text in UTF-8, and no label$"),
        (wrong_silence, "has recordings of no length: there are 400 samples a second$"),
        (wrong_arff, "x.arff holds no series$"),
        (wrong_zarr, "cannot be read as Zarr: "),
        (wrong_dicom, r"1 of 1 image cannot be read, first: scan000 \(.*\)$"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_wrong_is_said_in_one_line(make: Any, message: str, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with pytest.raises(UserError, match=message) as error:
        load(make(tmp_path))
    assert "\n" not in str(error.value)
    assert not caplog.records  # which are written on stderr


@pytest.mark.parametrize("make", [wrong_ragged, wrong_shapes, wrong_bands, wrong_gaps])
def test_no_command_is_named_that_would_not_mend_it(make: Any, tmp_path: Path):
    tree, _ = data_command(str(make(tmp_path)), root=None, size=None, skip_bad=None, settings={})
    assert tree["parts"]["train"]["images"] > 0
    assert len(tree["problems"]) == 1
    assert "next" not in tree  # data.size is for pictures


def test_one_bad_scan_is_left_out_on_request(tmp_path: Path):
    folder = wrong_nifti(tmp_path)
    images = load(folder, skip_bad=True)
    with pytest.raises(UserError, match=r"004\.nii\.gz"):  # the cache of the others is not taken for all
        load(folder)
    assert len(images) == 23
    np.testing.assert_array_equal(images.images[4], VOLUMES[5:6])
    assert len(titles(tmp_path, images)) == 23
    description = describe(tmp_path)
    assert description.parts["train"].images == 23
    assert "004.nii.gz" in description.problems[0]


@pytest.mark.parametrize("window", [None, 0.08])
def test_one_bad_recording_is_left_out_on_request(window: float | None, tmp_path: Path):
    folder, expected = FORMATS["audio"](tmp_path)
    (folder / "a" / "2.wav").write_bytes(b"words" * 20)
    with pytest.raises(
        UserError, match=r"cannot be read, first: a/2\.wav.*; set data\.skip_bad true to leave them out"
    ):
        load(folder, window=window)
    images = load(folder, window=window, skip_bad=True)
    if window is None:
        assert (len(images), images.labels.tolist()) == (5, [0, 0, 1, 1, 1])
    else:
        np.testing.assert_array_equal(images.images, np.delete(expected, slice(4, 8), 0))


@pytest.mark.parametrize("content", [b"", b"words" * 50, b"\0" * 128 + b"DICM" + b"\xff" * 300])
def test_a_file_of_dicom_with_a_broken_header_is_left_out_on_request(content: bytes, tmp_path: Path):
    scans, expected = dicom(tmp_path)
    for slices in scans.iterdir():
        for slice_ in slices.iterdir():
            slice_.rename(slice_.with_suffix(".dcm"))
    (scans / "scan003" / "broken.dcm").write_bytes(content)
    with pytest.raises(UserError, match=r"1 of 25 images cannot be read, first: scan003/broken\.dcm \(.+\); set data"):
        load(scans)
    images = load(scans, skip_bad=True)
    np.testing.assert_array_equal(images.images, expected)
    assert any("cannot be read, first: scan003/broken.dcm" in note for note in images.notes)


def test_words_of_the_reader_of_dicom_are_not_passed_on(tmp_path: Path):
    scans, _ = dicom(tmp_path)
    slice_ = next(path for path in sorted(scans.rglob("*")) if path.is_file())
    whole = slice_.read_bytes()
    slice_.write_bytes(whole[:136] + b"\0\0" + whole[136:])
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with pytest.raises(UserError, match="2 shapes"):  # the file is left out, and its volume lacks a slice
            load(scans, skip_bad=True)
    assert not said


def test_tiff_files_of_several_sizes_are_brought_to_one_without_loss_of_their_numbers(tmp_path: Path):
    pixels = [np.random.default_rng(i).integers(0, 4000, (3, 20 + 4 * (i == 2), 20), np.uint16) for i in range(6)]
    for i, bands in enumerate(pixels):
        tifffile.imwrite(tmp_path / f"{i}.tif", bands, photometric="minisblack", planarconfig="separate")
    with pytest.raises(
        UserError, match=r"5 of 3x20x20, 1 of 3x24x20; the first that differs: 2.tif\); set data.size 16"
    ):
        load(tmp_path)
    tree, _ = data_command(str(tmp_path), root=None, size=None, skip_bad=None, settings={})
    assert "data.size 16" in tree["next"][0]
    images = load(tmp_path, size=16)
    assert images.notes[-1] == "resized to 16x16, as float32"
    for image, bands in zip(images.images, pixels, strict=True):
        for band, given in zip(image, bands, strict=True):
            whole = Image.fromarray(given.astype(np.float32))
            np.testing.assert_array_equal(band, ImageOps.fit(whole, (16, 16), method=Image.Resampling.BICUBIC))
    gap = pixels[1].astype(np.float32)
    gap[0, 3, 3] = np.nan
    for i, whole in enumerate([pixels[0].astype(np.float32), gap, pixels[2].astype(np.float32)]):
        tifffile.imwrite(tmp_path / f"{i}.tif", whole, photometric="minisblack", planarconfig="separate")
    with pytest.raises(UserError, match=r"first: 1.tif \(NaN or infinite values, which cannot be resized\)"):
        load(tmp_path, size=16)


def test_tiff_files_of_other_channels_are_told_what_brings_them_together(tmp_path: Path):
    with pytest.raises(
        UserError, match=r"save them with the same channels; data\.values bytes makes pictures of 8 bits"
    ):
        load(wrong_bands(tmp_path))


def test_a_list_of_tiff_files_is_read_as_their_folder_is(tmp_path: Path):
    pixels = np.random.default_rng(0).integers(0, 4000, (6, 12, 12), np.uint16)
    rows = ["path,label"]
    for i, picture in enumerate(pixels):
        tifffile.imwrite(tmp_path / f"{i}.tif", picture, photometric="minisblack")
        rows.append(f"{i}.tif,{'ab'[i % 2]}")
    (tmp_path / "list.csv").write_text("\n".join(rows))
    images = load(tmp_path / "list.csv")
    np.testing.assert_array_equal(images.images[:, 0], pixels)
    assert images.labels.tolist() == [0, 1] * 3
    assert load(tmp_path / "list.csv", values="bytes").images.dtype == np.uint8


def test_what_is_read_from_tiff_as_numbers_is_told(tmp_path: Path):
    for name, values, what in (
        ("bands", BANDS[0].transpose(1, 2, 0).astype(np.uint8), "5 bands and uint8"),
        ("pages", np.zeros((10, 32, 32), np.uint8), "10 pages and uint8"),
        ("deep", np.zeros((32, 32, 3), np.uint16), "3 bands and uint16"),
        ("grey", np.zeros((32, 32), np.uint16), "uint16"),
    ):
        (tmp_path / name).mkdir()
        tifffile.imwrite(
            tmp_path / name / "a.tif",
            values,
            photometric="rgb" if values.shape[-1] == 3 else "minisblack",
            planarconfig="contig" if name in ("bands", "deep") else None,
        )
        assert f"TIFF files of {what}: all numbers are kept as they are" in load(tmp_path / name).notes


def test_settings_that_mean_nothing_for_the_data_are_told(tmp_path: Path):
    (tmp_path / "sounds").mkdir()
    folder, _ = FORMATS["audio"](tmp_path / "sounds")
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    (tmp_path / "pictures").mkdir()
    for number, picture in enumerate(pixels):
        Image.fromarray(picture).save(tmp_path / "pictures" / f"{number}.png")
    np.save(tmp_path / "x.npy", pixels)
    window = "data.window cuts recordings, and these are none: it is not used"
    for data in (tmp_path / "pictures", tmp_path / "x.npy", "digits"):
        assert window in load(data, window=0.5).notes
    assert window not in load(folder, window=0.08).notes
    unused = load(tmp_path / "pictures", kind="series", layout="channels-first").notes
    assert unused == (
        "data.kind series is not used: the files say that these are images",
        "data.layout channels-first is not used: the files say where the channels are",
    )
    assert load(tmp_path / "pictures", kind="images").notes == ()
    assert load(tmp_path / "pictures", values="kept").notes == (
        "data.values kept is not used: pictures become 8 bits, unless all of them are TIFF files",
    )
    assert load(tmp_path / "x.npy", kind="images", layout="channels-last").notes == ()
    assert "data.kind images is not used: the files say that these are series" in load(folder, kind="images").notes
    text = data_command(str(tmp_path / "pictures"), root=None, size=None, skip_bad=None, settings={"data.window": 0.5})
    assert window in text[1]


def test_the_label_that_is_named_in_a_shard_is_the_one_that_is_read(tmp_path: Path):
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for i in range(6):
            content = io.BytesIO()
            Image.fromarray(np.full((8, 8, 3), 40 * i, np.uint8)).save(content, "PNG")
            about = json.dumps({"species": i % 2}).encode()
            for ending, data in (("png", content.getvalue()), ("txt", f"a caption {i}".encode()), ("json", about)):
                member = tarfile.TarInfo(f"{i:03}.{ending}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    assert load(tmp_path / "x.tar", label="species").labels.tolist() == [0, 1] * 3
    assert len(load(tmp_path / "x.tar", label="txt").classes) == 6
    with pytest.raises(UserError, match=r"neither a file \.nonsense nor nonsense in its \.json \(data\.label\)"):
        load(tmp_path / "x.tar", label="nonsense")


def tar_of(file: Path, contents: dict[str, bytes] | list[tuple[str, bytes]]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as archive:
        for name, content in contents.items() if isinstance(contents, dict) else contents:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file


def png(picture: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(picture.transpose(1, 2, 0)).save(content, "PNG")
    return content.getvalue()


@pytest.mark.parametrize("name", ["{}.png", "cats/{}.png", "holiday.{}.png"])
def test_a_folder_of_shards_of_images_alone_is_read_whole_as_it_is_streamed(tmp_path: Path, name: str):
    for shard, part in enumerate(("train-0", "train-1", "test")):
        some = range(8 * shard, 8 * shard + 8)
        tar_of(tmp_path / f"{part}.tar", {name.format(i): png(PICTURES[i]) for i in some} | {"README.txt": b"mine"})
    (tmp_path / "labels.csv").write_text("file,label\n")
    images, test = load(tmp_path), load(tmp_path, "test")
    np.testing.assert_array_equal(np.concatenate([images.images, test.images]), PICTURES[:24])
    assert images.labels is None
    assert images.notes == (
        "files beside the .tar files, not read: 1 .csv",
        "files in the archives that are no images, not read: 3 .txt",
        "the .tar files hold images alone: read without labels; for classes unpack them into one folder per class",
    )
    tar_of(
        tmp_path / "train-1.tar",
        [(name, data) for i in (1, 2) for name, data in ((f"{i}.png", b""), (f"{i}.cls", b""))],
    )
    with pytest.raises(UserError, match="every sample must have a file"):
        load(tmp_path)  # the archives are of two kinds
    Image.fromarray(PICTURES[0].transpose(1, 2, 0)).save(tmp_path / "cover.png")
    assert format_of(tmp_path).name == "folder"


def test_images_of_one_name_up_to_its_first_dot_are_not_lost_without_a_word(tmp_path: Path):
    pictures = {f"holiday.{i}.png": png(PICTURES[i]) for i in range(6)}
    assert len(load(tar_of(tmp_path / "a" / "x.tar", pictures))) == 6
    with pytest.raises(UserError, match=r"images are all called holiday: set data\.stream false"):
        stream_of(Data(source=str(tmp_path / "a")))
    labelled = tar_of(tmp_path / "x.tar", pictures | {f"holiday.{i}.cls": b"1" for i in range(6)})
    assert load(labelled).notes[0].startswith("image files not read: 5 (.1.png, .2.png, .3.png, .4.png, .5.png); ")


def test_a_sample_that_a_joined_archive_has_twice_is_two(tmp_path: Path):
    samples = [
        (f"{i % 3}.{ending}", data) for i in range(6) for ending, data in (("png", png(PICTURES[i])), ("cls", b"1"))
    ]
    np.testing.assert_array_equal(load(tar_of(tmp_path / "x.tar", samples)).images, PICTURES[:6])


def test_a_text_beside_a_json_with_the_label_is_a_caption(tmp_path: Path):
    def of(i: int) -> dict[str, bytes]:
        about = json.dumps({"label": i % 2}).encode()
        return {f"{i}.png": png(PICTURES[i]), f"{i}.txt": f"caption {i}".encode(), f"{i}.json": about}

    file = tar_of(tmp_path / "x.tar", {name: data for i in range(6) for name, data in of(i).items()})
    assert load(file).labels.tolist() == [0, 1] * 3
    assert len(load(file, label="txt").classes) == 6


def test_the_first_tiff_decides_for_all_and_says_so(tmp_path: Path):
    tifffile.imwrite(tmp_path / "a.tif", np.full((8, 8), 7, np.uint8))
    tifffile.imwrite(tmp_path / "b.tif", np.full((8, 8), 700, np.uint16))
    note = "the first TIFF file is a picture of 8 bits, so all are read as such"
    assert load(tmp_path).notes[-1].startswith(note)
    assert not any(said.startswith(note) for said in load(tmp_path, values="bytes").notes)
    (tmp_path / "a.tif").unlink()
    assert load(tmp_path).images.dtype == np.uint16
    tifffile.imwrite(tmp_path / "c.tif", np.full((8, 8), 7, np.uint8))
    assert "1 of 2 hold uint8, kept as uint16: their numbers may be of another scale" in load(tmp_path).notes


def test_a_label_in_a_json_that_is_no_dictionary_is_none(tmp_path: Path):
    assert load(shard_of_labels(tmp_path, "json", b"3")).labels is None


def test_no_file_is_read_to_find_its_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    nibabel.save(nibabel.Nifti1Image(VOLUMES[:6].transpose(3, 2, 1, 0), np.eye(4)), tmp_path / "film.nii.gz")
    (tmp_path / "series").mkdir()
    series, expected = ts(tmp_path / "series")
    np.testing.assert_array_equal(load(series).images, expected)
    monkeypatch.setattr(formats_nifti, "_volume", None)
    assert len(find(tmp_path / "film.nii.gz")["train"]()) == 6
    monkeypatch.setattr(
        "sktime.datasets.load_from_tsfile_to_dataframe", None
    )  # each of the two files has been read once
    np.testing.assert_array_equal(load(series, "test").images, expected)
    series.write_text(series.read_text() + "\n")
    with pytest.raises(UserError, match="cannot be read as a file of time series"):
        load(series)


def test_shards_are_found_below_and_beside_hidden_files(tmp_path: Path):
    (tmp_path / "shards").mkdir()
    write_shards(tmp_path / "shards")
    assert format_of(tmp_path).name == "webdataset"
    (tmp_path / "shards" / "._a.tar").write_bytes(b"of another system")
    assert format_of(tmp_path / "shards").name == "webdataset"


def test_a_window_longer_than_every_recording(tmp_path: Path):
    folder, _ = FORMATS["audio"](tmp_path)
    with pytest.raises(UserError, match=r"data\.window 3\.0 is longer than the recordings, 0\.343 seconds at most"):
        load(folder, window=3.0)
    with pytest.raises(UserError, match=r"data\.window 1e-06 is too short: there are 400 samples a second$"):
        load(folder, window=1e-6)


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("hdf5", "h5py"),
        ("zarr", "zarr"),
        ("nifti", "nibabel"),
        ("dicom", "pydicom"),
        ("audio", "soundfile"),
        ("ts", "sktime"),
    ],
)
def test_a_package_that_is_absent_is_named_with_the_command(
    name: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path, _ = FORMATS[name](tmp_path)
    for module in [module for module in sys.modules if module.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    plain = builtins.__import__

    def without(called: str, *more: Any, **rest: Any) -> Any:
        if called.split(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        return plain(called, *more, **rest)

    monkeypatch.setattr("importlib.import_module", without)
    with pytest.raises(UserError, match=rf"needs the package {package}: pip install 'deepinfomax\[formats\]'$"):
        load(path)


def test_shards_and_tables_in_capitals_are_not_left_out(tmp_path: Path):
    folder, pictures = write_shards(tmp_path)
    (folder / "x-train-1.tar").rename(folder / "x-train-1.TAR")
    np.testing.assert_array_equal(load(folder).images, pictures)
    file, _ = parquet(folder)
    tables = tmp_path / "tables"
    tables.mkdir()
    file.rename(tables / "train.parquet")
    shutil.copy(tables / "train.parquet", tables / "test.PARQUET")
    assert set(find(tables)) == {"train", "test"}


def test_what_macos_puts_into_archives_is_no_sample(tmp_path: Path):
    folder, pictures = write_shards(tmp_path)
    for shard in folder.glob("*.tar"):
        with tarfile.open(shard) as archive:
            members = [(member, archive.extractfile(member).read()) for member in archive]  # type: ignore[union-attr]
        with tarfile.open(shard, "w") as archive:
            for member, content in members:
                note = tarfile.TarInfo(f"._{member.name}")
                note.size = 4
                archive.addfile(note, io.BytesIO(b"Mac "))
                archive.addfile(member, io.BytesIO(content))
    np.testing.assert_array_equal(load(folder).images, pictures)


def test_the_only_scan_of_a_class_has_its_label(tmp_path: Path):
    scans, _ = dicom(tmp_path)
    (tmp_path / "all" / "ill").mkdir(parents=True)
    for i in range(3):
        shutil.copytree(scans / f"scan{i:03}", tmp_path / "all" / "well" / str(i))
    for file in (scans / "scan003").iterdir():
        shutil.copy(file, tmp_path / "all" / "ill")
    images = load(tmp_path / "all")
    assert images.labels is not None
    assert (images.labels.tolist(), images.classes) == ([0, 1, 1, 1], ("ill", "well"))


def test_both_files_of_series_in_small_letters(tmp_path: Path):
    ts(tmp_path)
    for file in [*tmp_path.glob("*.ts")]:
        file.rename(file.with_name(file.name.lower()))
    assert set(find(tmp_path / "x_train.ts")) == set(find(tmp_path / "x_test.ts")) == {"train", "test"}


def test_numbers_of_another_type_than_the_first_are_told(tmp_path: Path):
    for i, kind in enumerate((np.uint16, np.uint8, np.uint8)):
        tifffile.imwrite(tmp_path / f"{i}.tif", np.full((8, 8), 200, kind))
    note = "2 of 3 hold uint8, kept as uint16: their numbers may be of another scale"
    assert note in load(tmp_path).notes


def test_whole_numbers_that_no_common_type_holds_are_told(tmp_path: Path):
    """NumPy joins int64 and uint64 to float64."""
    for i, value in enumerate((np.int64(-(2**53) - 1), np.uint64(7))):
        tifffile.imwrite(tmp_path / f"{i}.tif", np.full((8, 8), value))
    images = load(tmp_path)
    assert images.images.dtype == np.float64
    assert images.notes[-1] == "some whole numbers are beyond 2^53, where float64 rounds them"
    tifffile.imwrite(tmp_path / "0.tif", np.full((8, 8), -(2**53)))
    assert not any("rounds them" in note for note in load(tmp_path).notes)


@pytest.mark.parametrize("slopes", [[2.0, 2.0], [2.0, 0.5]])
def test_frames_of_an_enhanced_dicom_file_have_their_units(slopes: list[float], tmp_path: Path):
    from pydicom import dcmread
    from pydicom.dataset import Dataset

    def scaled(slope: float) -> Dataset:
        scale, group = Dataset(), Dataset()
        scale.RescaleSlope, scale.RescaleIntercept = slope, -1024
        group.PixelValueTransformationSequence = [scale]
        return group

    scans, _ = dicom(tmp_path)
    dataset = dcmread(scans / "scan000" / "00")
    del dataset.RescaleSlope, dataset.RescaleIntercept
    dataset.RescaleSlope = None  # empty, which says nothing
    stored = np.stack([dataset.pixel_array, dataset.pixel_array + 5]).astype(np.uint16)
    dataset.NumberOfFrames, dataset.PixelData = 2, stored.tobytes()
    if len(set(slopes)) == 1:
        dataset.SharedFunctionalGroupsSequence = [scaled(slopes[0])]
    else:
        dataset.PerFrameFunctionalGroupsSequence = list(map(scaled, slopes))
    dataset.save_as(tmp_path / "enhanced.dcm")
    expected = stored * np.array(slopes).reshape(2, 1, 1) - 1024
    np.testing.assert_allclose(load(tmp_path / "enhanced.dcm").images[0, 0], expected)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_scans_whose_headers_scale_their_numbers_are_read_beside_others(order: tuple[int, int], tmp_path: Path):
    whole = VOLUMES[0].transpose(2, 1, 0)
    for place, scan in zip(order, (whole, whole * 0.5), strict=True):
        nibabel.save(nibabel.Nifti1Image(scan, np.eye(4)), tmp_path / f"{place}.nii")
    images = load(tmp_path)
    assert images.images.dtype == np.float64
    np.testing.assert_array_equal(images.images[list(order), 0], [VOLUMES[0], VOLUMES[0] * 0.5])
    assert images.notes == ("1 of 2 hold int16, kept as float64: their numbers may be of another scale",)


def test_numbers_of_a_wider_type_need_its_space_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The second pass takes twice the space of the first, which is free again."""
    for place, kind in enumerate((np.uint16, np.int16, np.uint16)):
        tifffile.imwrite(tmp_path / f"{place}.tif", np.full((16, 16), 300, kind))
    needed = []

    def seen(folder: Path, size: int) -> None:
        needed.append((size, [*folder.glob("*.npy")]))

    monkeypatch.setattr("deepinfomax.data.kept.need", seen)
    assert load(tmp_path).images.dtype == np.int32
    assert needed == [(3 * 16 * 16 * 2, []), (3 * 16 * 16 * 4, [])]


def test_the_type_of_resized_numbers_is_told(tmp_path: Path):
    for place, (kind, side) in enumerate(((np.uint16, 16), (np.int16, 20))):
        tifffile.imwrite(tmp_path / f"{place}.tif", np.full((side, side), 300, kind))
    assert load(tmp_path, size=8).notes[1].startswith("1 of 2 hold uint16, kept as float32")


def test_a_single_scan_is_counted_in_the_singular(tmp_path: Path):
    nibabel.save(nibabel.Nifti1Image(VOLUMES[0], np.eye(4)), tmp_path / "x.nii")
    _, text = data_command(str(tmp_path / "x.nii"), root=None, size=None, skip_bad=None, settings={})
    assert "1 volume of 1 channel and 16x16x16" in text


def test_scans_of_complex_numbers_are_told(tmp_path: Path):
    nibabel.save(nibabel.Nifti1Image((VOLUMES[0] * 1j).astype(np.complex64), np.eye(4)), tmp_path / "x.nii")
    with pytest.raises(UserError, match=r"first: x.nii \(complex64, no real numbers\)"):
        load(tmp_path / "x.nii")


def test_chunks_of_zarr_that_were_not_copied_are_told(tmp_path: Path):
    path, _ = FORMATS["zarr"](tmp_path)
    assert load(path).notes == (
        "items of shape 2x32 are taken as series of 2 channels and 32 steps: the shorter axis "
        "holds the channels; data.kind or data.layout say otherwise, in Python kind= or layout= of from_array",
    )
    (path / "images" / "c" / "1" / "0" / "0").unlink()
    assert load(path).notes[0].startswith("1 of 4 chunks of images have no file: their numbers are 0.0")


def test_a_single_label_in_a_zarr_store_is_told(tmp_path: Path):
    store = zarr.open_group(tmp_path, mode="w")
    store.create_array("images", data=SERIES)
    store.create_array("labels", data=np.array(3))
    with pytest.raises(UserError, match="labels must be one number or word per image, not a single one"):
        load(tmp_path)


def test_links_in_hdf5_are_followed_and_a_broken_one_loses_no_labels(tmp_path: Path):
    import h5py

    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["all"], file["classes_of_all"] = SERIES, LABELS
        file["images"], file["labels"] = h5py.SoftLink("/all"), h5py.SoftLink("/classes_of_all")
    images = load(tmp_path / "x.h5")
    np.testing.assert_array_equal(images.labels, LABELS)
    with h5py.File(tmp_path / "x.h5", "a") as file:
        del file["labels"]
        file["labels"] = h5py.ExternalLink("labels.h5", "/labels")
    with pytest.raises(UserError, match=r"x\.h5: labels is a link to something that is not here"):
        load(tmp_path / "x.h5")


def test_items_of_several_lengths_in_hdf5_are_told(tmp_path: Path):
    import h5py

    with h5py.File(tmp_path / "x.h5", "w") as file:
        rows = np.empty(2, object)
        rows[:] = [np.arange(3.0), np.arange(4.0)]
        file.create_dataset("images", data=rows, dtype=h5py.vlen_dtype(float))
    with pytest.raises(UserError, match="holds objects, as items of several lengths are: cut or pad them"):
        load(tmp_path / "x.h5")


def test_a_series_of_dicom_in_time_has_its_times_as_channels(tmp_path: Path):
    from pydicom import dcmread

    scans, expected = dicom(tmp_path, 1)
    folder = scans / "scan000"
    alone = load(folder)
    np.testing.assert_array_equal(alone.images, expected)
    assert (titles(folder, alone), alone.notes) == (["scan000"], ("16 DICOM files are 1 series",))
    for file in sorted(folder.iterdir()):
        later = dcmread(file)
        later.InstanceNumber += 1000
        later.RescaleIntercept += 5
        later.save_as(folder / f"later{file.name}")
    images = load(folder)
    np.testing.assert_array_equal(images.images[0], np.concatenate([expected[0], expected[0] + 5]))
    assert images.notes[1].startswith("1 of 1 series has several files at each place")


def test_a_compression_of_dicom_that_no_package_here_unpacks(tmp_path: Path):
    from pydicom import dcmread, uid
    from pydicom.encaps import encapsulate

    dataset = dcmread(dicom(tmp_path, 1)[0] / "scan000" / "00")
    dataset.file_meta.TransferSyntaxUID = uid.JPEGLosslessSV1
    dataset.PixelData = encapsulate([b"\xff\xd8\xff\xc3 not pixels"])
    dataset.save_as(tmp_path / "x.dcm")
    with pytest.raises(UserError, match=r"first: x.dcm \((to unpack it, pip install pylibjpeg|Unable to decode)"):
        load(tmp_path / "x.dcm")


@pytest.mark.parametrize("ending", ["ts", "arff"])
def test_series_without_classes_keep_all_their_steps(ending: str, tmp_path: Path):
    head = "@problemName x\n@timeStamps false\n@univariate true\n@classLabel false\n"
    if ending == "arff":
        head = "@relation x\n" + "".join(f"@attribute step{i} numeric\n" for i in range(9))
    rows = "\n".join(",".join(map(str, range(i, i + 9))) for i in range(3))
    (tmp_path / f"x.{ending}").write_text(f"{head}@data\n{rows}\n")
    images = load(tmp_path / f"x.{ending}")
    np.testing.assert_array_equal(images.images[:, 0], np.arange(3)[:, None] + np.arange(9))
    assert (images.labels, images.classes) == (None, ())


@pytest.mark.parametrize(
    ("ending", "note"),
    [
        ("ts", "the targets of a regression are no classes: read without labels"),
        ("arff", "the last column holds numbers with fractions, no classes: read without labels"),
    ],
)
def test_targets_of_a_regression_are_told(ending: str, note: str, tmp_path: Path):
    head = "@problemName x\n@timeStamps false\n@univariate true\n@targetLabel true\n"
    if ending == "arff":
        head = "@relation x\n@attribute a numeric\n@attribute b numeric\n@attribute target numeric\n"
    rows = [f"{i},{i + 1}{':' if ending == 'ts' else ','}{i / 2}" for i in range(4)]
    (tmp_path / f"x.{ending}").write_text("\n".join([f"{head}@data", *rows]) + "\n")
    images = load(tmp_path / f"x.{ending}")
    assert (images.shape, images.labels, images.classes) == ((1, 2), None, ())
    assert images.notes[0].startswith(note)


def test_a_table_of_numbers_alone_is_told_what_takes_it(tmp_path: Path):
    (tmp_path / "x_TRAIN.tsv").write_text("\n".join(["1" + "\t0.5" * 20, "2" + "\t0.1" * 20]))  # as UCR of 2018
    with pytest.raises(UserError, match="rows that are series or spectra train as an array"):
        load(tmp_path / "x_TRAIN.tsv")


def test_a_list_that_is_missing_in_a_list_of_lists_is_told(tmp_path: Path):
    import pyarrow as pa
    from pyarrow import parquet as pq

    pq.write_table(pa.table({"series": [[[1.0, 2], [3, 4]], [[1.0, 2], None]]}), tmp_path / "x.parquet")
    with pytest.raises(UserError, match=r"x\.parquet row 1 lacks one of its lists: leave the row out"):
        load(tmp_path / "x.parquet")


@pytest.mark.parametrize(
    ("label", "note"),
    [
        (b'{"label": [3, 5]}', "label of the .json files holds several values, no class: read without labels"),
        (b'{"label": 0.5}', "the label of the samples holds numbers with fractions, no classes: read without labels"),
    ],
)
def test_labels_of_shards_that_are_no_classes_are_told(label: bytes, note: str, tmp_path: Path):
    images = load(shard_of_labels(tmp_path, "json", label))
    assert (images.labels, images.classes) == (None, ())
    assert any(said.startswith(note) for said in images.notes)
