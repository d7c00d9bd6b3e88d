"""Small pictures of the images, many on one sheet: what the map of the page draws."""

import base64
import io
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import interpolate

COLUMNS = 64  #: pictures in a row of a sheet; a sheet has as many rows at most, so that phones can hold it
MOST = 20_000  #: pictures on the page; of more images a sample has pictures, and the others are dots
SIDES = ((5000, 32), (MOST, 24))  #: of up to so many images each picture has so many pixels


@dataclass(frozen=True)
class Sheets:
    """Pictures of some of the images, in the order of the images."""

    side: int  #: pixels of each picture
    pictured: np.ndarray  #: (M,) positions of the images that have one
    uris: list[str]  #: of each sheet of up to `COLUMNS`² pictures


def sheets(pictures: np.ndarray, always: np.ndarray, *, seed: int) -> Sheets:
    """Sheets of (N, C, H, W) uint8 pictures; where N is above `MOST`, those `always` wanted and a sample."""
    count = len(pictures)
    pictured = np.arange(count)
    if count > MOST:
        others = np.random.default_rng(seed).permutation(np.setdiff1d(pictured, always))
        pictured = np.sort(np.concatenate([always, others[: max(0, MOST - len(always))]]))
    side = next((side for most, side in SIDES if len(pictured) <= most), SIDES[-1][1])
    per_sheet = COLUMNS * COLUMNS
    parts = [pictured[i : i + per_sheet] for i in range(0, len(pictured), per_sheet)]
    return Sheets(side, pictured, [_sheet(np.asarray(pictures[part]), side) for part in parts])


def _sheet(pictures: np.ndarray, side: int) -> str:
    small = thumbnails(pictures, side)
    rows = -(-len(small) // COLUMNS)
    sheet = np.full((rows * side, COLUMNS * side, 3), 128, np.uint8)
    for i, picture in enumerate(small):
        y, x = divmod(i, COLUMNS)
        sheet[y * side : (y + 1) * side, x * side : (x + 1) * side] = picture
    stream = io.BytesIO()
    Image.fromarray(sheet).save(stream, "jpeg", quality=82)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


def thumbnails(pictures: np.ndarray, side: int) -> np.ndarray:
    """(N, side, side, 3) of uint8 (N, C, H, W): the middle of what is not square; grey gets three channels."""
    colours = pictures[:, :3] if pictures.shape[1] >= 3 else pictures[:, :1].repeat(3, 1)
    least = min(colours.shape[2:])
    y, x = ((whole - least) // 2 for whole in colours.shape[2:])
    square = torch.from_numpy(np.ascontiguousarray(colours[:, :, y : y + least, x : x + least]))
    if least != side:
        square = interpolate(square, (side, side), mode="bilinear", antialias=True, align_corners=False)
    return square.permute(0, 2, 3, 1).contiguous().numpy()
