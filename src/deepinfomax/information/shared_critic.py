"""Critics for many pairs of columns, trained together: each column has one embedding, shared by all its pairs."""

import math
import time
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from deepinfomax.fitting import Best, ScheduledAdam, mini_batches
from deepinfomax.information import bounds, checks, inputs
from deepinfomax.information.cautions import OF_CRITICS, Advice, Evidence, cautions, near_cap
from deepinfomax.information.critic_reading import read_critic
from deepinfomax.information.critic_training import off_diagonal
from deepinfomax.information.estimate import MIEstimate, Pointwise
from deepinfomax.information.estimators import ESTIMATORS
from deepinfomax.information.groups import batches_of_groups, one_of_each, rows_of
from deepinfomax.information.vector_critics import ColumnEmbedding
from deepinfomax.progress import counted

Pair = tuple[str, str]
STOPPING_PAIRS = 512
EVALUATIONS = 40


class SharedCritic(nn.Module):
    """A `ColumnEmbedding` of each column; a pair (a, b) scores f_a(x) W_ab f_b(y)."""

    def __init__(
        self, units: dict[str, int], pairs: Sequence[Pair], hidden: tuple[int, ...] = (64, 64), embedding: int = 32
    ) -> None:
        super().__init__()
        self.place = {name: i for i, name in enumerate(units)}
        self.embeddings = nn.ModuleList(ColumnEmbedding(width, hidden, embedding) for width in units.values())
        self.pair = {pair: i for i, pair in enumerate(pairs)}
        self.between = nn.Parameter(torch.eye(embedding).repeat(len(pairs), 1, 1))

    def embed(self, name: str, x: Float[Tensor, "N D"]) -> Float[Tensor, "N embedding"]:
        return self.embeddings[self.place[name]](x)

    def scores(self, pair: Pair, x: Float[Tensor, "N E"], y: Float[Tensor, "M E"]) -> Float[Tensor, "N M"]:
        """The scores of embedded x and y."""
        return x @ self.between[self.pair[pair]] @ y.T


class _OnePair(nn.Module):
    """One pair of a `SharedCritic` as a critic of its own."""

    def __init__(self, critic: SharedCritic, pair: Pair) -> None:
        super().__init__()
        self.critic, self.pair = critic, pair

    def forward(self, x: Float[Tensor, "N D"], y: Float[Tensor, "M E"]) -> Float[Tensor, "N M"]:
        a, b = self.pair
        return self.critic.scores(self.pair, self.critic.embed(a, x), self.critic.embed(b, y))


