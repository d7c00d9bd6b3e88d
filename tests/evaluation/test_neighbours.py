import pytest
import torch
from planted import gaussians

from deepinfomax.errors import UserError
from deepinfomax.evaluation import neighbours as module
from deepinfomax.evaluation.neighbours import neighbours


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


def test_mistakes() -> None:
    bank, _ = gaussians(5)
    with pytest.raises(UserError, match="unknown metric 'l2'; choose l1 or cosine"):
        neighbours(bank, bank, 1, "l2")
    for k in (0, 6):
        with pytest.raises(UserError, match="among 5 images; ask for 1 to 5"):
            neighbours(bank, bank, k)
    with pytest.raises(UserError, match="9 units and the bank 10"):
        neighbours(bank[:, :9], bank, 1)
