"""A small file or folder of each scientific format, with what it holds: 24 items that a smoke run can train on."""

import io
import json
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

RNG = np.random.default_rng(7)
COUNT = 24
LABELS = np.arange(COUNT) % 2
SERIES = (RNG.normal(size=(COUNT, 2, 32)) * [[3], [40]]).astype(np.float32)
VOLUMES = RNG.integers(-1000, 3000, (COUNT, 16, 16, 16)).astype(np.int16)
BANDS = RNG.integers(0, 60_000, (COUNT, 5, 16, 16)).astype(np.uint16)
PICTURES = RNG.integers(0, 256, (COUNT, 3, 16, 16), dtype=np.uint8)
RATE = 400  #: samples a second of recordings

Made = tuple[Path, np.ndarray]  #: what to point at, and the numbers (N, C, *S) that must come out of it


def npy(folder: Path) -> Made:
    np.save(folder / "x.npy", SERIES)
    return folder / "x.npy", SERIES


def npz(folder: Path) -> Made:
    np.savez(folder / "x.npz", x=VOLUMES, y=LABELS)
    return folder / "x.npz", VOLUMES[:, None]


def parquet(folder: Path) -> Made:
    import pyarrow as pa
    from pyarrow import parquet as pq

    fixed = pa.FixedSizeListArray.from_arrays(pa.array(SERIES[:, 0].ravel()), 32)
    table = pa.table({"left": fixed, "right": pa.array(SERIES[:, 1].tolist(), pa.list_(pa.float32())), "label": LABELS})
    pq.write_table(table, folder / "x.parquet")
    return folder / "x.parquet", SERIES


def hdf5(folder: Path, **storage: object) -> Made:
    import h5py

    with h5py.File(folder / "x.h5", "w") as file:
        file.create_dataset("train/images", data=BANDS, **storage)
        file["train/labels"] = LABELS
        file["test/images"] = BANDS[:5]
        file["test/labels"] = LABELS[:5]
    return folder / "x.h5", BANDS


def packed_hdf5(folder: Path) -> Made:
    return hdf5(folder, compression="gzip", chunks=(3, 5, 16, 16))


def zarr(folder: Path) -> Made:
    import zarr as package

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store = package.open_group(folder / "x.zarr", mode="w")
        for name, values in (("images", SERIES), ("labels", LABELS)):
            store.create_array(name, shape=values.shape, chunks=(7, *values.shape[1:]), dtype=values.dtype)[:] = values
    return folder / "x.zarr", SERIES


def tiff_stack(folder: Path) -> Made:
    import tifffile

    tifffile.imwrite(folder / "x.tif", VOLUMES[:, 0], photometric="minisblack", metadata={"axes": "TYX"})
    return folder / "x.tif", VOLUMES[:, :1]


def tiff_bands(folder: Path) -> Made:
    import tifffile

    for name, bands, label in zip(range(COUNT), BANDS, LABELS, strict=True):
        (folder / f"class{label}").mkdir(exist_ok=True)
        pixels = bands.transpose(1, 2, 0)
        tifffile.imwrite(
            folder / f"class{label}" / f"{name:03}.tif", pixels, photometric="minisblack", planarconfig="contig"
        )
    return folder, BANDS[np.argsort(LABELS, kind="stable")]


def tiff_volumes(folder: Path) -> Made:
    import tifffile

    for name, volume in enumerate(VOLUMES):
        tifffile.imwrite(folder / f"{name:03}.tif", volume, photometric="minisblack")
    return folder, VOLUMES[:, None]


def nifti(folder: Path) -> Made:
    import nibabel

    for name, volume in enumerate(VOLUMES):
        # an image that lies on its side is brought upright: its first axis runs from right to left here
        values = volume.transpose(2, 1, 0)[::-1]
        affine = np.diag([-2.0, 2, 2, 1])
        affine[0, 3] = 2 * 15
        nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(values), affine), folder / f"{name:03}.nii.gz")
    return folder, VOLUMES[:, None]


def nifti_in_time(folder: Path) -> Made:
    """One file with a fourth axis."""
    import nibabel

    nibabel.save(nibabel.Nifti1Image(VOLUMES.transpose(3, 2, 1, 0), np.eye(4)), folder / "x.nii.gz")
    return folder / "x.nii.gz", VOLUMES[:, None]


