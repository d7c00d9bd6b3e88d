"""What each light command imports: nobody waits for torch, SciPy or pandas to be told of a mistyped name."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

HEAVY = ("torch", "scipy", "sklearn", "pandas", "matplotlib", "accelerate", "datasets", "kornia", "torchmetrics")
#: runs a command as a person would, then says which packages were imported for it
PROGRAM = """
import json, sys
from deepinfomax import cli
sys.argv = ["deepinfomax", *sys.argv[1:]]
try:
    cli.main()
except SystemExit as stop:
    code = stop.code or 0
else:
    code = 0
print("\\n" + json.dumps({"code": code, "loaded": sorted(name for name in sys.modules if "." not in name)}))
"""


def loaded(*words: str, folder: Path) -> tuple[int, set[str]]:
    environment = os.environ | {"DEEPINFOMAX_CACHE": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, cwd=folder, env=environment, check=True
    )
    answer = json.loads(done.stdout.splitlines()[-1])
    return answer["code"], {name for name in HEAVY if name in answer["loaded"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images, and a run that holds what a report shows."""
    root = tmp_path_factory.mktemp("start")
    (root / "images").mkdir()
    rng = np.random.default_rng(0)
    for i in range(12):
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(root / "images" / f"{i}.png")
    (root / "run").mkdir()
    (root / "run" / "config.toml").write_text('[objective.prior]\nprior = "uniform"\n')
    lines = ({"event": "step", "step": n, "local": -0.1 * n, "local/bound": 0.1 * n} for n in (20, 40))
    (root / "run" / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
    evaluation = {"measures": {"knn": {"y": {"accuracy": 0.5}}}, "controls": {}, "notes": []}
    (root / "run" / "evaluation.json").write_text(json.dumps(evaluation))
    np.savez(root / "run" / "embeddings_sample.npz", y=rng.normal(size=(50, 4)).astype(np.float32))
    return root


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([], 0),
        (["--help"], 0),
        (["--version"], 0),
        (["evaluate", "--help"], 0),
        (["train", "--help"], 0),
        (["recipes"], 0),
        (["train", "nowhere"], 2),
        (["train", "images", "--recipe", "dim"], 2),
        (["train", "images", "--config", "none.toml"], 2),
        (["train", "images", "--scale", "huge"], 2),
        (["train", "images", "--resume", "--out", "nowhere"], 2),
        (["data", "nowhere"], 2),
        (["data", "cifar1O"], 2),
        (["report", "nowhere"], 2),
        (["evaluate", "nowhere"], 2),
        (["evaluate", "run", "--data", "nowhere"], 2),
        (["embed", "nowhere", "images", "--out", "y.npy"], 2),
        (["neighbours", "nowhere"], 2),
        (["explore", "nowhere"], 2),
        (["explore", "images", "--run", "nowhere"], 2),
        (["neighbours", "run", "nowhere"], 2),
        (["export", "nowhere"], 2),
        (["estimate-mi", "x.npy", "y.npy"], 2),
    ],
)
def test_help_and_mistakes_import_nothing_heavy(folder: Path, words: list[str], code: int) -> None:
    assert loaded(*words, folder=folder) == (code, set())


def test_a_report_needs_torch_for_the_names_of_measures_and_nothing_else_for_models(folder: Path) -> None:
    assert loaded("report", "run", folder=folder) == (0, {"torch", "matplotlib"})


@pytest.mark.parametrize("data", ["images", "digits", "photos"])
def test_describing_data_imports_nothing_heavy(folder: Path, data: str) -> None:
    assert loaded("data", data, folder=folder) == (0, set())


def test_columns_of_a_parquet_file_are_read_without_pyarrow_s_own_data_sets(tmp_path: Path) -> None:
    """Their import takes half a second, most of it for pandas."""
    parquet.write_table(pa.table({"label": [0, 1, 1], "other": [1, 2, 3]}), tmp_path / "a.parquet")
    code = (
        "import sys; from pathlib import Path; from deepinfomax.data.formats import parquet; "
        "print(parquet._column(Path('a.parquet'), 'label').to_pylist(), 'pyarrow.dataset' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == "[0, 1, 1] False\n"


def test_measuring_imports_what_a_measure_needs_when_it_is_taken() -> None:
    code = "import sys, deepinfomax.evaluation.evaluate_command, deepinfomax.training.train_run; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"scipy", "sklearn", "pandas", "datasets", "kornia", "torchmetrics"} & set(done.stdout.split())
