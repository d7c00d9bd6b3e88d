"""Malformed data: broken images, arrays, archives, tables, folders and names, given to the commands that read them."""

import io
import json
import os
import shutil
import socket
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from harming.running import Count, Ended, Place, run
from harming.scans import columns, scans
from harming.spoiling import spoilt
from harming.things import SIDE, SMALL, things

Maker = Callable[[Path, Place], tuple[str, ...]]  #: makes the input in an empty folder; returns what it did, and words

FORMATS = {"png": "PNG", "jpg": "JPEG", "gif": "GIF", "bmp": "BMP", "tif": "TIFF", "webp": "WEBP", "ppm": "PPM"}
MODES = {"png": ("RGB", "L", "RGBA", "P", "1", "I;16"), "tif": ("RGB", "L", "CMYK", "F", "I"), "gif": ("P", "L")}
NAMES = (
    *("a b", "ünï", "名前", "🦆", "a\nb", "a\tb", "\x1b[31mred", "$x^2_$", "<b>&", "%s{0}", "'\"", "-out", ".hidden"),
    *("a,b;c", "x" * 200, "CON", "a" * 3 + ".png.png", "trail ", "\\back", "train", "Test", "*", "~", "#", "a=b"),
    os.fsdecode(b"bad\xff"),
)
GOOD = 8  #: sound images beside the harmed ones


def picture(rng: np.random.Generator, ending: str, mode: str = "RGB", size: tuple[int, int] = (SIDE, SIDE)) -> bytes:
    pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    image = Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)
    content = io.BytesIO()
    image.save(content, FORMATS[ending])
    return content.getvalue()


def images(folder: Path, place: Place) -> tuple[str, ...]:
    """A folder of images some of which are spoilt."""
    rng = np.random.default_rng(place.rng.randrange(2**32))
    ending = place.rng.choice(list(FORMATS))
    mode = place.rng.choice(MODES.get(ending, ("RGB", "L")))
    (folder / "d").mkdir()
    for i in range(GOOD):
        (folder / "d" / f"{i}.{ending}").write_bytes(picture(rng, ending, mode))
    said = []
    for i in range(place.rng.choice((1, 1, 3))):
        content, how = spoilt(picture(rng, ending, mode), place)
        (folder / "d" / f"bad{i}.{ending}").write_bytes(content)
        said.append(how)
    skip = ("data.skip_bad", "true") if place.rng.random() < 0.5 else ()
    words = (("data", "d", "--json", *skip), _train("d", *skip))[place.rng.random() < 0.3]
    return f"{mode} {ending}: {', '.join(said)}", *words


def query(folder: Path, place: Place) -> tuple[str, ...]:
    """A spoilt image as a query."""
    rng = np.random.default_rng(place.rng.randrange(2**32))
    ending = place.rng.choice(list(FORMATS))
    content, how = spoilt(picture(rng, ending), place)
    (folder / f"q.{ending}").write_bytes(content)
    return f"{ending}: {how}", "neighbours", "run", "a.npz", "--query", f"q.{ending}", "--json"


def sizes(folder: Path, place: Place) -> tuple[str, ...]:
    """Images of odd and of different sizes and modes."""
    rng = np.random.default_rng(place.rng.randrange(2**32))
    (folder / "d").mkdir()
    chosen = [
        (place.rng.choice((1, 2, 31, 32, 33, 200)), place.rng.choice((1, 2, 31, 32, 33, 200))) for _ in range(GOOD)
    ]
    if place.rng.random() < 0.5:
        chosen = [chosen[0]] * GOOD
    for i, size in enumerate(chosen):
        ending = place.rng.choice(list(FORMATS))
        mode = place.rng.choice(MODES.get(ending, ("RGB", "L")))
        (folder / "d" / f"{i}.{ending}").write_bytes(picture(rng, ending, mode, size))
    size = ("data.size", str(place.rng.choice((1, 16, 32)))) if place.rng.random() < 0.5 else ()
    words = (("data", "d", "--json", *size), _train("d", *size))[place.rng.random() < 0.5]
    return f"sizes {sorted(set(chosen))}", *words


def names(folder: Path, place: Place) -> tuple[str, ...]:
    """Odd names of folders, classes and files."""
    rng = np.random.default_rng(place.rng.randrange(2**32))
    root, *parts = place.rng.sample(NAMES, 4)
    for part in parts:
        inside = folder / root / part
        inside.mkdir(parents=True)
        for i in range(4):
            name = f"{place.rng.choice(NAMES)[:100]}{i}.png" if place.rng.random() < 0.5 else f"{i}.png"
            (inside / name).write_bytes(picture(rng, "png"))
    given = "./" + root
    words = (("data", given, "--json"), _train(given))[place.rng.random() < 0.5]
    return f"named {root!r}, {parts!r}", *words


