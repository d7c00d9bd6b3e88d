import json
import math

import numpy as np
import pytest
import torch
from gaussians import FAST, gaussians

from deepinfomax.errors import UserError
from deepinfomax.information import inputs
from deepinfomax.information.estimation import estimate_mi

GOOD = np.random.default_rng(0).standard_normal((100, 2))


MANY = np.arange(60_000.0)


class Silent:
    """What becomes no array, and gives no reason."""

    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        raise TypeError


MISTAKES = {
    "100 rows but y has 90": (GOOD, GOOD[:90], {}),
    "missing or infinite values, the first in row 3, column 1": (
        np.where(np.indices(GOOD.shape).sum(0) == 4, np.nan, GOOD),
        GOOD,
        {},
    ),
    "20 pairs are too few": (GOOD[:20], GOOD[:20], {}),
    "unknown estimator 'clubb'": (GOOD, GOOD, {"estimator": "clubb"}),
    "unknown critic 'bilinear'": (GOOD, GOOD, {"critic": "bilinear"}),
    "unknown transform 'log'": (GOOD, GOOD, {"transform": "log"}),
    "column 1 of y is constant": (GOOD, GOOD * [1, 0], {}),
    "x has one label only": (np.zeros(100, int), GOOD, {}),
    "give \\(n, dim\\)": (GOOD.reshape(100, 1, 2), GOOD, {}),
    "holds complex128": (GOOD + 1j, GOOD, {}),
    "holds object": (np.array([None] * 100), GOOD, {}),
    "x is no array": ([[1.0], [1.0, 2.0]], GOOD, {}),
    "batch_size must be at least 2": (GOOD, GOOD, {"batch_size": 1}),
    "steps \\(0\\)": (GOOD, GOOD, {"steps": 0}),
    "leave 5% to train on": (GOOD, GOOD, {"test": 0.9}),
    "50 neighbours": (GOOD, GOOD, {"estimator": "ksg", "neighbours": 50}),
    "x has no columns": (GOOD[:, :0], GOOD, {}),
    "there is no device 'abacus' here": (GOOD, GOOD, {"device": "abacus"}),
    "there is no device 'abacus' here; leave": (GOOD, GOOD, {"estimator": "ksg", "device": "abacus"}),
    "seed must be a whole number from 0 to 2\\^63 - 1, not -1": (GOOD, GOOD, {"seed": -1}),
    "seed must be a whole number from 0": (GOOD, GOOD, {"seed": -1, "estimator": "ksg"}),
    "not 18446744073709551616": (GOOD, GOOD, {"seed": 2**64}),
    "lr must be above 0, not -1": (GOOD, GOOD, {"lr": -1}),
    "lr must be above 0, not nan": (GOOD, GOOD, {"lr": math.nan}),
    "hidden must be the widths .* not \\(\\)": (GOOD, GOOD, {"hidden": ()}),
    "hidden must be the widths .* not \\(0,\\)": (GOOD, GOOD, {"hidden": (0,)}),
    "hidden must be the widths .* not 64": (GOOD, GOOD, {"hidden": 64}),
    "patience must be at least 1": (GOOD, GOOD, {"patience": 0}),
    "hidden must be the widths .* not \\('a',\\)": (GOOD, GOOD, {"hidden": ("a",)}),
    "repeats must be a whole number, such as 3, not '2'": (GOOD, GOOD, {"repeats": "2"}),
    "steps must be a whole number, such as 3, not 2.5": (GOOD, GOOD, {"steps": 2.5}),
    "batch_size must be a whole number": (GOOD, GOOD, {"batch_size": 16.0}),
    "patience must be a whole number": (GOOD, GOOD, {"patience": None}),
    "seed must be a whole number": (GOOD, GOOD, {"seed": "0"}),
    "neighbours must be a whole number, such as 3, not 3.0": (GOOD, GOOD, {"estimator": "ksg", "neighbours": 3.0}),
    "lr must be a number, such as 0.5, not '1e-3'": (GOOD, GOOD, {"lr": "1e-3"}),
    "tau must be a number": (GOOD, GOOD, {"estimator": "smile", "tau": None}),
    "y holds nan among its words, first in row 1: drop": (GOOD, np.array(["ash", math.nan] * 50, dtype=object), {}),
    "y holds object of shape \\(100, 1\\): give words as": (GOOD, np.array([["ash"]] * 100, dtype=object), {}),
    "x holds <U3 of shape \\(100, 1\\): give words as": (np.array([["ash"]] * 100), GOOD, {}),
    "unknown estimator None": (GOOD, GOOD, {"estimator": None}),
    "unknown critic \\['joint'\\]": (GOOD, GOOD, {"critic": ["joint"]}),
    "validation \\(nan\\)": (GOOD, GOOD, {"validation": math.nan}),
    "tau must be above 0": (GOOD, GOOD, {"estimator": "smile", "tau": 0.0}),
    "x has 1 masked values: drop": (np.ma.masked_array(GOOD, mask=GOOD.max() == GOOD), GOOD, {}),
    "y holds nan among its words, first in row 1": (GOOD, ["ash", math.nan] * 50, {}),
    "x cannot be read as an array: ": (torch.eye(100).to_sparse(), GOOD, {}),
    "x cannot be read as an array: TypeError": (Silent(), GOOD, {}),
    "y cannot be read as an array: ": (GOOD, [torch.ones(2, requires_grad=True)] * 100, {}),
    "all pairs of a batch of 60,000 need 13 GiB: make batch_size 32,768": (MANY, MANY, {"batch_size": 60_000}),
    "all pairs of a batch of 9,000 need 77 GiB: ": (MANY, MANY, {"batch_size": 9000, "critic": "joint"}),
    "y has 12,000 different labels in 100,000 rows, .* 4 GiB: merge": (
        np.arange(100_000.0),
        np.arange(100_000) % 12_000,
        {},
    ),
    "column 0 of x, from 1e\\+09 to 1e\\+09, is more than float32": (GOOD + 1e9, GOOD, {"transform": "none"}),
    "there is no device 'meta' here": (GOOD, GOOD, {"device": "meta"}),
}


