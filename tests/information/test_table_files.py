"""Files of columns as people write them, read without pandas."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deepinfomax.errors import UserError
from deepinfomax.information.table_files import read_file


def written(folder: Path, content: str | bytes, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        "a,b\n1.5,x\n2.5,y\n",
        "a;b\r\n1.5;x\r\n2.5;y\r\n",
        "a;b\n1,5;x\n2,5;y\n",
        "a\tb\n1,5\tx\n2,5\ty\n",
        "\ufeffa,b\n1.5,x\n2.5,y\n",
        "a|b\n1.5|x\n2.5|y\n",
        "a , b\n 1.5 , x \n 2.5 , y \n\n,\n",
        "a,b,\n1.5,x,\n2.5,y,\n",
        'a,b\n1.5,"x"\n2.5,"y"\n',
        "\ufeffa;b\n1,5;x\n2,5;y\n;\n".encode("utf-16-le"),
    ],
)
def test_one_table_written_in_many_ways(tmp_path: Path, content: str | bytes) -> None:
    table = read_file(written(tmp_path, content))
    assert list(table) == ["a", "b"]
    assert table["a"].tolist() == [1.5, 2.5]
    assert table["b"].tolist() == ["x", "y"]


def test_kinds_of_columns(tmp_path: Path) -> None:
    text = "n,f,w,b,day\n1,1,NA,True,2024-01-01\n2,,dog,False,2024-01-02\n3,nan,cat,,2024-01-03\n"
    table = read_file(written(tmp_path, text))
    assert table["n"].dtype == np.int64
    np.testing.assert_array_equal(table["f"], [1, np.nan, np.nan])
    assert table["w"].tolist() == [None, "dog", "cat"]
    assert table["b"].tolist() == [True, False, None]
    assert table["day"].tolist() == ["2024-01-01", "2024-01-02", "2024-01-03"]


def test_a_first_line_of_numbers_is_a_row_and_a_count_is_names(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(5, 2))
    np.savetxt(tmp_path / "x.csv", x, delimiter=",")
    table = read_file(tmp_path / "x.csv")
    np.testing.assert_allclose(np.stack([table["1"], table["2"]], 1), x)
    assert list(read_file(written(tmp_path, "0,1,2\n5,6,7\n"))) == ["0", "1", "2"]
    assert list(read_file(written(tmp_path, ",0,1\n0,5,6\n"))) == ["column 1", "0", "1"]  # with an index of pandas


def test_columns_of_parquet(tmp_path: Path) -> None:
    columns = {
        "vector": pa.array([[1.0, 2.0], [3.0, 4.0]]),
        "fixed": pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32(), 2)),
        "kind": pa.array(["x", None]).dictionary_encode(),
        "class": pa.array(["x", " "]),
        "whole": pa.array([1, None]),
        "day": pa.array([0, 1], pa.date32()),
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    table = read_file(tmp_path / "t.parquet")
    for name in ("vector", "fixed"):
        np.testing.assert_array_equal(table[name], [[1, 2], [3, 4]])
    assert table["kind"].tolist() == ["x", None]
    assert table["class"].tolist() == ["x", None]  # what `embed` writes for an image without a label is ""
    assert table["whole"].tolist() == [1, None]
    assert table["whole"].dtype.kind == "i"
    assert table["day"].tolist() == ["1970-01-01", "1970-01-02"]


@pytest.mark.parametrize(
    ("content", "name", "says"),
    [
        ("a,a\n1,2\n", "t.csv", "two columns called 'a': give each a name of its own"),
        ("a,b\n1,2,3\n", "t.csv", "cannot be read: CSV parse error: Expected 2 columns, got 3"),
        ("a,b\n", "t.csv", "has no rows"),
        ("", "t.csv", "cannot be read"),
        (b"a,b\n1,2\n"[:3] + b"\xff\n1,2\n", "t.csv", "cannot be read"),
        ("not parquet", "t.parquet", "cannot be read"),
        ("not a zip", "t.npz", "cannot be read"),
        ("a", "t.xlsx", "unknown kind of file"),
    ],
)
def test_what_is_no_table_is_one_line(tmp_path: Path, content: str | bytes, name: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as refused:
        read_file(written(tmp_path, content, name))
    assert "\n" not in str(refused.value)


def test_a_reader_that_gives_no_reason_is_one_line_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*arguments: object, **settings: object) -> None:
        raise EOFError

    monkeypatch.setattr(np, "load", silent)
    with pytest.raises(UserError, match=r"t\.npz cannot be read: EOFError$"):
        read_file(written(tmp_path, "", "t.npz"))


def test_lists_of_different_lengths_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"v": [[1.0], [1.0, 2.0]]}), tmp_path / "t.parquet")
    with pytest.raises(UserError, match="column v holds lists of different lengths"):
        read_file(tmp_path / "t.parquet")


def test_a_table_needs_no_pandas(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savetxt(tmp_path / "t.csv", rng.normal(size=(100, 2)), delimiter=",", header="a,b", comments="")
    program = """
import sys
sys.modules["pandas"] = None  # as where it is not installed
from deepinfomax import cli
sys.argv = ["deepinfomax", "estimate-mi", *sys.argv[1:]]
cli.main()
from deepinfomax.errors import UserError
from deepinfomax.information.tables import mi_matrix
try:
    mi_matrix({"a": [0.5 * i for i in range(60)], "b": [0.1 * i * i for i in range(60)]}).to_frame()
except UserError as error:
    print(error)
"""
    words = [sys.executable, "-c", program, str(tmp_path / "t.csv"), "--matrix"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "a · b" in done.stdout
    assert "needs pandas" in done.stdout


def test_archives_that_hold_no_columns(tmp_path):
    file = tmp_path / "a.npz"
    x = np.arange(60.0)
    np.savez(file, x=x, count=np.float64(3))
    with pytest.raises(UserError, match=r"count of a\.npz is no column: leave it out"):
        read_file(file)
    np.savez(file)
    with pytest.raises(UserError, match=r"a\.npz has no columns: write it with numpy\.savez"):
        read_file(file)
    np.save(tmp_path / "x.npy", x)
    (tmp_path / "x.npy").replace(file)
    with pytest.raises(UserError, match=r"a\.npz has no columns"):
        read_file(file)
    file.write_bytes(b"PK\x03\x04" + 100 * b"garbage")
    with pytest.raises(UserError, match=r"a\.npz cannot be read: "):
        read_file(file)
    np.savez_compressed(file, x=x, y=x)
    damaged = bytearray(file.read_bytes())
    damaged[100:130] = bytes(byte ^ 0x5A for byte in damaged[100:130])
    file.write_bytes(damaged)
    with pytest.raises(UserError, match=r"a\.npz cannot be read: "):
        read_file(file)
