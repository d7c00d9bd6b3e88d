"""Occlusion: both of the paper's constraints over thousands of draws, and that no rectangle is favoured."""

from itertools import combinations, product

import numpy as np
import pytest
import torch

from deepinfomax.errors import UserError
from deepinfomax.objectives.occlusion import Occlusion


def holds_block(mask: torch.Tensor, block: int) -> torch.Tensor:
    """Whether a (N, *S) mask is true throughout some block of that side: (N,) bool, by sums over all windows."""
    filled = mask.long()
    for axis in range(1, mask.ndim):
        running = torch.cat([torch.zeros_like(filled.narrow(axis, 0, 1)), filled.cumsum(axis)], dim=axis)
        windows = running.shape[axis] - block
        filled = running.narrow(axis, block, windows) - running.narrow(axis, 0, windows)
    return filled.flatten(1).max(1).values == block ** (mask.ndim - 1)


@pytest.mark.parametrize(
    ("sides", "block"),
    [((32, 32), 10), ((64, 64), 20), ((28, 28), 9), ((32, 48), 10), ((16, 40), 5), ((100,), 31), ((8,), 2)],
)
def test_a_block_is_visible_and_a_block_is_hidden_in_every_image(sides, block):
    torch.manual_seed(0)
    occlusion = Occlusion((3, *sides))
    assert occlusion.block == block
    hidden = occlusion.hidden(4000)
    assert holds_block(hidden, block).all()
    assert holds_block(~hidden, block).all()
    assert 0.1 < hidden.float().mean() < 0.9


def test_what_is_hidden_is_one_rectangle():
    hidden = Occlusion((1, 20, 30)).hidden(500, torch.Generator().manual_seed(0))
    for mask in hidden:
        rows, columns = mask.any(1), mask.any(0)
        assert torch.equal(mask, rows[:, None] & columns[None])
        for line in (rows, columns):
            assert (line.int().diff(prepend=torch.zeros(1)) > 0).sum() == 1  # one run of ones


@pytest.mark.parametrize("sides", [(6,), (5, 6), (4, 4, 4)])
def test_every_rectangle_that_meets_both_is_equally_likely(sides):
    """Against all rectangles listed by loops, and the two constraints checked block by block."""
    block = 2
    allowed = set()
    for ends in product(*(combinations(range(side + 1), 2) for side in sides)):
        mask = np.zeros(sides, dtype=bool)
        mask[tuple(slice(*end) for end in ends)] = True
        corners = list(product(*(range(side - block + 1) for side in sides)))
        blocks = [mask[tuple(slice(c, c + block) for c in corner)] for corner in corners]
        if any(b.all() for b in blocks) and any(not b.any() for b in blocks):
            allowed.add(mask.tobytes())
    draws = 60 * len(allowed)
    hidden = Occlusion((1, *sides), block=block).hidden(draws, torch.Generator().manual_seed(1))
    seen, counts = np.unique(hidden.flatten(1).numpy(), axis=0, return_counts=True)
    assert {row.tobytes() for row in seen} == allowed
    # Pearson's statistic has mean (kinds - 1) and standard deviation sqrt(2 (kinds - 1)) when all are equally likely.
    kinds = len(allowed)
    statistic = ((counts - draws / kinds) ** 2 / (draws / kinds)).sum()
    assert abs(statistic - (kinds - 1)) < 4 * (2 * (kinds - 1)) ** 0.5


def test_images_differ_only_where_hidden_and_there_have_the_fill():
    images = torch.rand(16, 3, 32, 32) + 1
    occlusion = Occlusion((3, 32, 32), fill=-0.25)
    out = occlusion(images, torch.Generator().manual_seed(3))
    hidden = occlusion.hidden(16, torch.Generator().manual_seed(3)).unsqueeze(1).expand_as(images)
    assert (out[hidden] == -0.25).all()
    assert torch.equal(out[~hidden], images[~hidden])
    assert (images >= 1).all()  # the images handed in are left as they were
    assert len(hidden[:, 0].flatten(1).unique(dim=0)) > 8  # each image its own


def test_it_follows_torchs_seed_and_leaves_no_trace_in_a_checkpoint():
    occlusion, images = Occlusion((1, 32, 32)), torch.ones(8, 1, 32, 32)
    torch.manual_seed(5)
    first = occlusion(images)
    torch.manual_seed(5)
    assert torch.equal(first, occlusion(images))
    assert not occlusion.state_dict()


def test_a_long_sequence_needs_no_large_table():
    occlusion = Occlusion((1, 20_000))
    assert sum(b.numel() for b in occlusion.buffers()) < 100_000
    assert holds_block(~occlusion.hidden(50), occlusion.block).all()


@pytest.mark.parametrize(("shape", "block"), [((1, 32, 32), 17), ((1, 12, 40), 13), ((1, 32, 32), 0)])
def test_blocks_that_cannot_be(shape, block):
    with pytest.raises(UserError, match="choose from 1 to"):
        Occlusion(shape, block=block)


def test_images_of_another_size():
    with pytest.raises(UserError, match="made for images"):
        Occlusion((1, 32, 32))(torch.zeros(2, 1, 28, 28))


def test_a_single_pixel_has_no_part_to_hide():
    with pytest.raises(UserError, match="one of a single pixel has none: leave it out"):
        Occlusion((3, 1, 1))
