"""Small copies of published data sets, in the files that their authors pack them in: same names, bytes and order.

Each writer takes the folder that holds the set's files and says what they hold. Pixels are random.
"""

import gzip
import io
import pickle
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.io import savemat

Parts = dict[str, tuple[np.ndarray, np.ndarray | None]]


@dataclass
class Written:
    """What was written: for each part its pixels, (N, C, H, W) uint8, and labels; and the names of the classes."""

    parts: Parts
    classes: tuple[str, ...]


class PickleOfPython2(pickle._Pickler):
    """Writes what Python 2 wrote, with the names that NumPy had then: `str` is bytes, and a string is one too."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_bytes(self, value: bytes) -> None:
        if len(value) < 256:
            self.write(pickle.SHORT_BINSTRING + struct.pack("<B", len(value)) + value)
        else:
            self.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)
        self.memoize(value)

    def save_text(self, value: str) -> None:
        self.save_bytes(value.encode("latin1"))

    def save(self, value: Any, save_persistent_id: bool = True) -> None:
        if getattr(value, "__name__", "") == "_reconstruct" and id(value) not in self.memo:
            self.write(pickle.GLOBAL + b"numpy.core.multiarray\n_reconstruct\n")
            self.memoize(value)
        else:
            super().save(value, save_persistent_id)

    dispatch[bytes], dispatch[str] = save_bytes, save_text


def pickle_of_python_2(file: Path, content: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as opened:
        PickleOfPython2(opened, 2).dump(content)


def random_pixels(seed: int, count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(16, 256, (count, *shape), dtype=np.uint8)


CIFAR_10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FINE = tuple(f"fine_{i:03}" for i in range(100))
COARSE = tuple(f"coarse_{i:02}" for i in range(20))


def cifar10(seed: int = 0, each: int = 3) -> tuple[Written, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """What a copy of CIFAR-10 holds, and the pixels and labels of each of its six batches."""
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    rng = np.random.default_rng(seed)
    batches = {n: (random_pixels(seed + i, each, 3, 32, 32), rng.integers(0, 10, each)) for i, n in enumerate(names)}
    train = [batches[name] for name in names[:5]]
    parts: Parts = {
        "train": (np.concatenate([pixels for pixels, _ in train]), np.concatenate([labels for _, labels in train])),
        "test": batches["test_batch"],
    }
    return Written(parts, CIFAR_10), batches


def cifar10_python(folder: Path) -> Written:
    written, batches = cifar10()
    for name, (pixels, labels) in batches.items():
        rows = {b"data": pixels.reshape(len(pixels), -1), b"labels": labels.tolist(), b"batch_label": b"batch"}
        pickle_of_python_2(folder / name, rows | {b"filenames": [b"a_s_000004.png"] * len(labels)})
    meta = {b"label_names": [name.encode() for name in CIFAR_10], b"num_cases_per_batch": 10000, b"num_vis": 3072}
    pickle_of_python_2(folder / "batches.meta", meta)
    (folder / "readme.html").write_text("<meta>")
    return written


def cifar10_binary(folder: Path) -> Written:
    written, batches = cifar10()
    folder.mkdir(parents=True)
    for name, (pixels, labels) in batches.items():
        content = b"".join(bytes([label]) + image.tobytes() for image, label in zip(pixels, labels, strict=True))
        (folder / f"{name}.bin").write_bytes(content)
    (folder / "batches.meta.txt").write_text("\n".join(CIFAR_10) + "\n\n")  # with its empty line
    return written


def cifar100(seed: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Pixels, fine labels and coarse labels of each part."""
    rng = np.random.default_rng(seed)
    return {
        part: (random_pixels(seed + count, count, 3, 32, 32), rng.integers(0, 100, count), rng.integers(0, 20, count))
        for part, count in (("train", 7), ("test", 4))
    }


def _cifar100_written(coarse: bool) -> Written:
    parts: Parts = {name: (part[0], part[2 if coarse else 1]) for name, part in cifar100().items()}
    return Written(parts, COARSE if coarse else FINE)


def cifar100_python(folder: Path, coarse: bool = False) -> Written:
    for name, (pixels, fine, rough) in cifar100().items():
        labels = {b"fine_labels": fine.tolist(), b"coarse_labels": rough.tolist()}
        pickle_of_python_2(folder / name, {b"data": pixels.reshape(len(pixels), -1)} | labels)
    names = {b"fine_label_names": [n.encode() for n in FINE], b"coarse_label_names": [n.encode() for n in COARSE]}
    pickle_of_python_2(folder / "meta", names)
    return _cifar100_written(coarse)


