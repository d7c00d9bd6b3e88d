"""The state of a run: the game, an optimizer for each player, and how far it is. Saved and restored as a whole."""

import tomllib
from pathlib import Path
from typing import Any

import torch

from deepinfomax import config as configuration
from deepinfomax.config import Config, Training
from deepinfomax.data.fingerprint import RULE, identity
from deepinfomax.data.images import ImageSet
from deepinfomax.errors import UserError
from deepinfomax.objectives.game import Game
from deepinfomax.training import checkpoint, run_folder
from deepinfomax.training.guards import check_same_data
from deepinfomax.training.optimizers import optimizer

#: what checkpoints call the players' optimizers
STORED_AS = {"encoder": "learner", "opponents": "opponents"}


def check_trained_on(folder: Path, images: ImageSet, now: dict[str, Any]) -> None:
    """Raises UserError if the checkpoint in the folder is of other data; early versions do not say of which.

    Args:
        now: what tells the data from others, `identity(images)` or what a stream says of itself.
    """
    before = checkpoint.plain(folder, "data")
    if before is None:
        return
    rules = tuple(data["fingerprint"].startswith((RULE, "stream:")) for data in (before, now))
    if rules == (False, True) and not now["fingerprint"].startswith("stream:"):
        now = identity(images, like=before["fingerprint"])  # by the rule of the version that trained it
    check_same_data(before, now, folder.parent)


class RunState:
    """What a checkpoint holds, and nothing else.

    Args:
        game: on its device.
        training: the settings of the optimizers.
        images: the training set; a checkpoint is restored for no other.
        device: where the game is.
        config: the whole configuration; a checkpoint is restored for no other, as far as `run_folder` says. None: not
            known, and not compared.
        processes: that train together; a checkpoint is restored for no other number.
        data: what tells the data from others, where it is known already; None: what tells `images` from others.
    """

    def __init__(
        self,
        game: Game,
        training: Training,
        images: ImageSet,
        device: torch.device,
        config: Config | None = None,
        processes: int = 1,
        data: dict[str, Any] | None = None,
    ) -> None:
        self.game, self.images, self.config = game, images, config
        self.data = identity(images) if data is None else data
        self.stream: dict[str, Any] | None = None  #: of a stream, where its readers are
        self.optimizers = {
            player: optimizer(parameters, training, device) for player, parameters in game.players().items()
        }
        self.step = 0  #: steps done
        self.seconds = 0.0  #: seconds trained, in all processes that trained it so far
        self.processes = processes
        self.scaler: torch.amp.GradScaler | None = None  #: of fp16

    def save(self, folder: Path) -> None:
        """Write the checkpoint; a kill at any moment leaves the old one or the new one."""
        state: dict[str, Any] = {"step": self.step, "seconds": self.seconds, "data": self.data}
        state["processes"] = self.processes
        if self.config is not None:
            state["config"] = configuration.dumps(self.config)
        state["learner"] = self.game.state_dict()
        state["optimizers"] = {STORED_AS[player]: o.state_dict() for player, o in self.optimizers.items()}
        if self.scaler is not None:  # a scale grown over thousands of steps, and how long ago it last grew
            state["scaler"] = self.scaler.state_dict()
        if self.stream is not None:
            state["stream"] = self.stream
        checkpoint.save(folder, state)

    def restore(self, folder: Path) -> None:
        """Take over the checkpoint in the folder, if there is one.

        Raises:
            UserError: a damaged checkpoint, or one of another architecture, other data or another number of processes.
        """
        saved = checkpoint.load(folder)
        if saved is None:
            return
        check_trained_on(folder, self.images, self.data)
        if (then := saved.get("processes", self.processes)) != self.processes:  # early versions do not say
            raise UserError(
                f"cannot resume {folder.parent}: {then} processes trained it and {self.processes} are here, and a step "
                f"would have other images: start it with {then}, or choose another --out"
            )
        if self.scaler is not None and "scaler" in saved:
            self.scaler.load_state_dict(saved["scaler"])
        try:
            self.game.load_state_dict(saved["learner"], strict=True)
            for player, own in self.optimizers.items():
                own.load_state_dict(saved["optimizers"][STORED_AS[player]])
                for parameter, moments in own.state.items():
                    for name, value in moments.items():
                        if value.shape == parameter.shape:
                            # Fused Adam walks a parameter and its moments in memory order: their layouts must agree.
                            moments[name] = torch.empty_like(parameter).copy_(value)
        except (RuntimeError, KeyError, ValueError) as error:
            detail = " ".join(str(error).split())[:160]
            raise UserError(f"the checkpoint is of another architecture ({detail}); choose another --out") from None
        if self.config is not None and (settings := saved.get("config")) is not None:
            trained_with = configuration.from_tree(tomllib.loads(settings))
            if fixed := run_folder.fixed_differences(trained_with, self.config):
                raise UserError(
                    f"cannot resume {folder.parent}: its checkpoint was trained with other settings than its "
                    f"{run_folder.CONFIG} holds ({', '.join(fixed)}); put back the file, or choose another --out"
                )
        self.step, self.seconds, self.stream = saved["step"], saved["seconds"], saved.get("stream")
