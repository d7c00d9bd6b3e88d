"""One step of training, in the paper's order: encode, score, bound, prior, descend; then the second player's turn."""

import math
from collections.abc import Mapping

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from deepinfomax.encoders.modes import in_eval_mode
from deepinfomax.objectives.game import Game, Opponents, Turn, check_gradients
from deepinfomax.objectives.protocol import Batch
from deepinfomax.training.guards import Diverged
from deepinfomax.training.processes import any_process


class Step:
    """The step of `objectives.play`, with Accelerate's mixed precision and gradients over all processes.

    In fp16 both players share one GradScaler. It checks each player's gradients for infinities separately. If the scale
    is too large for one player, it is lowered for both; the other player loses a bit of range, but no step.
    """

    def __init__(self, accelerator: Accelerator, game: Game, optimizers: Mapping[str, Optimizer]) -> None:
        self.accelerator = accelerator
        self.game: nn.Module = game
        self.opponents: nn.Module | None = game.opponents
        self._diverged: Tensor | None = (
            None  #: bool on the device: whether a loss was not finite since the last `agree`
        )
        self._prepared = accelerator.num_processes == 1
        if self._prepared:
            self._prepare()
        self.optimizers = {
            player: accelerator.prepare_optimizer(optimizer, device_placement=False)
            for player, optimizer in optimizers.items()
        }

    def _prepare(self) -> None:
        game, opponents = self.game, self.opponents
        if opponents is None:
            self.game = self._wrapped(game)
            return
        assert isinstance(opponents, Opponents)
        # The first player has no gradients for the opponents' networks, so a process group must not wait for them.
        with opponents.frozen():
            self.game = self._wrapped(game)
        self.opponents = self._wrapped(opponents)

    def _wrapped(self, network: nn.Module) -> nn.Module:
        """With several processes: the network in DistributedDataParallel, which copies weights and sums gradients."""
        wrapped = self.accelerator.prepare_model(network, device_placement=False)
        if isinstance(wrapped, DistributedDataParallel):
            # Buffers are not sent in each step: the saved averages of BatchNorm are the main process's either way, and
            # the targets of NAT (megabytes) are the same everywhere. The first name is that of torch 2.13, the second
            # that of earlier versions.
            wrapped.forward_sync_buffers = wrapped.broadcast_buffers = False
        return wrapped

    def __call__(self, batch: Batch) -> Turn:
        """Both players' turns on one batch. The returned tensors carry no gradient.

        Raises:
            Diverged: a loss is not finite, on a CPU with a single process; no weight has changed. On a GPU, or with
                several processes, `agree` raises it.
            UserError: a loss without a gradient.
        """
        if not self._prepared:
            _find_unused_parameters(self.accelerator, self.game, self.opponents, batch)
            self._prepare()
            self._prepared = True
        with self.accelerator.autocast():
            first: Turn = self.game(batch)
        self._descend("encoder", first)
        features = first.features.detach()
        losses, measured = first.losses, first.measured
        if self.opponents is not None:
            with self.accelerator.autocast():
                second: Turn = self.opponents(features, batch)
            self._descend("opponents", second)
            losses, measured = losses | second.losses, measured | second.measured
        detached = {name: loss.detach() for name, loss in losses.items()}
        return Turn(features, first.total.detach(), detached, measured, first.y)

    def agree(self, turn: Turn, due: bool, stop: bool, *, logged: bool) -> tuple[bool, bool]:
        """Whether to save and whether to stop after this turn; the same answer in all processes.

        On a GPU the answer needs a wait for the device, so several processes agree only at steps that are logged.

        Args:
            due, stop: whether this process wants to save, and to stop.
            logged: whether this step is logged.

        Raises:
            Diverged: in all processes, if a loss of one of them was not finite since the last call.
        """
        accelerator = self.accelerator
        alone = accelerator.num_processes == 1
        if not logged and not (due or stop if alone else accelerator.device.type == "cpu"):
            return False, False
        seen, self._diverged = self._diverged, None
        due, stop, diverged = any_process(accelerator, due, stop, seen is not None and bool(seen))
        if diverged:
            losses = torch.stack([loss.float() for loss in turn.losses.values()])
            losses = losses if alone else accelerator.reduce(losses, "mean")
            if bool(losses.isfinite().all()):  # an earlier step's was not
                raise Diverged.because("a loss was not finite in one of the last steps")
            raise Diverged.of_losses(dict(zip(turn.losses, losses.cpu(), strict=True)))
        return due, stop

    def _descend(self, player: str, turn: Turn) -> None:
        check_gradients(turn)
        total = turn.total.detach()
        if total.device.type == "cpu" and self.accelerator.num_processes == 1:
            if not math.isfinite(total.item()):
                raise Diverged.of_losses(turn.losses)
        else:  # checking now would make a GPU wait, and this process would stop without the others
            bad = total.isfinite().logical_not()
            self._diverged = bad if self._diverged is None else self._diverged | bad
        optimizer = self.optimizers[player]
        optimizer.zero_grad()
        self.accelerator.backward(turn.total)
        optimizer.step()


def _find_unused_parameters(
    accelerator: Accelerator, game: nn.Module, opponents: nn.Module | None, batch: Batch
) -> None:
    """Let DistributedDataParallel look for parameters without a gradient in each step, but only if there are any.

    There are some if no objective uses a part of a network, such as y if only `fc` is supervised. Looking for them
    costs a walk through the graph in every step, so one step is tried first.
    """
    # Afterwards everything is as before: the random state, the averages of BatchNorm, the memory of objectives.
    devices = [batch.images.device] if batch.images.device.type == "cuda" else []
    with torch.random.fork_rng(devices), in_eval_mode(game), accelerator.autocast():
        turns = [(game, game(batch))]
        if opponents is not None:
            turns.append((opponents, opponents(turns[0][1].features.detach(), batch)))
    unused = False
    taken = {id(parameter) for parameter in opponents.parameters()} if opponents is not None else set()
    for player, turn in turns:
        others = taken if player is game else set()
        asking = [p for p in player.parameters() if p.requires_grad and id(p) not in others]
        unused |= any(gradient is None for gradient in torch.autograd.grad(turn.total, asking, allow_unused=True))
    assert accelerator.ddp_handler is not None
    accelerator.ddp_handler.find_unused_parameters = unused
