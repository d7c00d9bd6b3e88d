"""A trained encoder for use elsewhere: ONNX, a folder of safetensors, or the Hugging Face hub."""

import logging
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deepinfomax import files
from deepinfomax.encoders import storage
from deepinfomax.errors import UserError


class _Outputs(nn.Module):
    """The encoder with a plain tuple in place of `Features`; images still come in [-1, 1]."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features = self.encoder(images)
        return features.y, features.fc, features.conv


def export(run: str | Path, format: str, *, out: Path | None = None, repo: str | None = None) -> dict[str, Any]:
    """Write the encoder of a run as "onnx", "safetensors" or to the "hub".

    Args:
        run: a run folder.
        out: the file (onnx) or folder (safetensors); inside the run folder by default.
        repo: OWNER/NAME, for the hub; you need to be logged in (`hf auth login`).

    Returns:
        where it is.

    Raises:
        UserError: an unknown format, packages missing, no encoder, no repo, a run copied onto itself.
    """
    run = Path(run)
    if format == "onnx":
        return {"onnx": str(_onnx(run, out or run / "encoder.onnx"))}
    if format == "safetensors":
        folder = out or run / "export"
        if folder.resolve() == run.resolve():
            raise UserError(f"--out {folder} is the run itself, which holds its encoder already: choose another --out")
        storage.load(run)  # copies of a damaged encoder help nobody
        folder.mkdir(parents=True, exist_ok=True)
        for name in (files.WEIGHTS, files.DESCRIPTION):
            with files.replacing(folder / name) as partial:
                shutil.copyfile(run / name, partial)
        return {"folder": str(folder), "load": f"deepinfomax.load({str(folder)!r})"}
    if format == "hub":
        if repo is None or "/" not in repo:
            raise UserError("--format hub needs --repo OWNER/NAME")
        return {"hub": _hub(run, repo)}
    raise UserError(f"unknown format {format!r}; choose onnx, safetensors or hub")


def _onnx(run: Path, file: Path) -> Path:
    encoder = storage.load(run)
    description = storage.describe(run)
    shape = tuple(description["image_shape"])
    try:
        import onnxscript  # noqa: F401 - torch.onnx needs it and says so less plainly
    except ImportError:
        raise UserError("ONNX export needs two more packages: pip install 'deepinfomax[onnx]'") from None
    batch = torch.export.Dim("batch", min=1)
    # The exporter warns of its own use of torch, and logs that torchvision is missing, which no one needs here.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            _Outputs(encoder).eval(),
            (torch.zeros(2, *shape),),
            input_names=["images"],
            output_names=["y", "fc", "conv"],
            dynamic_shapes={"images": {0: batch}},
            verbose=False,
        )
        assert program is not None
        program.model.metadata_props.update(_metadata(description))
        with files.replacing(file) as partial:
            program.save(partial, external_data=False)
    return file


def _metadata(description: Mapping[str, Any]) -> dict[str, str]:
    """What an ONNX file says of its input: how bytes become what the network takes, in words and in numbers."""
    preprocess, shape = description["preprocess"], description["image_shape"]
    scale, shift = preprocess["scale"], preprocess["shift"]
    sides = "x".join(map(str, shape))
    becomes = "bytes become bytes * scale + shift"
    if "standardised" in description:
        becomes = f"in the units of the data, which are standardised inside; {becomes} first"
    return {
        "deepinfomax.input": f"float32 (batch, {', '.join(map(str, shape))}); {becomes}",
        "deepinfomax.input_scale": repr(scale),
        "deepinfomax.input_shift": repr(shift),
        "deepinfomax.input_shape": sides,
        "deepinfomax.outputs": "y: the representation; fc, conv: the layers before it",
        "deepinfomax.encoder": str(description["architecture"]),
    }


def _hub(run: Path, repo: str) -> str:
    from huggingface_hub import HfApi

    storage.load(run)
    api = HfApi()
    try:
        api.create_repo(repo, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo, folder_path=run, allow_patterns=[files.WEIGHTS, files.DESCRIPTION, "config.toml"]
        )
    except Exception as error:  # no token, no network, no such owner: each of its own kind, some of the HTTP library's
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"the hub did not take {repo}: {reason}") from None
    return str(commit)
