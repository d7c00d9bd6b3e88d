"""What a person gets wrong with data and words: one line that says what is meant, before anything is computed."""

from pathlib import Path

import numpy as np
import pytest

from command import mistake, run
from deepinfomax.data import from_array
from deepinfomax.errors import UserError

TINY = [
    "encoder.width",
    "4",
    "encoder.fc",
    "16",
    "encoder.y",
    "8",
    "training.trackers",
    "[]",
    "training.batch_size",
    "8",
]


def test_data_tells_what_training_would_refuse(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    gone = rng.standard_normal((40, 3, 64)).astype(np.float32)
    gone[:, 1] = np.nan
    for name, items, says in (
        ("one", rng.standard_normal((1, 3, 64)), "has 1 item to train on"),
        ("tiny", rng.integers(0, 255, (50, 4, 4, 3), np.uint8), "too small for the default encoder, which takes 8"),
        ("gone", gone, "channel 1 has no value at all, every one is NaN: leave it out"),
    ):
        np.save(tmp_path / f"{name}.npy", items)
        code, out, _ = run(capsys, "data", str(tmp_path / f"{name}.npy"))
        assert code == 0
        assert says in out
        assert "deepinfomax train" not in out


def test_data_that_were_moved_are_asked_for(
    capsys: pytest.CaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.savez("mine.npz", images=rng.integers(0, 256, (40, 16, 16), np.uint8), labels=np.arange(40) % 2)
    words = ("--scale", "smoke", "--device", "cpu", *TINY)
    assert run(capsys, "train", "mine.npz", "--out", "run", *words)[0] == 0
    Path("mine.npz").rename("moved.npz")
    for asked in (("evaluate", "run"), ("neighbours", "run"), ("train", "--resume", "--out", "run")):
        told = mistake(capsys, *asked)
        assert told.startswith("deepinfomax: the data of run are not at ")
        assert "mine.npz any more: say where they are, data.source PATH" in told
    measures = ("--measures", "knn", "--controls", "none", "--scale", "smoke", "data.holdout", "0.4")
    code, _, err = run(capsys, "evaluate", "run", "data.source", "moved.npz", *measures)
    assert code == 0, err
    assert "moved.npz is one word too many: other data are data.source PATH" in mistake(
        capsys, "evaluate", "run", "moved.npz"
    )


def test_other_data_are_refused_on_resume_before_all_else(
    capsys: pytest.CaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.save("series.npy", rng.standard_normal((40, 3, 64)).astype(np.float32))
    np.save("few.npy", rng.standard_normal((4, 3, 64)).astype(np.float32))
    np.save("volumes.npy", rng.standard_normal((40, 2, 16, 16, 16)).astype(np.float32))
    words = ("--scale", "smoke", "--device", "cpu", *TINY)
    assert run(capsys, "train", "series.npy", "--out", "run", *words)[0] == 0
    for other, count in (("few.npy", "4 images of 3x64"), ("volumes.npy", "40 images of 2x16x16x16")):
        told = mistake(capsys, "train", other, "--resume", "--out", "run", *words)
        assert f"cannot resume run: the data changed (40 images of 3x64 before, {count} now)" in told


def test_small_mistakes_are_answered_with_what_was_meant(
    capsys: pytest.CaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.save("images.npy", rng.integers(0, 256, (40, 16, 16), np.uint8))
    assert run(capsys, "train", "images.npy", "--out", "run", "--scale", "smoke", "--device", "cpu", *TINY)[0] == 0
    asked = ("embed", "run", "images.npy", "--out", "e.npy", "--split", "train, test")
    assert mistake(capsys, *asked).endswith("several are joined by +: train+test")
    assert "did you mean 'dim-fast'?" in mistake(capsys, "train", "images.npy", "--recipe", "dim-fst", "--out", "r")
    assert "did you mean 'linear'?" in mistake(capsys, "evaluate", "run", "--measures", "lineer", "data.holdout", "0.4")
    Path("bad.npy").write_text("not found")
    assert "by its first bytes it is something else" in mistake(capsys, "data", "bad.npy")
    Path("recordings").mkdir()
    Path("recordings/a.csv").write_text("1,2\n3,4\n")
    assert "stack them into one array, numpy.stack, and give that as .npy" in mistake(capsys, "data", "recordings")
    names = [f"w{i}" for i in range(40)]
    Path("spectra.csv").write_text(",".join(names) + "\n" + ",".join(["0.5"] * 40) + "\n")
    told = mistake(capsys, "data", "spectra.csv")
    assert "w11 and 28 more" in told
    assert "numpy.save them as (rows, steps)" in told
    with pytest.raises(UserError, match="its items have several lengths; cut or pad them to one"):
        from_array([[1.0, 2.0], [3.0]])