@pytest.mark.parametrize("message", MISTAKES)
def test_mistakes_are_told_in_one_line(message):
    x, y, settings = MISTAKES[message]
    with pytest.raises(UserError, match=message) as error:
        estimate_mi(x, y, **settings)
    assert "\n" not in str(error.value)


def test_files(tmp_path):
    x, _ = gaussians(1.0, 1, 300)
    np.save(tmp_path / "x.npy", x)
    np.testing.assert_array_equal(inputs.read_array(tmp_path / "x.npy"), x)
    with pytest.raises(UserError, match="does not exist"):
        inputs.read_array(tmp_path / "z.npy")
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "several.npz", a=x, b=x)
    (tmp_path / "empty.npy").touch()
    for name, message in (("objects.npy", "no array"), ("several.npz", "several arrays"), ("empty.npy", "no array")):
        with pytest.raises(UserError, match=message):
            inputs.read_array(tmp_path / name)


def test_files_that_are_broken_or_none(tmp_path):
    np.savez(tmp_path / "one.npz", GOOD)
    assert inputs.read_array(tmp_path / "one.npz").shape == GOOD.shape
    np.savez(tmp_path / "cut.npz", GOOD)
    whole = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    header = b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (%s), }"
    (tmp_path / "huge.npy").write_bytes((header % b"10**30,").ljust(127) + b"\n")
    (tmp_path / "vast.npy").write_bytes((header % b"99999999999999,").ljust(127) + b"\n")
    (tmp_path / "garbled.npy").write_bytes((header % b"((((").ljust(127) + b"\n")
    torch.save({"a": torch.ones(2)}, tmp_path / "weights.pt")
    for name in ("cut.npz", "huge.npy", "vast.npy", "garbled.npy", "weights.pt"):
        with pytest.raises(UserError, match=rf"{name} is no array of numbers; write it with numpy\.save") as error:
            inputs.read_array(tmp_path / name)
        assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="is a folder"):
        inputs.read_array(tmp_path)