def folders(folder: Path, place: Place) -> tuple[str, ...]:
    """Folders with links in circles, pipes, sockets, empty and broken files, and files of other kinds among images."""
    rng = np.random.default_rng(place.rng.randrange(2**32))
    root = folder / "d"
    for part in place.rng.choice((("",), ("x", "y"), ("train/x", "train/y", "test/x", "test/y"), ("train", "val"))):
        (root / part).mkdir(parents=True, exist_ok=True)
        for i in range(4):
            (root / part / f"{i}.png").write_bytes(picture(rng, "png"))
    odd: dict[str, Callable[[Path], object]] = {
        "loop": lambda f: (f / "loop").symlink_to(f),
        "dangling": lambda f: (f / "gone.png").symlink_to(f / "nowhere.png"),
        "link to a device": lambda f: (f / "zero.png").symlink_to("/dev/zero"),
        "pipe": lambda f: os.mkfifo(f / "pipe.png"),
        "socket": lambda f: socket.socket(socket.AF_UNIX).bind(os.path.relpath(f / "s.png")),
        "empty": lambda f: (f / "empty.png").touch(),
        "folder like an image": lambda f: (f / "folder.png").mkdir(),
        "text": lambda f: (f / "notes.png").write_text("not an image"),
        "other endings": lambda f: [(f / f"x.{e}").write_bytes(b"?") for e in ("heic", "pdf", "txt", "mp4")],
        "empty class": lambda f: (f / "empty class").mkdir(),
        "metadata": lambda f: (f / "metadata.csv").write_text("file_name,label\n0.png,a\nnone.png,b\n"),
        "classes.json": lambda f: (f / "classes.json").write_text('{"names": 3}'),
        "parquet": lambda f: (f / "x.parquet").write_bytes(b"PAR1 no more"),
        "folds": lambda f: (f / "fold_indices.txt").write_text("1 2 x\n"),
        "hidden": lambda f: (f / ".h.png").write_bytes(b"?"),
    }
    inside = [path for path in (root, *root.rglob("*")) if path.is_dir()]
    chosen = place.rng.sample(list(odd), place.rng.choice((1, 2, 4)))
    before = os.getcwd()
    try:
        os.chdir(folder)
        for name in chosen:
            odd[name](place.rng.choice(inside))
    finally:
        os.chdir(before)
    skip = ("data.skip_bad", "true") if place.rng.random() < 0.5 else ()
    words = (("data", "d", "--json", *skip), _train("d", *skip))[place.rng.random() < 0.3]
    return f"with {', '.join(chosen)}", *words


def tables(folder: Path, place: Place) -> tuple[str, ...]:
    """A CSV of paths with odd separators, quotes, encodings, cells, rows and damage."""
    rng = np.random.default_rng(place.rng.randrange(2**32))
    for i in range(GOOD):
        (folder / f"{i}.png").write_bytes(picture(rng, "png"))
    headers = ("path,label", "image,label,split", "file_name;label", "path\tlabel", "label", "path,path", "", "a,b")
    header = place.rng.choice(headers)
    cells = (
        "",
        "nan",
        "0",
        "x",
        "1.0",
        '"',
        '"a,b"',
        "名",
        "-1",
        "1e400",
        "\x00",
        "train",
        "test",
        "/etc/passwd",
        "0.png",
    )
    rows = [",".join((f"{i}.png", str(i % 3), "train")[: 1 + header.count(",")]) for i in range(GOOD)]
    for _ in range(place.rng.choice((0, 1, 3))):
        row = place.rng.randrange(len(rows))
        rows[row] = ",".join(place.rng.choice(cells) for _ in range(place.rng.choice((1, 2, 3, 30))))
    text = place.rng.choice(("\n", "\r\n", "\r")).join([header, *rows])
    content = text.encode(place.rng.choice(("utf-8", "utf-8-sig", "utf-16", "latin-1")), "replace")
    said = header
    if place.rng.random() < 0.4:
        content, how = spoilt(content, place)
        said += f", {how}"
    (folder / "t.csv").write_bytes(content)
    label = ("data.label", place.rng.choice(("label", "split", "none", "x", ""))) if place.rng.random() < 0.3 else ()
    words = (("data", "t.csv", "--json", *label), _train("t.csv", *label))[place.rng.random() < 0.3]
    return f"table {said!r}", *words


