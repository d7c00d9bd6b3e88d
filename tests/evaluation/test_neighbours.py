import numpy as np
import pytest
import torch
from planted import gaussians

from deepinfomax.errors import UserError
from deepinfomax.evaluation import neighbours as module
from deepinfomax.evaluation.neighbours import agreement, neighbours, other_neighbours


def slow(query, bank, k, metric):
    index, distance = [], []
    for q in query.double():
        if metric == "l1":
            far = [float((q - b).abs().sum()) for b in bank.double()]
        else:
            far = [1 - float(q @ b / q.norm() / b.norm()) for b in bank.double()]
        order = sorted(range(len(bank)), key=lambda i: far[i])[:k]
        index.append(order)
        distance.append([far[i] for i in order])
    return torch.tensor(index), torch.tensor(distance)


@pytest.mark.parametrize("metric", ["l1", "cosine"])
@pytest.mark.parametrize("k", [1, 5, 40])
def test_neighbours_are_those_of_a_slow_loop(metric: str, k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    (query, _), (bank, _) = gaussians(12, seed=0), gaussians(40, seed=1)
    index, distance = slow(query, bank, k, metric)
    for block in (module.BLOCK_BYTES, 4 * 40 * 5):
        monkeypatch.setattr(module, "BLOCK_BYTES", block)
        found = neighbours(query, bank, k, metric)
        assert torch.equal(found[0], index)
        torch.testing.assert_close(found[1], distance, atol=1e-4, rtol=1e-4)


def test_a_query_in_the_bank_finds_itself_first() -> None:
    bank, _ = gaussians(20)
    index, distance = neighbours(bank, bank, 2)
    assert index[:, 0].tolist() == list(range(20))
    assert (distance[:, 0] == 0).all()
    assert (distance[:, 1] > 0).all()


def test_cosines_are_told_apart_far_from_the_origin() -> None:
    x = np.random.default_rng(0).normal(size=(200, 64)).astype(np.float32) + 1000
    index, distance = neighbours(torch.from_numpy(x[:20]), torch.from_numpy(x), 6, "cosine")
    unit = x.astype(np.float64) / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
    np.testing.assert_array_equal(index, np.argsort(1 - unit[:20] @ unit.T, axis=1, kind="stable")[:, :6])
    assert (distance >= 0).all()


@pytest.mark.usefixtures("any_shape")
def test_mistakes() -> None:
    bank, _ = gaussians(5)
    with pytest.raises(UserError, match="unknown metric 'l2'; choose l1 or cosine"):
        neighbours(bank, bank, 1, "l2")
    for k in (0, 6):
        with pytest.raises(UserError, match="among 5 images; ask for 1 to 5"):
            neighbours(bank, bank, k)
    for kind in (torch.float16, torch.int64):
        for metric in ("l1", "cosine"):
            index, distance = neighbours((8 * bank).to(kind), (8 * bank).to(kind), 3, metric)
            expected = neighbours((8 * bank).to(kind).float(), (8 * bank).to(kind).float(), 3, metric)
            assert torch.equal(index, expected[0])
            torch.testing.assert_close(distance.float(), expected[1], rtol=1e-2, atol=1e-3)
    with pytest.raises(UserError, match=r"must be tensors, not ndarray: torch\.as_tensor makes one"):
        neighbours(bank, bank.numpy(), 1)
    with pytest.raises(UserError, match="9 units and the bank 10"):
        neighbours(bank[:, :9], bank, 1)


@pytest.mark.parametrize("metric", ["l1", "cosine"])
def test_rows_that_are_not_finite_are_named(metric: str) -> None:
    bank, _ = gaussians(20)
    query = bank[:9].clone()
    query[[2, 3]], query[5:, 4] = torch.nan, torch.inf
    with pytest.raises(UserError, match=r"^query has NaN or infinite numbers in the rows 2, 3, 5, 6, 7 and 1 more: "):
        neighbours(query, bank, 3, metric)
    bank[7, 0] = torch.nan
    with pytest.raises(UserError, match=r"^bank has NaN or infinite numbers in the row 7: "):
        other_neighbours(bank, torch.tensor([7, 1]), 3, metric)


def test_whole_numbers_are_told_apart_where_float32_cannot() -> None:
    bank = 2**24 + torch.tensor([[3], [1], [0], [2]])
    index, distance = neighbours(bank[1:2], bank, 3)
    assert index[0, 0] == 1
    assert distance.tolist() == [[0, 1, 1]]


@pytest.mark.parametrize("metric", ["l1", "cosine"])
def test_others_are_all_but_the_query_itself(metric: str) -> None:
    bank, _ = gaussians(40)
    query = torch.tensor([3, 0, 39])
    index, distance = other_neighbours(bank, query, 5, metric)
    for row, far, own in zip(index, distance, query, strict=True):
        rest = torch.tensor([i for i in range(40) if i != own])
        expected, expected_far = slow(bank[own : own + 1], bank[rest], 5, metric)
        assert row.tolist() == rest[expected[0]].tolist()
        torch.testing.assert_close(far, expected_far[0], atol=1e-4, rtol=1e-4)


def test_twins_are_neighbours_and_the_query_is_not() -> None:
    bank = torch.zeros(6, 3)  # whichever of the six comes first, the query is none of the others
    for k in (1, 3, 5):
        index, _ = other_neighbours(bank, torch.arange(6), k)
        assert index.shape == (6, k)
        assert all(own not in row.tolist() for own, row in enumerate(index))
        assert all(len(set(row.tolist())) == k for row in index)
    for k in (0, 6):
        with pytest.raises(UserError, match="among the other 5 images"):
            other_neighbours(bank, torch.arange(6), k)


def test_agreement_is_counted() -> None:
    labels = np.array([0, 0, 1, 1])
    found = np.array([[1, 2], [3, 0]])
    assert agreement(labels, np.array([0, 2]), found) == (1 + 1) / 4