def test_numpy_integers_are_integers():
    result = estimate_mi(GOOD, GOOD + 1, "ksg", seed=np.int64(3))
    json.dumps(result.to_dict(), allow_nan=False)
    result = estimate_mi(GOOD, GOOD + 1, **FAST | {"steps": np.int64(2)}, repeats=np.int64(2))
    json.dumps(result.to_dict(), allow_nan=False)


def test_labels_of_a_data_frame_are_labels():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, 300)
    x = label[:, None] + rng.standard_normal((300, 1))
    words = np.array(["ash", "elm", "oak"])[label]
    plain = estimate_mi(x, words, "ksg").nats
    assert plain > 0.2
    assert estimate_mi(x, words.astype(object), "ksg").nats == estimate_mi(x, words.tolist(), "ksg").nats == plain


def test_bfloat16_is_what_it_is_in_float32():
    x, y = (torch.from_numpy(side).bfloat16() for side in gaussians(1.0, 1, 300))
    assert estimate_mi(x, y, "ksg").nats == estimate_mi(x.float(), y.float(), "ksg").nats
    counts = torch.arange(300).remainder(4)
    assert estimate_mi(x, counts.bfloat16(), "ksg").nats == estimate_mi(x, counts.float(), "ksg").nats  # no labels


@pytest.mark.parametrize("name", ["infonce", "ksg"])
def test_quantities_are_not_taken_for_labels(name):
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 4000, 1000)
    for values in (counts, counts.astype(str), np.arange(1000)):
        with pytest.raises(UserError, match=r"different labels in 1000 rows, .* give quantities as floats") as error:
            estimate_mi(rng.standard_normal(1000), values, name)
        assert "\n" not in str(error.value)
    assert estimate_mi(counts.astype(float), counts.astype(float) ** 2, "ksg", transform="rank").nats > 3


@pytest.mark.parametrize("name", ["infonce", "ksg"])
@pytest.mark.parametrize("transform", ["standard", "rank", "asinh"])
@pytest.mark.parametrize(("scale", "offset"), [(1e-4, 1e9), (1e-200, 0.0), (1e200, 0.0), (-3.0, 1e7)])
def test_neither_unit_nor_origin_matters(name, transform, scale, offset):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(600)
    y = x + 0.3 * rng.standard_normal(600)
    settings = FAST | {"steps": 100, "transform": transform}
    plain = estimate_mi(x, y, name, **settings).nats
    assert plain > 0.7
    assert estimate_mi(scale * x + offset, y, name, **settings).nats == pytest.approx(plain, abs=0.1)


def test_units_of_measurement_do_not_matter():
    x, y = gaussians(1.0, 2, 1000)
    plain = estimate_mi(x, y, **FAST)
    rescaled = estimate_mi(1000 * x - 7, y / 1000 + 3, **FAST)
    assert rescaled.nats == pytest.approx(plain.nats, abs=0.02)


def test_rank_transform_undoes_monotone_maps():
    x, y = gaussians(1.0, 2, 1500)
    plain = estimate_mi(x, y, transform="rank", **FAST)
    bent = estimate_mi(np.exp(3 * x), y**3, transform="rank", **FAST)
    assert bent.nats == pytest.approx(plain.nats, abs=0.02)


def test_asinh_transform_tames_long_tails():
    x, y = gaussians(1.0, 1, 2000)
    long_tails = np.sinh(4 * x), np.sinh(4 * y)
    tamed = estimate_mi(*long_tails, transform="asinh", **FAST)
    as_they_are = estimate_mi(*long_tails, **FAST)
    assert tamed.nats > as_they_are.nats
    assert "long tails" in as_they_are.warning
    assert "long tails" not in (tamed.warning or "")
    assert tamed.nats == pytest.approx(1.0, abs=0.2)