SHAPES = (
    *("(8, 3, 16, 16)", "(-8, 3, 4, 4)", "(True, 3, 4, 4)", "(9999999999999999999999, 3, 32, 32)", "(8,", "()", "None"),
    *("(2147483647, 2147483647)", "8", "[8, 3, 16, 16]", "('a', 3)", "(8.0, 3, 16, 16)", "(8, 3, 16, 16, 1)", "(0, 3)"),
)
TYPES = (
    *("'|u1'", "'<f4'", "'>f8'", "'<i8'", "'|O'", "'<U9'", "'|S3'", "'<c8'", "'M8[D]'", "'|V5'", "'zz'", "'|b1'", "3"),
    "[('a', '<i4')]",
)


def header_of(place: Place) -> bytes:
    """A .npy file with an odd header."""
    shape, kind, order = (place.rng.choice(values) for values in (SHAPES, TYPES, ("False", "True", "0", "'x'")))
    text = f"{{'descr': {kind}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    version, width = place.rng.choice(((1, "<H"), (2, "<I"), (3, "<I"), (9, "<H")))
    text += b" " * (63 - (8 + struct.calcsize(width) + len(text)) % 64) + b"\n"
    size = place.rng.choice((0, 100, 6144, 24576))
    return b"\x93NUMPY" + bytes((version, 0)) + struct.pack(width, len(text)) + text + place.rng.randbytes(size)


MEMBERS = ("images.npy", "labels", "../images.npy", "images/", "classes.npy", "x_train.npy", "images")
VALUES = ("f4", "f8", "f2", "i2", "u2", "i8", "u8", "bool", "c8", "object", "U3", "S3", "datetime64[s]")


def arrays(folder: Path, place: Place) -> tuple[str, ...]:
    """.npy and .npz files with odd headers, kinds, shapes, members and damage."""
    rng = np.random.default_rng(place.rng.randrange(2**32))
    how = place.rng.choice(("header", "spoilt", "values", "members", "labels"))
    suffix = place.rng.choice((".npy", ".npz"))
    file = folder / f"x{suffix}"
    sound = io.BytesIO()
    if suffix == ".npy":
        np.save(sound, rng.integers(0, 256, (GOOD, 3, 16, 16), dtype=np.uint8))
    else:
        np.savez(sound, images=rng.integers(0, 256, (GOOD, 3, 16, 16), dtype=np.uint8), labels=np.arange(GOOD) % 2)
    said = ""
    if how == "header":
        content = header_of(place)
        if suffix == ".npz":
            with zipfile.ZipFile(file, "w") as archive:
                archive.writestr("images.npy", content)
        else:
            file.write_bytes(content)
        said = repr(content[:100])
    elif how == "spoilt":
        content, said = spoilt(sound.getvalue(), place)
        file.write_bytes(content)
    elif how == "members":
        with zipfile.ZipFile(file, "w") as archive:
            for name in place.rng.sample(MEMBERS, 2):
                archive.writestr(name, place.rng.choice((sound.getvalue(), b"", b"text", header_of(place))))
                said += name + " "
    else:
        shape = place.rng.choice(((), (16,), (16, 16), (16, 16, 3), (5, 16, 16), (3, 0, 16), (2, 3, 16, 16)))
        shape = (place.rng.choice((0, 1, GOOD, GOOD)), *shape)
        values = rng.integers(0, 2, shape).astype(place.rng.choice(VALUES))
        if values.dtype.kind == "f" and values.size:
            values.reshape(-1)[:1] = place.rng.choice((np.nan, np.inf, -1e30, 0.5))
        said = f"{values.dtype} {shape}"
        if how == "labels":
            file = file.with_suffix(".npz")
            np.savez(file, images=rng.integers(0, 256, (GOOD, 3, 16, 16), dtype=np.uint8), labels=values)
        elif suffix == ".npy":
            np.save(file, values)
        else:
            np.savez(file, images=values)
    readers = (
        ("data", file.name, "--json"),
        _train(file.name),
        ("estimate-mi", file.name, file.name, "--steps", "3", "--json"),
        ("evaluate", file.name, "--measures", "knn", "--scale", "smoke"),
        ("embed", "run", file.name, "--out", "new.npz"),
    )
    return f"{suffix} {how}: {said}", *place.rng.choice(readers)