def cifar100_binary(folder: Path, coarse: bool = False) -> Written:
    folder.mkdir(parents=True)
    for name, (pixels, fine, rough) in cifar100().items():
        rows = zip(pixels, fine, rough, strict=True)
        (folder / f"{name}.bin").write_bytes(b"".join(bytes([c, f]) + image.tobytes() for image, f, c in rows))
    (folder / "fine_label_names.txt").write_text("\n".join(FINE) + "\n")
    (folder / "coarse_label_names.txt").write_text("\n".join(COARSE) + "\n")
    return _cifar100_written(coarse)


STL_10 = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")


def stl10(
    folder: Path, train: int = 12, unlabeled: int = 5, folds: Sequence[Sequence[int]] = ((0, 2), (1, 3))
) -> Written:
    """Images column by column, labels from 1 on."""
    folder.mkdir(parents=True)
    parts: Parts = {}
    for seed, (name, count) in enumerate((("train", train), ("test", 4), ("unlabeled", unlabeled))):
        pixels = random_pixels(seed, count, 3, 96, 96)
        with (folder / f"{name}_X.bin").open("wb") as file:
            for image in pixels:
                for channel in image:
                    for column in range(96):
                        file.write(channel[:, column].tobytes())
        labels = np.arange(count) * 7 % 10
        parts[name] = (pixels, None if name == "unlabeled" else labels)
        if name != "unlabeled":
            (folder / f"{name}_y.bin").write_bytes(bytes((labels + 1).tolist()))
    (folder / "class_names.txt").write_text("\n".join(STL_10) + "\n")
    (folder / "fold_indices.txt").write_text("".join(" ".join(map(str, fold)) + " \n" for fold in folds))
    return Written(parts, STL_10)


def svhn(folder: Path, extra: bool = True) -> Written:
    """(32, 32, 3, N), and 10 for the digit 0."""
    folder.mkdir(parents=True, exist_ok=True)
    parts: Parts = {}
    for seed, (name, count) in enumerate((("train", 11), ("test", 4), ("extra", 3))):
        if name == "extra" and not extra:
            continue
        pixels, digits = random_pixels(seed, count, 3, 32, 32), np.arange(count) * 3 % 10
        stored = np.array([10 if digit == 0 else digit for digit in digits], np.uint8)[:, None]
        file = folder / f"{name}_32x32.mat"
        savemat(file, {"X": pixels.transpose(2, 3, 1, 0), "y": stored}, do_compression=True)
        parts[name] = (pixels, digits)
    return Written(parts, tuple("0123456789"))


def idx_bytes(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def mnist(
    folder: Path,
    classes: Sequence[str] = tuple("0123456789"),
    compressed: bool = True,
    names: Mapping[str, tuple[str, str]] | None = None,
    first: int = 0,
    turned: bool = False,
    seed: int = 0,
) -> Written:
    """MNIST; with other `names` of its files, a first label that is not 0 and turned images, EMNIST."""
    folder.mkdir(parents=True, exist_ok=True)
    parts: Parts = {}
    names = names or {
        "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
        "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
    }
    for number, (part, files) in enumerate(names.items()):
        count = 9 - 4 * number
        images = random_pixels(seed + number, count, 28, 28)
        labels = np.arange(count) * 5 % len(classes)
        stored = np.stack([image.T for image in images]) if turned else images
        for name, array in zip(files, (stored, (labels + first).astype(np.uint8)), strict=True):
            content = idx_bytes(np.ascontiguousarray(array))
            if compressed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(content))
            else:
                (folder / name).write_bytes(content)
        parts[part] = (images[:, None], labels)
    return Written(parts, tuple(classes))


def emnist_names(split: str) -> dict[str, tuple[str, str]]:
    return {
        part: (f"emnist-{split}-{part}-images-idx3-ubyte", f"emnist-{split}-{part}-labels-idx1-ubyte")
        for part in ("train", "test")
    }


