"""One step of training, in the paper's order: encode, score, bound, prior, descend; then the second player's turn."""

import math
from collections.abc import Mapping

from accelerate import Accelerator
from torch.optim import Optimizer

from deepinfomax.objectives.game import Game, Turn
from deepinfomax.objectives.protocol import Batch
from deepinfomax.training.guards import Diverged


class Step:
    """The step of `objectives.play`, with what Accelerate adds: mixed precision and gradients over all processes."""

    def __init__(self, accelerator: Accelerator, game: Game, optimizers: Mapping[str, Optimizer]) -> None:
        self.accelerator, opponents = accelerator, game.opponents
        if opponents is None:
            self.game, self.opponents = accelerator.prepare_model(game, device_placement=False), None
        else:
            # The first player never has gradients of the opponents' networks; a process group must not wait for them.
            with opponents.frozen():
                self.game = accelerator.prepare_model(game, device_placement=False)
            self.opponents = accelerator.prepare_model(opponents, device_placement=False)
        self.optimizers = {
            player: accelerator.prepare_optimizer(optimizer, device_placement=False)
            for player, optimizer in optimizers.items()
        }

    def __call__(self, batch: Batch) -> Turn:
        """Both players' turns on one batch. What it returns carries no gradient any more.

        Raises:
            Diverged: a loss is not finite; nothing was changed by it.
        """
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
        return Turn(features, first.total.detach(), {name: loss.detach() for name, loss in losses.items()}, measured)

    def _descend(self, player: str, turn: Turn) -> None:
        if not math.isfinite(turn.total.item()):  # note: this waits for the device, so as never to step on a NaN
            raise Diverged.of_losses(turn.losses)
        optimizer = self.optimizers[player]
        optimizer.zero_grad()
        self.accelerator.backward(turn.total)
        optimizer.step()