def dicom(folder: Path, count: int = COUNT) -> Made:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    for name, volume in enumerate(VOLUMES[:count]):
        series, place = generate_uid(), folder / f"scan{name:03}"
        place.mkdir()
        for depth in range(16):
            dataset = Dataset()
            dataset.file_meta = FileMetaDataset()
            dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
            dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
            dataset.SOPClassUID, dataset.SeriesInstanceUID = CTImageStorage, series
            dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = 16, 16, 1
            dataset.PhotometricInterpretation = "MONOCHROME2"
            dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
            dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
            dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [0, 0, 2.5 * depth], [1, 0, 0, 0, 1, 0]
            dataset.InstanceNumber = 100 - depth  # against the order in space, which counts
            dataset.PixelData = (volume[depth].astype(np.int32) + 1024).astype(np.uint16).tobytes()
            dataset.save_as(place / f"{(depth * 7) % 16:02}", enforce_file_format=True)
    return folder, VOLUMES[:count, None].astype(np.int32)


def audio(folder: Path) -> Made:
    import soundfile

    whole = RNG.integers(-9000, 9000, (6, 2, 4 * 32 + 9)).astype(np.int16)  # four windows of 0.08 s, and a rest
    for name, samples in enumerate(whole):
        (folder / "ab"[name % 2]).mkdir(exist_ok=True)
        ending = "wav" if name < 3 else "flac"
        soundfile.write(folder / "ab"[name % 2] / f"{name}.{ending}", samples.T, RATE, subtype="PCM_16")
    windows = whole[[0, 2, 4, 1, 3, 5], :, :128].reshape(6, 2, 4, 32).transpose(0, 2, 1, 3).reshape(COUNT, 2, 32)
    return folder, windows


def ts(folder: Path) -> Made:
    lines = ["@problemName x", "@timeStamps false", "@univariate false", "@dimensions 2", "@equalLength true"]
    lines += ["@seriesLength 32", "@classLabel true 0 1", "@data"]
    for series, label in zip(SERIES.astype(np.float64), LABELS, strict=True):
        lines.append(":".join(",".join(map(repr, map(float, channel))) for channel in series) + f":{label}")
    for part in ("TRAIN", "TEST"):
        (folder / f"x_{part}.ts").write_text("\n".join(lines) + "\n")
    return folder / "x_TRAIN.ts", SERIES.astype(np.float64)


def arff(folder: Path) -> Made:
    lines = ["@relation x", *(f"@attribute att{i} numeric" for i in range(32)), "@attribute target {0,1}", "@data"]
    for series, label in zip(SERIES.astype(np.float64), LABELS, strict=True):
        lines.append(",".join(map(repr, map(float, series[0]))) + f",{label}")
    (folder / "x.arff").write_text("\n".join(lines) + "\n")
    return folder / "x.arff", SERIES[:, :1].astype(np.float64)


def webdataset(folder: Path, item: str = "png") -> Made:
    for shard in range(2):
        with tarfile.open(folder / f"x-train-{shard}.tar", "w") as archive:
            for i in range(12 * shard, 12 * shard + 12):
                content = io.BytesIO()
                if item == "png":
                    Image.fromarray(PICTURES[i].transpose(1, 2, 0)).save(content, "PNG")
                else:
                    np.save(content, SERIES[i])
                for ending, data in ((item, content.getvalue()), ("cls", str(LABELS[i]).encode())):
                    member = tarfile.TarInfo(f"{i:06}.{ending}")
                    member.size = len(data)
                    archive.addfile(member, io.BytesIO(data))
    return folder, PICTURES if item == "png" else SERIES


def webdataset_of_arrays(folder: Path) -> Made:
    return webdataset(folder, "npy")


def zip_of_images(folder: Path) -> Made:
    with zipfile.ZipFile(folder / "x.zip", "w") as archive:
        for i, picture in enumerate(PICTURES):
            content = io.BytesIO()
            Image.fromarray(picture.transpose(1, 2, 0)).save(content, "PNG")
            archive.writestr(f"pictures/{i:03}.png", content.getvalue())
        archive.writestr("pictures/about.json", json.dumps({}))
    return folder / "x.zip", PICTURES


#: name -> what makes it
FORMATS: dict[str, Callable[[Path], Made]] = {
    make.__name__: make
    for make in (
        *(npy, npz, parquet, hdf5, packed_hdf5, zarr, tiff_stack, tiff_bands, tiff_volumes, nifti),
        *(nifti_in_time, dicom, audio),
        *(ts, arff, webdataset, webdataset_of_arrays, zip_of_images),
    )
}
#: what has to be said besides
SETTINGS: dict[str, dict[str, object]] = {"audio": {"window": 0.08}, "tiff_volumes": {"kind": "volumes"}}
LABELLED = ("npz", "parquet", "hdf5", "packed_hdf5", "zarr", "ts", "arff", "webdataset", "webdataset_of_arrays")