def parquet(folder: Path, place: Place) -> tuple[str, ...]:
    """Parquet files with odd columns, metadata and damage."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(place.rng.randrange(2**32))
    blobs = [picture(rng, "png") for _ in range(GOOD)]
    columns = place.rng.choice(
        (
            {"image": blobs, "label": [i % 2 for i in range(GOOD)]},
            {"image": [{"bytes": b, "path": None} for b in blobs], "label": ["a", None] * (GOOD // 2)},
            {"image": [{"bytes": None, "path": "nowhere.png"}] * GOOD},
            {"image": ["no/such.png"] * GOOD, "label": [0.5] * GOOD},
            {"image": [None] * GOOD, "label": [None] * GOOD},
            {"image": list(range(GOOD))},
            {"img": blobs, "label": [[1, 2]] * GOOD},
            {"embedding": [[1.0, 2.0]] * (GOOD - 1) + [[1.0]], "label": [0, 1] * (GOOD // 2)},
            {"embedding": [[1.0, float("nan")]] * GOOD, "label": [0, 1] * (GOOD // 2)},
            {"a": [1.0] * GOOD, "label": ["x"] * GOOD},
            {},
        )
    )
    table = pa.table(columns)
    metadata = place.rng.choice((None, b"{", b"[]", b"\xff", b'{"info": {"features": {"label": {"names": [1]}}}}'))
    if metadata is not None:
        table = table.replace_schema_metadata({b"huggingface": metadata})
    content = io.BytesIO()
    pq.write_table(table, content)
    data, said = content.getvalue(), f"{list(columns)}, metadata {metadata!r}"
    if place.rng.random() < 0.5:
        data, how = spoilt(data, place)
        said += f", {how}"
    (folder / "t.parquet").write_bytes(data)
    readers = (
        ("data", "t.parquet", "--json"),
        _train("t.parquet"),
        ("evaluate", "t.parquet", "--measures", "knn", "--scale", "smoke"),
    )
    return said, *place.rng.choice(readers)


def settings(folder: Path, place: Place) -> tuple[str, ...]:
    """A config.toml that is damaged, or holds odd values."""
    content, how = spoilt((things(place) / "run" / "config.toml").read_bytes(), place)
    (folder / "c.toml").write_bytes(content)
    return how, "train", "a.npz", "--config", "c.toml", "--out", "new", "training.steps", "2", "training.epochs", "1"


def embeddings(folder: Path, place: Place) -> tuple[str, ...]:
    """Damaged files of embeddings."""
    name = place.rng.choice(("e.npz", "e.npy", "e.parquet"))
    content, how = spoilt((things(place) / name).read_bytes(), place)
    (folder / name).write_bytes(content)
    if name == "e.npy" and place.rng.random() < 0.5:
        labels, more = spoilt((things(place) / "e.labels.npy").read_bytes(), place)
        (folder / "e.labels.npy").write_bytes(labels)
        how += f"; labels: {more}"
    return f"{name}: {how}", "evaluate", name, "--measures", "linear,knn", "--scale", "smoke"


MAKERS: dict[str, Maker] = {
    maker.__name__: maker
    for maker in (images, query, sizes, names, folders, tables, arrays, parquet, settings, embeddings, scans, columns)
}


def harm(place: Place, count: int) -> dict[str, Count]:
    """`count` malformed inputs, of each kind in turn."""
    counts = {name: Count() for name in MAKERS}
    for i in range(count):
        name = list(MAKERS)[i % len(MAKERS)]
        folder = place.fresh("inputs")
        folder.mkdir()
        shutil.copy(things(place) / "a.npz", folder)
        if name in ("query", "arrays"):
            shutil.copytree(things(place) / "run", folder / "run")
        said, *words = MAKERS[name](folder, place)
        ended = run(words, folder, environment={"DEEPINFOMAX_CACHE": str(folder / "cache")})
        counts[name].settle(ended, said, words, same=_nothing_left_out(folder, words, ended))
    return counts


def _nothing_left_out(folder: Path, words: list[str], ended: Ended) -> bool:
    """Whether a description of a folder of images speaks of every image file in it, in its counts or in a note."""
    if ended.code != 0 or words[0] != "data" or not (folder / "d").is_dir():
        return True
    described = json.loads(ended.out)
    notes = [note for part in described["parts"].values() for note in part["notes"] if "test part" not in note]
    files = [path for path in (folder / "d").rglob("*") if path.suffix[1:] in FORMATS and not path.name.startswith(".")]
    counted = sum(part["images"] for part in described["parts"].values())
    return counted >= len([path for path in files if not path.is_dir()]) or bool(notes or described["problems"])


def _train(data: str, *more: str) -> tuple[str, ...]:
    small = [word if word != "10" else "2" for word in SMALL]
    return "train", data, *small, "training.batch_size", "4", "--out", "new", *more
