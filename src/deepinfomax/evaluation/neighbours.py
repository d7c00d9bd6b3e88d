"""Nearest neighbours: which images are similar according to a representation (paper A.4)."""

import numpy as np
import torch
from jaxtyping import Float, Int, Num, Shaped
from torch import Tensor
from torch.nn.functional import normalize

from deepinfomax.devices import in_float64
from deepinfomax.errors import UserError, agreed, listed

METRICS = ("l1", "cosine")
BLOCK_BYTES = 128 * 2**20  #: of the distances held at once


def neighbours(
    query: Num[Tensor, "Q units"], bank: Num[Tensor, "N units"], k: int, metric: str = "l1"
) -> tuple[Int[Tensor, "Q {k}"], Float[Tensor, "Q {k}"]]:
    """The k rows of the bank nearest to each query, nearest first; the search is exact.

    The paper uses L1 for y, which suits a prior that is uniform on a cube. A query that is in the bank finds itself
    first, at distance 0.

    Args:
        k: at most N.
        metric: "l1", the sum of absolute differences, or "cosine", one minus the cosine similarity.

    Returns:
        index, distance in the type of the queries (of whole numbers float32). Memory: `BLOCK_BYTES` of distances.

    Raises:
        UserError: another metric, k outside 1 to N, vectors of different length or with NaN or infinite numbers, or
            arrays that are no tensors.
    """
    if metric not in METRICS:
        raise UserError(f"unknown metric {metric!r}; choose {' or '.join(METRICS)}")
    if not isinstance(query, Tensor) or not isinstance(bank, Tensor):
        other = type(bank if isinstance(query, Tensor) else query).__name__
        raise UserError(f"query and bank must be tensors, not {other}: torch.as_tensor makes one of an array")
    if not 1 <= k <= len(bank):
        raise UserError(f"{k} neighbours cannot be found among {len(bank)} images; ask for 1 to {len(bank)}")
    if query.shape[1] != bank.shape[1]:
        raise UserError(
            f"queries have {query.shape[1]} units and the bank {bank.shape[1]}; embed both at the same level"
        )
    for side, vectors in (("bank", bank), ("query", query)):  # the bank first: `other_neighbours` asks for its rows
        rows = (~torch.isfinite(vectors).all(1)).cpu().numpy().nonzero()[0]
        if len(rows):
            which = f"the {agreed(len(rows), 'row', 'rows')} {listed(rows, 5)}"
            raise UserError(f"{side} has NaN or infinite numbers in {which}: leave those out")
    kind, on = query.dtype if query.is_floating_point() else torch.float32, query.device
    if metric == "cosine":
        # In fp64: of vectors far from the origin all cosines are nearly 1.
        query, bank = (normalize(in_float64(side), eps=1e-300) for side in (query, bank))
    elif not (query.is_floating_point() and bank.is_floating_point()):  # beyond 2^24 not all of them are in float32
        query, bank = in_float64(query), in_float64(bank)
    elif query.dtype != torch.float64 or bank.dtype != torch.float64:  # L1 is of no other type than these two
        query, bank = query.float(), bank.float()
    index, distance = [], []
    for part in query.split(max(1, BLOCK_BYTES // (bank.element_size() * len(bank)))):
        far = torch.cdist(part, bank, p=1.0) if metric == "l1" else (1 - part @ bank.T).clamp_min_(0)
        nearest = far.topk(k, largest=False)
        index.append(nearest.indices)
        distance.append(nearest.values)
    return torch.cat(index).to(on), torch.cat(distance).to(on, kind)


def other_neighbours(
    bank: Num[Tensor, "N units"], query: Int[Tensor, "Q"], k: int, metric: str = "l1"
) -> tuple[Int[Tensor, "Q {k}"], Float[Tensor, "Q {k}"]]:
    """The k nearest rows of the bank to some of its own rows, without the rows themselves; equal rows are included.

    Args:
        query: positions in the bank.
        k: at most N - 1.

    Returns:
        as `neighbours`; raises what it raises.
    """
    if not 1 <= k < len(bank):
        raise UserError(f"{k} neighbours cannot be found among the other {len(bank) - 1} images")
    index, distance = neighbours(bank[query], bank, k + 1, metric)
    own = index == query.unsqueeze(1)
    own[:, -1] |= ~own.any(1)  # more than k twins came before it: the last of them goes
    return index[~own].view(len(query), k), distance[~own].view(len(query), k)


def agreement(labels: Shaped[np.ndarray, "N"], query: Int[np.ndarray, "Q"], nearest: Int[np.ndarray, "Q k"]) -> float:
    """The share of neighbours that have their query's label; query and nearest are positions in labels."""
    return float((labels[nearest] == labels[query][:, None]).mean())