def png(file: Path, seed: int, size: int = 8) -> np.ndarray:
    """Lossless pixels under a name that may end in .jpg, as the files' first bytes say what they are: (3, H, W)."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = random_pixels(seed, 1, size, size, 3)[0]
    Image.fromarray(pixels).save(file, format="png")
    return pixels.transpose(2, 0, 1)


_NAMES = """
5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair Blond_Hair Blurry
Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair Heavy_Makeup High_Cheekbones Male
Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks
Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace
Wearing_Necktie Young
"""
ATTRIBUTES = tuple(_NAMES.split())


def celeba(folder: Path, form: str = "torchvision", csv: bool = False, count: int = 9) -> Written:
    """`form`: "torchvision" has all in one folder; "published" has Img, Anno and Eval; "kaggle" has csv lists.

    The images are zipped in the published form.
    """
    images = folder / {"torchvision": "", "published": "Img", "kaggle": "img_align_celeba"}[form] / "img_align_celeba"
    lists = {"torchvision": ("", ""), "published": ("Anno", "Eval"), "kaggle": ("", "")}[form]
    rng = np.random.default_rng(0)
    names = [f"{i:06}.jpg" for i in range(1, count + 1)]
    pixels = np.stack([png(images / name, i) for i, name in enumerate(names)])
    values = rng.integers(0, 2, (count, 40)) * 2 - 1
    parts = np.resize([0, 2, 0, 1, 0, 2, 1, 0, 0], count)
    anno, evaluation = (folder / place for place in lists)
    for place in (anno, evaluation):
        place.mkdir(parents=True, exist_ok=True)
    if form == "kaggle":
        rows = [f"{name},{','.join(map(str, row))}" for name, row in zip(names, values.tolist(), strict=True)]
        (anno / "list_attr_celeba.csv").write_text("\n".join([",".join(["image_id", *ATTRIBUTES]), *rows]) + "\n")
        rows = [f"{name},{part}" for name, part in zip(names, parts, strict=True)]
        (evaluation / "list_eval_partition.csv").write_text("\n".join(["image_id,partition", *rows]) + "\n")
    else:
        rows = [f"{name} " + " ".join(f"{v:2d}" for v in row) for name, row in zip(names, values.tolist(), strict=True)]
        (anno / "list_attr_celeba.txt").write_text("\n".join([str(count), " ".join(ATTRIBUTES) + " ", *rows]) + "\n")
        rows = [f"{name} {part}" for name, part in zip(names, parts, strict=True)]
        (evaluation / "list_eval_partition.txt").write_text("\n".join(rows) + "\n")
        (anno / "identity_CelebA.txt").write_text("\n".join(f"{name} 7" for name in names) + "\n")
    if form == "published":
        zipped(images, folder / "Img" / "img_align_celeba.zip")
        shutil.rmtree(images)
    written: Parts = {
        name: (pixels[parts == number], (values[parts == number] + 1) // 2)
        for number, name in enumerate(("train", "valid", "test"))
    }
    return Written(written, ATTRIBUTES)


def tiny_imagenet(folder: Path) -> Written:
    parts: Parts = {}
    wnids = ["n02", "n01"]
    train = {
        wnid: [png(folder / f"train/{wnid}/images/{wnid}_{i}.JPEG", i + 5 * j) for i in range(2)]
        for j, wnid in enumerate(wnids)
    }
    parts["train"] = (np.stack(train["n01"] + train["n02"]), np.array([0, 0, 1, 1]))
    rows = ["n02", "n01", "n02"]
    val = [png(folder / "val" / "images" / f"val_{i}.JPEG", 20 + i) for i in range(3)]
    parts["test"] = (np.stack(val), np.array([1, 0, 1]))
    png(folder / "test" / "images" / "test_0.JPEG", 30)
    (folder / "val" / "val_annotations.txt").write_text(
        "".join(f"val_{i}.JPEG\t{wnid}\t0\t0\t8\t8\n" for i, wnid in enumerate(rows))
    )
    (folder / "wnids.txt").write_text("n02\nn01\n")
    (folder / "words.txt").write_text("n01\tgoldfish, Carassius auratus\nn02\tbullfrog\nn03\tnot used\n")
    return Written(parts, ("goldfish", "bullfrog"))


#: synset -> words; two are called crane, as in the original
SYNSETS = {
    "n01440764": "tench, Tinca tinca",
    "n02012849": "crane",
    "n03126707": "crane",
}
IMAGENET_CLASSES = ("tench", "crane (n02012849)", "crane (n03126707)")


def imagenet(train: Path, val: Path, by_class: bool = False) -> tuple[Written, list[str]]:
    """The images of train and val, and the synset of each image of val, which lie in one folder or `by_class`."""
    parts: Parts = {}
    pixels = [png(train / wnid / f"{wnid}_{i}.JPEG", 3 * j + i) for j, wnid in enumerate(SYNSETS) for i in range(2)]
    parts["train"] = (np.stack(pixels), np.repeat(np.arange(3), 2))
    truth = ["n03126707", "n01440764", "n01440764", "n02012849"]
    names = [f"ILSVRC2012_val_{i:08}.JPEG" for i in range(1, 5)]
    folders = [val / wnid if by_class else val for wnid in truth]
    pixels = [png(folder / name, 40 + i) for i, (folder, name) in enumerate(zip(folders, names, strict=True))]
    order = [1, 2, 3, 0] if by_class else [0, 1, 2, 3]
    labels = np.array([list(SYNSETS).index(wnid) for wnid in truth])
    parts["test"] = (np.stack(pixels)[order], labels[order])
    return Written(parts, IMAGENET_CLASSES), truth


def imagenet_kaggle(folder: Path) -> Written:
    images = folder / "ILSVRC" / "Data" / "CLS-LOC"
    written, truth = imagenet(images / "train", images / "val")
    png(images / "test" / "ILSVRC2012_test_00000001.JPEG", 50)
    (folder / "LOC_synset_mapping.txt").write_text("".join(f"{wnid} {words}\n" for wnid, words in SYNSETS.items()))
    rows = [f"ILSVRC2012_val_{i:08},{wnid} 1 2 3 4 {wnid} 5 6 7 8 \n" for i, wnid in enumerate(truth, 1)]
    (folder / "LOC_val_solution.csv").write_text("ImageId,PredictionString\n" + "".join(reversed(rows)))
    return written


def devkit(folder: Path, truth: Sequence[str]) -> None:
    """meta.mat and the ground truth of the development kit: its numbers are not in the order of the synsets."""
    folder.mkdir(parents=True)
    numbers = {wnid: number for number, wnid in enumerate(reversed(SYNSETS), 1)}
    rows = [(numbers[wnid], wnid, words, "a gloss", 0) for wnid, words in SYNSETS.items()]
    rows.append((1001, "n00000001", "above", "not a class", 2))
    kinds = [("ILSVRC2012_ID", "f8"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "f8")]
    savemat(folder / "meta.mat", {"synsets": np.array(rows, dtype=kinds).reshape(-1, 1)})
    lines = "".join(f"{numbers[wnid]}\n" for wnid in truth)
    (folder / "ILSVRC2012_validation_ground_truth.txt").write_text(lines)


def imagenet_archives(folder: Path, work: Path) -> Written:
    """The three archives of 2012; the one of train holds one archive for each class."""
    written, truth = imagenet(work / "train", work / "val")
    devkit(work / "kit" / "ILSVRC2012_devkit_t12" / "data", truth)
    folder.mkdir(parents=True)
    with tarfile.open(folder / "ILSVRC2012_img_train.tar", "w") as outer:
        for wnid in SYNSETS:
            packed = io.BytesIO()
            with tarfile.open(fileobj=packed, mode="w") as inner:
                for file in sorted((work / "train" / wnid).iterdir()):
                    inner.add(file, file.name)
            info = tarfile.TarInfo(f"{wnid}.tar")
            info.size = len(packed.getvalue())
            outer.addfile(info, io.BytesIO(packed.getvalue()))
    with tarfile.open(folder / "ILSVRC2012_img_val.tar", "w") as outer:
        for file in sorted((work / "val").iterdir()):
            outer.add(file, file.name)
    tarred(work / "kit" / "ILSVRC2012_devkit_t12", folder / "ILSVRC2012_devkit_t12.tar.gz")
    return written


def zipped(folder: Path, archive: Path) -> Path:
    """A zip of a folder, with the folder's own name in it."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as content:
        for file in sorted(folder.rglob("*")):
            content.write(file, file.relative_to(folder.parent))
    return archive


def tarred(folder: Path, archive: Path) -> Path:
    """A tar of a folder, with the folder's own name in it; the ending says whether it is compressed."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w" if archive.suffix == ".tar" else "w:gz") as content:
        content.add(folder, folder.name)
    return archive
