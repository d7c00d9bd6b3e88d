"""Two representations of the same images: shares against a slow loop, chance, and the sheet of pictures."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from planted import images

from deepinfomax.errors import UserError
from deepinfomax.evaluation.neighbours_command import shares_as_table
from deepinfomax.evaluation.side_by_side import draw_bank, side_by_side
from deepinfomax.report.neighbour_sheet import draw

BANK = images(60)
GOOD = torch.from_numpy(np.eye(3, dtype=np.float32)[BANK.labels]) + 0.01 * torch.randn(
    60, 3, generator=torch.Generator().manual_seed(0)
)
NOISE = torch.randn(60, 5, generator=torch.Generator().manual_seed(1))


def test_shares_are_those_of_a_slow_loop() -> None:
    compared = side_by_side(BANK, {"good": GOOD, "noise": NOISE}, queries=5, count=4)
    assert compared.shared["good"] == {"l1": 1.0, "cosine": 1.0}
    right = 0
    for i in range(60):
        far = (NOISE - NOISE[i]).abs().sum(1)
        far[i] = float("inf")
        right += sum(BANK.labels[j] == BANK.labels[i] for j in far.argsort()[:4].tolist())
    assert compared.shared["noise"]["l1"] == right / 240
    assert compared.chance == pytest.approx(19 / 59)  # 20 of each class
    assert [len(set(BANK.labels[compared.query[:3]])), compared.nearest["good"].shape] == [3, (5, 4)]


def test_images_without_a_label_are_no_queries_of_the_shares() -> None:
    some = replace(BANK, labels=np.where(np.arange(60) < 30, BANK.labels, -1))
    compared = side_by_side(some, {"good": GOOD})
    assert compared.shared["good"]["l1"] < 0.9  # half of the neighbours have no label
    for labels in (None, np.zeros((60, 2), np.int64)):
        compared = side_by_side(replace(BANK, labels=labels), {"good": GOOD}, queries=4)
        assert (compared.shared, compared.chance) == (None, None)
        assert len(compared.query) == 4


def test_a_bank_without_any_label_has_no_shares() -> None:
    compared = side_by_side(replace(BANK, labels=BANK.labels * 0 - 1), {"noise": NOISE})
    assert (compared.shared, compared.chance) == (None, None)


def test_a_bank_is_drawn_by_its_seed() -> None:
    one, again, other = (draw_bank(BANK, 20, seed).images for seed in (0, 0, 1))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert draw_bank(BANK, 100, 0) is BANK


def test_vectors_of_other_images_are_refused() -> None:
    with pytest.raises(UserError, match="noise has vectors of 59 images, and the bank has 60"):
        side_by_side(BANK, {"noise": NOISE[:59]})


def test_the_sheet_frames_neighbours_of_the_same_class() -> None:
    compared = side_by_side(BANK, {"good": GOOD, "noise": NOISE}, queries=3, count=2)
    figure = draw(BANK.images, compared.query, compared.nearest, BANK.labels, BANK.classes)
    shown = [axes for axes in figure.axes if axes.images]
    assert len(shown) == 3 * (1 + 2 + 2)
    framed = [axes for axes in shown if axes.axison]
    same = sum(
        int(BANK.labels[j] == BANK.labels[q])
        for rows in compared.nearest.values()
        for q, row in zip(compared.query, rows, strict=True)
        for j in row
    )
    assert len(framed) == same >= 6
    words = {text.get_text() for axes in figure.axes for text in axes.texts} | {
        a.get_title("left") for a in figure.axes
    }
    assert {"good", "noise", "query", "class 0"} <= words
    grey = draw(BANK.images[:, :1], compared.query, compared.nearest)
    assert not any(axes.axison for axes in grey.axes)


def test_two_runs_in_a_terminal_are_a_table():
    shared = {"conv": {"a": {"l1": 0.5}, "runs/b": {"l1": 0.25}}, "y": {"a": {"l1": 0.75}, "runs/b": {"l1": 1.0}}}
    text = shares_as_table({"shared": shared, "chance": 0.1, "sheet": "a/sheet.png"}, "l1")
    assert text.splitlines() == [
        "share of an image's nearest that have its class, by l1",
        "",
        "          conv       y",
        "a        0.500   0.750",
        "runs/b   0.250   1.000",
        "chance   0.100",
        "",
        "pictures   a/sheet.png",
    ]
    assert shares_as_table({"chance": None}, "l1") == ""
