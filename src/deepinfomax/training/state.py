"""The state of a run, which is saved and restored as a whole: the game, an optimizer for each player, the step."""

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

#: player -> the name of its optimizer in checkpoints
STORED_AS = {"encoder": "learner", "opponents": "opponents"}


def check_trained_on(folder: Path, images: ImageSet, now: dict[str, Any]) -> None:
    """Raises UserError if the checkpoint in the folder was trained on other data.

    Checkpoints of early versions do not record their data and are not checked.

    Args:
        now: the identity of the present data: `identity(images)`, or that of a stream.
    """
    before = checkpoint.plain(folder, "data")
    if before is None:
        return
    rules = tuple(data["fingerprint"].startswith((RULE, "stream:")) for data in (before, now))
    if rules == (False, True) and not now["fingerprint"].startswith("stream:"):
        now = identity(images, like=before["fingerprint"])  # by the rule of the version that trained it
    check_same_data(before, now, folder.parent)


class RunState:
    """Everything that a checkpoint holds.

    A checkpoint is restored only for the same data, the same number of processes and the same configuration, apart from
    the fields that `run_folder` allows to differ.

    Args:
        game: on its device.
        training: the settings of the optimizers.
        images: the training set.
        device: where the game is.
        config: the whole configuration; None: not known, and not compared.
        processes: how many train together.
        data: the identity of the data, if it is known already; None: computed from `images`.
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
        self.stream: dict[str, Any] | None = None  #: the positions of a stream's readers; None: not a stream
        self.optimizers = {
            player: optimizer(parameters, training, device) for player, parameters in game.players().items()
        }
        self.step = 0  #: steps done
        self.seconds = 0.0  #: seconds of training, including those before it was resumed
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
        if self.scaler is not None:  # its scale has grown over thousands of steps
            state["scaler"] = self.scaler.state_dict()
        if self.stream is not None:
            state["stream"] = self.stream
        checkpoint.save(folder, state)

    def restore(self, folder: Path) -> None:
        """Restore the checkpoint in the folder, if there is one.

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
                            # Fused Adam goes through a parameter and its moments in memory order, so their memory
                            # layouts must be the same.
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
