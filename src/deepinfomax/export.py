"""A trained encoder for use elsewhere: ONNX, torch.export, a folder of safetensors, or the Hugging Face hub."""

import io
import json
import logging
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

import tomli_w
import torch
from torch import Tensor, nn

from deepinfomax import __version__, encoders, files
from deepinfomax import config as configuration
from deepinfomax.encoders import hub, storage
from deepinfomax.errors import UserError
from deepinfomax.training import run_folder


class _Outputs(nn.Module):
    """The encoder with a plain tuple as output: y, fc and conv, as far as it has them; `levels` has their names.

    It takes images in [-1, 1].
    """

    def __init__(self, encoder: nn.Module, image_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.encoder = encoder
        shapes = encoders.shapes_of(encoder, image_shape)
        self.levels = [level for level in ("y", "fc", "conv") if getattr(shapes, level) is not None]

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        features = self.encoder(images)
        return tuple(getattr(features, level) for level in self.levels)


FORMATS = ("onnx", "pt2", "safetensors", "hub")


def export(
    run: str | Path,
    format: str,
    *,
    out: Path | None = None,
    repo: str | None = None,
    private: bool = False,
    module: nn.Module | None = None,
) -> dict[str, Any]:
    """Write the encoder of a run for use elsewhere.

    Args:
        run: a run folder.
        format: "onnx"; "pt2", a program of `torch.export` that needs torch and nothing of this package; "safetensors",
            a folder for `deepinfomax.load`; "hub", the same with a model card, on the Hugging Face hub.
        out: the file (onnx, pt2) or folder (safetensors); inside the run folder by default.
        repo: OWNER/NAME, for the hub; you need to be logged in (`hf auth login`).
        private: make a new repository private: only its owner can see it.
        module: for onnx and pt2, if the run trained a network of your own: a new instance of it, as for `load`.

    Returns:
        The format -> the path or address of the result; for "safetensors" {"folder", "load"}. "load" is the command
        that loads it again.

    Raises:
        UserError: an unknown format; a missing package; no encoder in the run; `module` or `repo` is missing; `out`
            would replace a file or folder of a run; an option of the hub is given with another format; or
            `out` has the ending of another kind of file.
    """
    run = Path(run)
    if format in FORMATS and format != "hub" and (repo is not None or private):
        option = "--repo" if repo is not None else "--private"
        raise UserError(f"{option} is for --format hub: add that to put the encoder there, or leave {option} out")
    if format in ("onnx", "pt2") and out is not None:
        files.check_place(out)
        programs = (".onnx", ".pt2")  # of an earlier export, which may be replaced
        files.check_apart(out, [out], *(path for path in run.rglob("*") if path.suffix not in programs))
        if format == "pt2" and out.suffix != ".pt2":  # torch writes another name too, and warns of it in its own words
            raise UserError(f"--out {out} is a program of torch.export: give it a name that ends in .pt2")
    run_folder.tell_older_encoder(run)
    if format in ("onnx", "pt2") and module is None:
        architecture = storage.describe(run).architecture
        if architecture == "wrapped" or ":" in architecture:
            raise UserError(
                f"{run} holds a network of your own, which only its code can rebuild: in Python, "
                f"`from deepinfomax.export import export` and export({str(run)!r}, {format!r}, module=your_network)"
            )
    if format == "onnx":
        return {"onnx": str(_onnx(run, out or run / "encoder.onnx", module))}
    if format == "pt2":
        return {"pt2": str(_program(run, out or run / "encoder.pt2", module))}
    if format == "safetensors":
        folder = out or run / "export"
        if folder.resolve() == run.resolve():
            raise UserError(f"--out {folder} is the run itself, which holds its encoder already: choose another --out")
        if (folder / files.CONFIG).exists():
            raise UserError(f"--out {folder} is another run, which has an encoder of its own: choose another --out")
        if folder.resolve().name in files.FOLDERS and (folder.resolve().parent / files.CONFIG).exists():
            raise UserError(f"--out {folder} belongs to a run, which keeps other files in it: choose another --out")
        storage.check(run)  # do not copy a damaged encoder
        folder.mkdir(parents=True, exist_ok=True)
        for name in (files.WEIGHTS, files.DESCRIPTION):
            with files.replacing(folder / name) as partial:
                shutil.copyfile(hub.inside(run, name), partial)
        return {"folder": str(folder), "load": f"deepinfomax.load({str(folder)!r})"}
    if format == "hub":
        if repo is None or not hub.REPOSITORY.fullmatch(repo):
            raise UserError("--format hub needs --repo OWNER/NAME")
        return {"hub": _push(run, repo, private), "load": f"deepinfomax.load({repo!r})"}
    raise UserError(f"unknown format {format!r}; choose {', '.join(FORMATS[:-1])} or {FORMATS[-1]}")


def _program(run: Path, file: Path, module: nn.Module | None) -> Path:
    """Write a program of torch.export; the file also has the settings of its input, as `deepinfomax.json`."""
    description = storage.describe(run)
    outputs = _Outputs(storage.load(run, module), description.image_shape).eval()
    batch = torch.export.Dim("batch", min=1)
    images = torch.zeros(2, *description.image_shape)
    program = torch.export.export(outputs, (images,), dynamic_shapes={"images": {0: batch}})
    written = io.BytesIO()  # since torch's own writer of files ends the whole process on a full disk
    about = json.dumps(_metadata(description, outputs.levels))
    torch.export.save(program, written, extra_files={"deepinfomax.json": about})
    with files.replacing(file) as partial:
        partial.write_bytes(written.getbuffer())
    return file


def _onnx(run: Path, file: Path, module: nn.Module | None) -> Path:
    description = storage.describe(run)
    shape = description.image_shape
    outputs = _Outputs(storage.load(run, module), shape).eval()
    try:
        import onnxscript  # noqa: F401 - torch.onnx needs it and says so less plainly
    except ImportError:
        raise UserError("ONNX export needs two more packages: pip install 'deepinfomax[onnx]'") from None
    batch = torch.export.Dim("batch", min=1)
    # The exporter warns about its own use of torch, and logs that torchvision is missing, which is not needed.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            outputs,
            (torch.zeros(2, *shape),),
            input_names=["images"],
            output_names=outputs.levels,
            dynamic_shapes={"images": {0: batch}},
            verbose=False,
        )
        assert program is not None
        program.model.metadata_props.update(_metadata(description, outputs.levels))
        with files.replacing(file) as partial:
            program.save(partial, external_data=False)
    return file


