"""Pixel arrays as pictures inside the HTML (data URIs)."""

import base64
import io

import numpy as np
from PIL import Image

SIDE = 96  #: pixels; larger pictures are shrunk to it
EXACT_UP_TO = 40  #: pixels a side that are kept exactly (PNG); larger ones are photographs to look at (JPEG)


def data_uri(image: np.ndarray) -> str:
    """uint8 (C, H, W) -> "data:image/...;base64,..."; one channel is grey, of more than three the first three count."""
    channels = image.shape[0]
    picture = Image.fromarray(np.moveaxis(image[:3], 0, -1).copy() if channels >= 3 else image[0].copy())
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    stream, kind = io.BytesIO(), "png" if max(picture.size) <= EXACT_UP_TO else "jpeg"
    picture.save(stream, kind, **({"optimize": True} if kind == "png" else {"quality": 88}))
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
