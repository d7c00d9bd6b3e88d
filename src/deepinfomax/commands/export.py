"""`deepinfomax export`: the encoder, for use elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from deepinfomax.commands import options, terminal


def export(
    run: options.RunArgument,
    format: Annotated[str, typer.Option(help="onnx, pt2, safetensors or hub.")] = "onnx",
    out: Annotated[Path | None, typer.Option(help="File (onnx, pt2) or folder; in the run folder by default.")] = None,
    repo: Annotated[str | None, typer.Option(help="OWNER/NAME on the Hugging Face hub, for --format hub.")] = None,
    private: Annotated[bool, typer.Option("--private", help="Of a new repository: only you see it.")] = False,
    seed: options.Unused = None,
    device: options.Unused = None,
    as_json: options.Json = False,
) -> None:
    """Write the encoder for use elsewhere: ONNX, torch.export, hub.

    `deepinfomax.load` reads the formats safetensors and hub; pt2 and onnx do not need this package. Settings, figures
    and a model card are uploaded to the hub too.
    """
    with terminal.starting():
        from deepinfomax.export import export as write

    terminal.show(write(run, format, out=out, repo=repo, private=private), as_json)