def _train(
    critic: SharedCritic,
    pairs: Sequence[Pair],
    train: dict[str, Tensor],
    stopping: dict[str, Tensor],
    batches: Iterator[Tensor],
    steps: int,
    lr: float,
    patience: int,
) -> tuple[int, list[float], float]:
    """Train the critic of all pairs by the sum of their bounds, and restore its best weights on the stopping rows.

    Returns:
        the last step, the mean bound on the stopping rows at each evaluation, and by how much its best value still
        rose in the second half of the training (0 if it ended early).
    """

    def values(rows: dict[str, Tensor]) -> Tensor:
        embedded = {name: critic.embed(name, side) for name, side in rows.items()}
        scores = (critic.scores((a, b), embedded[a], embedded[b]) for a, b in pairs)
        return torch.stack([bounds.infonce(one.diagonal().unsqueeze(1), off_diagonal(one)) for one in scores])

    adam = ScheduledAdam(critic, lr=lr, schedule=lambda o: CosineAnnealingLR(o, steps), clip=5.0)
    every, best, curve = max(1, steps // EVALUATIONS), Best(critic), []
    step, gave_up = 0, False
    for step in counted(steps, "step of all critics"):
        rows = next(batches)
        adam.step(-values({name: side[rows] for name, side in train.items()}).sum())
        if step % every == 0 or step == steps:
            with torch.no_grad():
                value = float(values(stopping).mean())
            curve.append(value)
            best.keep_if_higher(value, step)
            if step - best.step >= patience * every:
                gave_up = True
                break
    best.restore()
    reached = np.fmax.accumulate(curve).tolist()
    return step, curve, 0.0 if gave_up else reached[-1] - reached[(len(reached) - 1) // 2]


def shared_estimates(
    sides: dict[str, np.ndarray],
    pairs: Sequence[Pair],
    shuffles: int = 0,
    seed: int = 0,
    *,
    codes: np.ndarray | None = None,
    steps: int = 1000,
    batch_size: int = 128,
    lr: float = 1e-3,
    hidden: tuple[int, ...] = (64, 64),
    patience: int = 10,
) -> dict[Pair, MIEstimate]:
    """infoNCE for each pair, a lower bound on held-out rows, by critics that are trained together.

    The loss is the sum over the pairs; its mean on the stopping rows decides when to stop. The split is that of
    `estimate_mi`: 60 : 20 : 20.

    Args:
        sides: name -> (n, D) numbers or (n,) labels, from `inputs.read_side`.
        pairs: which pairs of columns to estimate.
        shuffles: number of shuffles for a p-value of each pair; 0: no p-values.
        codes: (n,) the group of each row, which stays on one side of the split; None: rows are independent.

    Raises:
        UserError: a setting out of range.
    """
    started = time.monotonic()
    checks.check_training(steps, batch_size, lr, hidden, patience)
    names = [name for name in sides if any(name in pair for pair in pairs)]
    generator, cpu = torch.Generator().manual_seed(seed), torch.device("cpu")
    n = len(sides[names[0]]) if codes is None else int(codes.max()) + 1
    parts = inputs.split_pairs(n, 0.2, 0.2, generator)
    of_parts = None
    if codes is not None:
        parts = inputs.Parts(*(rows_of(codes, part) for part in parts))
        of_parts = [codes[part.numpy()] for part in (parts.test, parts.stop, parts.train)]
    numbers = {name: inputs.prepare(sides[name], parts.train, "rank", cpu) for name in names}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        critic = SharedCritic({name: side.shape[1] for name, side in numbers.items()}, pairs, hidden)
    train, stop, held_out = ({name: side[part] for name, side in numbers.items()} for part in parts)
    if of_parts is None:
        batches = mini_batches(len(parts.train), batch_size, generator=generator)
        stopping = {name: side[:STOPPING_PAIRS] for name, side in stop.items()}
    else:
        batches = batches_of_groups(of_parts[2], batch_size, generator)
        rows = torch.from_numpy(one_of_each(of_parts[1], np.random.default_rng(seed))[0])[:STOPPING_PAIRS]
        stopping = {name: side[rows] for name, side in stop.items()}

    step, curve, rise = _train(critic, pairs, train, stopping, batches, steps, lr, patience)
    estimates = {}
    for a, b in pairs:
        reading = read_critic(
            _OnePair(critic, (a, b)),
            ESTIMATORS["infonce"],
            *([part[a], part[b]] for part in (held_out, stop, train)),
            codes=of_parts,
            shuffles=shuffles,
            seed=seed,
        )
        entropy, entropy_error = inputs.labels_entropy([sides[a], sides[b]], codes)
        evidence = Evidence(
            nats=reading.nats,
            standard_error=reading.standard_error,
            cap=reading.cap,
            hard_cap=True,
            entropy=entropy,
            train_nats=reading.train_nats,
            steps=step,
            rise=rise,
            advice=Advice.of("infonce", "rank"),
        )
        estimates[a, b] = MIEstimate(
            nats=reading.nats,
            standard_error=reading.standard_error,
            lower_bound=True,
            cap=min(reading.cap, entropy),
            n_train=len(parts.train),
            n_test=reading.n_test,
            estimator="infonce",
            critic="shared",
            seconds=(time.monotonic() - started) / len(pairs),
            warning=cautions(OF_CRITICS, evidence),
            seeds=(seed,),
            train_nats=reading.train_nats,
            p_value=reading.p_value,
            shuffles=shuffles,
            entropy=entropy,
            entropy_error=entropy_error,
            shortfall=math.inf
            if near_cap(reading.nats, reading.cap, entropy)
            else max(0.0, reading.train_nats - reading.nats),
            groups=None if codes is None else n,
            pointwise=Pointwise(parts.test.numpy(), reading.pointwise),
            training=(tuple(curve),),
        )
    return estimates