def _metadata(description: storage.EncoderDescription, levels: list[str]) -> dict[str, str]:
    """Metadata about the input: how to convert bytes for the network, in words and in numbers."""
    preprocess, shape = description.preprocess, description.image_shape
    scale, shift = preprocess["scale"], preprocess["shift"]
    sides, before = "x".join(map(str, shape)), ", ".join(levels[1:])
    becomes = "bytes become bytes * scale + shift"
    if description.standardised:
        becomes = f"in the units of the data, which are standardised inside; {becomes} first"
    return {
        "deepinfomax.input": f"float32 (batch, {', '.join(map(str, shape))}); {becomes}",
        "deepinfomax.input_scale": repr(scale),
        "deepinfomax.input_shift": repr(shift),
        "deepinfomax.input_shape": sides,
        "deepinfomax.outputs": "y: the representation" + (f"; {before}: the layers before it" if before else ""),
        "deepinfomax.encoder": description.architecture,
    }


def _push(run: Path, repo: str, private: bool) -> str:
    """Upload the encoder, its settings, figures and model card to the hub, in one commit; returns the address."""
    from huggingface_hub import HfApi

    storage.check(run)
    with tempfile.TemporaryDirectory() as folder:
        write_repository(run, repo, Path(folder))
        api = HfApi(library_name="deepinfomax", library_version=__version__)
        try:
            api.create_repo(repo, exist_ok=True, private=private or None)
            commit = api.upload_folder(repo_id=repo, folder_path=folder, commit_message="An encoder by deepinfomax")
        except Exception as error:  # no token, no network, no such owner: of many kinds, some of the HTTP library's
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(f"the hub did not take {repo}: {reason}") from None
    return str(commit)


def write_repository(run: Path, repo: str, folder: Path) -> None:
    """Write the files for the hub into a folder. Only the last part of each path on this machine is kept."""
    from deepinfomax.report.model_card import model_card

    for name, on_hub in hub.NAMES.items():
        shutil.copyfile(hub.inside(run, name), folder / on_hub)
    if (run / files.CONFIG).is_file():
        tree = _without_paths(configuration.read_tree(run / files.CONFIG))
        (folder / files.CONFIG).write_text(tomli_w.dumps(tree), encoding="utf-8")
    if (run / files.EVALUATION).is_file():
        figures = json.loads((run / files.EVALUATION).read_text(encoding="utf-8"))
        (folder / files.EVALUATION).write_text(json.dumps(_without_paths(figures), indent=1), encoding="utf-8")
    card = model_card(run, repo, storage.describe(run))
    (folder / "README.md").write_text(card, encoding="utf-8", errors="backslashreplace")


def _without_paths(tree: Any) -> Any:
    """Replace each absolute path by its last part."""
    if isinstance(tree, dict):
        return {key: _without_paths(value) for key, value in tree.items() if key != "root"}
    if isinstance(tree, list):
        return [_without_paths(value) for value in tree]
    return Path(tree).name if isinstance(tree, str) and Path(tree).is_absolute() else tree
