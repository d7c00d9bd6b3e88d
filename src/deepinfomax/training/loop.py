"""The training loop: images -> encoder -> objectives -> step, until the configuration says enough."""

import itertools
import math
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.tracking import get_available_trackers
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor, nn

from deepinfomax import __version__, encoders
from deepinfomax.config import Config, resolve
from deepinfomax.data.augmentation import Augmentation
from deepinfomax.data.batches import Batches
from deepinfomax.data.fingerprint import fingerprint
from deepinfomax.data.images import ImageSet, trainable
from deepinfomax.devices import choose_device, hardware
from deepinfomax.encoders import storage
from deepinfomax.encoders.modes import in_eval_mode
from deepinfomax.errors import UserError
from deepinfomax.features import Features, effective_rank
from deepinfomax.objectives.protocol import Batch
from deepinfomax.training import checkpoint, run_folder
from deepinfomax.training.interruption import Interruption
from deepinfomax.training.learner import Learner, Opponents, build
from deepinfomax.training.pictures import write_pictures
from deepinfomax.training.progress import Progress

COLLAPSED = 2.0  #: effective rank of y below which a run says so, on every line
KEPT = "any checkpoint stays as it was: --resume with a lower training.lr, or begin anew"


class Diverged(UserError):
    """A loss, a weight or y became infinite or undefined; the last checkpoint is as it was."""


def train(
    config: Config,
    images: ImageSet,
    out: str | Path,
    *,
    resume: bool = False,
    device: str | None = None,
    quiet: bool = False,
    encoder: nn.Module | None = None,
) -> nn.Module:
    """Train one run and leave its folder complete.

    Args:
        config: what to train.
        images: the training part, decoded.
        out: the run folder, made here.
        resume: continue the run that lies in `out` from its checkpoint, bit for bit where the machine is the same.
        device: "cpu", "cuda", ...; None: the best there is.
        quiet: no progress lines.
        encoder: a module to train instead of `config.encoder`, from `encoders.wrap`; or one that `config.encoder`
            describes.

    Returns:
        the trained encoder, on the CPU, in eval mode.

    Raises:
        UserError: a folder in use, a checkpoint of another configuration or other data, too few images for a batch, an
            encoder of the architecture but not the arguments of `config.encoder`; `Diverged` where a loss is no longer
            finite, or what would be saved is not.
    """
    config, out = resolve(config), Path(out)
    images = trainable(images)
    settings = config.training
    if device is not None:
        choose_device(device)
    missing = [name for name in settings.trackers if name not in available_trackers()]
    if missing:
        raise UserError(f"training.trackers names {missing[0]}, which is not installed: pip install {missing[0]}")
    AcceleratorState._reset_state()  # else a second run in one process could not have another precision
    accelerator = Accelerator(
        mixed_precision=settings.precision,
        cpu=device == "cpu",
        log_with=list(settings.trackers) or None,
        project_dir=str(out),
        # Some networks have parts that no chosen objective reaches (y, where only `fc` is supervised).
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    on = torch.device(device) if device else accelerator.device
    main, processes = accelerator.is_main_process, accelerator.num_processes

    # What is trained, and where it stood.
    augment = Augmentation(**config.augmentation)
    image_shape = augment.output_shape(images.shape)
    torch.manual_seed(config.seed)
    learner = build(config, image_shape, images, encoder)
    if encoder is not None:
        _check_described(encoder, config, image_shape)
    if processes > 1 and on.type == "cuda":  # on a CPU torch has no SyncBatchNorm: statistics stay a process's own
        learner = nn.SyncBatchNorm.convert_sync_batchnorm(learner)
    channels_last = settings.channels_last and len(image_shape) == 3  # torch has that layout for pictures only
    layout = torch.channels_last if channels_last else torch.preserve_format
    learner.to(on, memory_format=layout)  # type: ignore[call-overload]
    never_finite = _not_finite(learner)
    opponents = Opponents(learner.objectives)
    optimizers = {"learner": _optimizer(learner.own_parameters(), config, on)}
    if opponents:
        optimizers["opponents"] = _optimizer(list(opponents.parameters()), config, on)
    batches = Batches(
        images,
        settings.batch_size,
        seed=config.seed,
        device=on,
        rank=accelerator.process_index,
        world_size=processes,
    )
    steps = settings.epochs * len(batches)
    if settings.steps is not None:
        steps = min(steps, settings.steps)
    data = {"count": len(images), "shape": list(images.shape), "fingerprint": fingerprint(images)}
    saved = None
    if resume:
        run_folder.check_resumable(out, config)
        saved = checkpoint.load(out / run_folder.CHECKPOINT)
        if saved is not None:
            before = saved.get("data", data)  # checkpoints of earlier versions do not say
            # earlier versions looked at a thousand images: compared by the rule that the checkpoint followed
            now = data | {"fingerprint": fingerprint(images, like=before["fingerprint"])}
            _check_data(before, now, out)
            _restore(saved, learner, optimizers, accelerator.scaler)
        if main:
            checkpoint.remove_leftovers(out / run_folder.CHECKPOINT)
    elif main:
        run_folder.create(out, config)
    accelerator.wait_for_everyone()
    first_step = saved["step"] if saved is not None else 0
    if first_step > steps:
        raise UserError(f"{out} is at step {first_step} already: training.steps {steps} would take some back")
    seconds_before = saved["seconds"] if saved is not None else 0.0
    if settings.compile:
        learner.encoder.compile()
    one_step = _Step(accelerator, learner, opponents, optimizers)

    began = last_saved = time.perf_counter()

    def seconds() -> float:
        return seconds_before + time.perf_counter() - began

    def save(step: int) -> None:
        state = {"step": step, "seconds": seconds(), "data": data, "learner": learner.state_dict()}
        state["optimizers"] = {name: optimizer.state_dict() for name, optimizer in optimizers.items()}
        if accelerator.scaler is not None:  # fp16: a scale grown over thousands of steps, and how long ago it last grew
            state["scaler"] = accelerator.scaler.state_dict()
        checkpoint.save(out / run_folder.CHECKPOINT, state)

    with ExitStack() as stack:
        metrics = stack.enter_context(run_folder.Metrics(out, resume_from=first_step)) if main else None
        progress = stack.enter_context(Progress(steps, first_step, quiet=quiet or not main))
        interrupted = stack.enter_context(Interruption())
        if settings.trackers:
            accelerator.init_trackers("tensorboard")
            for tracker in accelerator.trackers:  # not end_training, which would end the process group too
                stack.callback(tracker.finish)
        if metrics is not None and first_step == 0:
            metrics.write("start", _start(config, images, learner, on, accelerator))
        if settings.steps is not None and steps < settings.steps:
            progress.say(f"training.epochs {settings.epochs} ends it at step {steps}, before training.steps")
        pace = _Pace(settings.batch_size * processes, first_step)

        for step, (pixels, labels, index) in enumerate(_from(batches, first_step, steps), first_step + 1):
            # Each step draws from a state of its own, so a run resumed here needs no generator's history.
            torch.manual_seed(_step_seed(config.seed, step, accelerator.process_index))
            _learning_rate(optimizers, config, step, steps)
            pixels = augment(pixels)
            if channels_last:
                pixels = pixels.contiguous(memory_format=torch.channels_last)
            features, losses = one_step(pixels, labels, index)

            if step % settings.log_every == 0 or step == steps:
                y = features.y.flatten(1)
                values = run_folder.jsonable(
                    {
                        "step": step,
                        "epoch": step / len(batches),
                        "seconds": seconds(),
                        **losses,
                        **learner.measured(),
                        "rank": effective_rank(y),
                        "units": y.shape[1],
                        "images_per_second": pace(step),
                        "peak_memory_mb": peak_memory(on),
                        "learning_rate": optimizers["learner"].param_groups[0]["lr"],
                    }
                )
                if metrics is not None:
                    metrics.write("step", values)
                    progress.show({**values, "terms": list(losses)})
                    if values["rank"] is not None and values["rank"] < COLLAPSED <= y.shape[1] / 4:
                        progress.say(
                            f"warning: y uses {values['rank']:.1f} of its {y.shape[1]} directions: it is collapsing; "
                            "lower training.lr or an objective's weight"
                        )
                accelerator.log({k: v for k, v in values.items() if v is not None}, step=step)
            due = time.perf_counter() - last_saved >= settings.checkpoint_every
            due, stop = _any_process(accelerator, due or step == steps, bool(interrupted))
            if due or stop:
                _check_finite(accelerator, learner, pixels, never_finite, step)
                if main:
                    save(step)
                last_saved = time.perf_counter()
            if stop:
                message = f"stopped after step {step}; continue with --resume"
                progress.say(message)
                raise KeyboardInterrupt(message)

        if metrics is not None:
            write_encoder(learner.encoder, config, image_shape, out)
            write_pictures(learner, images, augment, out, config.seed)
            run_folder.write_config(out, config)
            total = steps * settings.batch_size * processes
            metrics.write("end", {"step": steps, "seconds": seconds(), "images_per_second": total / seconds()})
    accelerator.wait_for_everyone()
    return learner.encoder.cpu().eval()


def available_trackers() -> list[str]:
    """Those that Accelerate finds installed; it passes over the others without a word."""
    return [str(getattr(tracker, "value", tracker)) for tracker in get_available_trackers()]


def _any_process(accelerator: Accelerator, *asked: bool) -> tuple[bool, ...]:
    """Whether any process was asked to save, to stop, ..., so that all of them do so after the same step.

    Else one would leave while the others wait for its gradients for ever, the main process with its unsaved steps
    among them. Alone it costs nothing; together, one small sum after each step's sums of gradients.
    """
    if accelerator.num_processes == 1:
        return asked
    counts = accelerator.reduce(torch.tensor(asked, dtype=torch.float32, device=accelerator.device))
    return tuple(count > 0 for count in counts.tolist())


def _check_finite(accelerator: Accelerator, learner: Learner, images: Tensor, expected: set[str], step: int) -> None:
    """Raises Diverged, in all processes, where what would be saved now is ruined in one of them.

    A finite loss does not show it: the step that ruins the weights is the one after it.

    Args:
        expected: names of what was not finite from the start, such as a mask of -inf.
    """
    encoder = learner.encoder
    ruined = sorted(_not_finite(learner) - expected)
    with in_eval_mode(encoder), torch.no_grad():
        y = encoder.forward(images).y  # not by a call: what was compiled for training is not compiled anew for this
    if _any_process(accelerator, bool(ruined) or not bool(y.isfinite().all()))[0]:
        what = f"the weights are no longer finite ({ruined[0]})" if ruined else "y is no longer finite in eval mode"
        raise Diverged(f"{what} after step {step}; {KEPT}")


def _not_finite(module: nn.Module) -> set[str]:
    """Names of the parameters and buffers that hold a number that is infinite or undefined."""
    tensors = itertools.chain(module.named_parameters(), module.named_buffers())
    return {name for name, tensor in tensors if not bool(tensor.isfinite().all())}


class _Pace:
    """Images per second since the last time it was asked."""

    def __init__(self, images_per_step: int, step: int) -> None:
        self.images_per_step, self.step, self.time = images_per_step, step, time.perf_counter()

    def __call__(self, step: int) -> float:
        now = time.perf_counter()
        rate = (step - self.step) * self.images_per_step / (now - self.time)
        self.step, self.time = step, now
        return rate


class _Step:
    """One step, in the paper's order: encode, score, bound, prior; then the second player's turn."""

    def __init__(
        self,
        accelerator: Accelerator,
        learner: Learner,
        opponents: Opponents,
        optimizers: dict[str, torch.optim.Optimizer],
    ) -> None:
        self.accelerator, self.weights = accelerator, learner.weights
        # The second player's networks are no part of the first one's gradients; a process group must not wait for them.
        with opponents.frozen():
            self.learner = accelerator.prepare_model(learner, device_placement=False)
        self.opponents = accelerator.prepare_model(opponents, device_placement=False) if opponents else None
        self.optimizers = {k: accelerator.prepare_optimizer(o, device_placement=False) for k, o in optimizers.items()}

    def __call__(self, images: Tensor, labels: Tensor | None, index: Tensor) -> tuple[Features, dict[str, Tensor]]:
        """Returns the features, without gradient, and every loss by name, not weighted."""
        # First player: the encoder and the critics of mutual information.
        batch = Batch(images, labels, index)
        with self.accelerator.autocast():
            features, losses = self.learner(batch)
        total = sum(self.weights[name] * loss for name, loss in losses.items())
        self._descend("learner", total, losses)

        # Second player: the critics that tell encodings from the prior, at the same features.
        features = features.detach()
        if self.opponents is not None:
            with self.accelerator.autocast():
                against = self.opponents(features, batch)
            self._descend("opponents", sum(against.values()), against)
            losses = losses | against
        return features, {name: loss.detach() for name, loss in losses.items()}

    def _descend(self, player: str, total: Tensor, losses: dict[str, Tensor]) -> None:
        if not math.isfinite(total.item()):  # note: this waits for the device, the price of never stepping on a NaN
            named = ", ".join(f"{name} {loss.item():.4g}" for name, loss in losses.items())
            raise Diverged(f"the loss is no longer finite ({named}); {KEPT}")
        optimizer = self.optimizers[player]
        optimizer.zero_grad()
        self.accelerator.backward(total)
        optimizer.step()


def _from(batches: Batches, step: int, steps: int) -> Iterator[tuple[Tensor, Tensor | None, Tensor]]:
    """Batches from a global step on, epoch after epoch."""
    first_epoch, start = divmod(step, len(batches))
    left = steps - step
    for epoch in itertools.count(first_epoch):
        for images, labels, index in batches(epoch, start=start):
            if left <= 0:
                return
            left -= 1
            yield images, labels, index
        start = 0
        if left <= 0:
            return


def _optimizer(parameters: list[nn.Parameter], config: Config, device: torch.device) -> torch.optim.Optimizer:
    settings = config.training
    return torch.optim.Adam(
        parameters,
        lr=settings.lr,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
        fused=device.type in ("cpu", "cuda"),
    )


def _learning_rate(optimizers: dict[str, torch.optim.Optimizer], config: Config, step: int, steps: int) -> None:
    """Warm-up, then constant or a half cosine to zero; a function of the step alone."""
    settings = config.training
    factor = min(1.0, step / settings.warmup) if settings.warmup else 1.0
    if settings.schedule == "cosine":
        factor *= 0.5 * (1 + math.cos(math.pi * (step - 1) / steps))
    for optimizer in optimizers.values():
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * factor


def _step_seed(seed: int, step: int, process: int) -> int:
    return ((seed * 2_000_003 + step) * 4_099 + process) % 2**64  # all that torch takes


def _check_data(before: dict[str, Any], now: dict[str, Any], out: Path) -> None:
    """Raises UserError where a run would go on with other images or labels than it began with."""
    if before == now:
        return
    was, found = (f"{d['count']:,} images of {'x'.join(map(str, d['shape']))}" for d in (before, now))
    differ = f"{was} before, {found} now" if was != found else "their count and shape agree, their content does not"
    raise UserError(
        f"cannot resume {out}: the data changed ({differ}); give what it was trained on, or choose another --out"
    )


def _restore(
    saved: dict[str, Any],
    learner: Learner,
    optimizers: dict[str, torch.optim.Optimizer],
    scaler: torch.amp.GradScaler | None,
) -> None:
    if scaler is not None and "scaler" in saved:
        scaler.load_state_dict(saved["scaler"])
    try:
        learner.load_state_dict(saved["learner"], strict=True)
        for name, optimizer in optimizers.items():
            optimizer.load_state_dict(saved["optimizers"][name])
            for parameter, moments in optimizer.state.items():
                for key, value in moments.items():
                    if value.shape == parameter.shape:
                        # Fused Adam walks a parameter and its moments in memory order: their layouts must agree.
                        moments[key] = torch.empty_like(parameter).copy_(value)
    except (RuntimeError, KeyError, ValueError) as error:
        raise UserError(
            f"the checkpoint is of another architecture ({' '.join(str(error).split())[:160]}); choose another --out"
        ) from None


def _check_described(encoder: nn.Module, config: Config, image_shape: tuple[int, ...]) -> None:
    """Raises UserError where `write_encoder` would describe the encoder as one that it is not, so that none loads it.

    A module does not tell the arguments it was made with, but whether it is as those of the configuration make it.
    """
    name = config.encoder["name"]
    arguments = {k: v for k, v in config.encoder.items() if k != "name"}
    if isinstance(encoder, encoders.ARCHITECTURES[name]) and not storage.rebuilds(
        encoder, name=name, image_shape=image_shape, **arguments
    ):
        said = ", ".join(f"{k} {v}" for k, v in arguments.items())
        raise UserError(
            f"the encoder given is no {name} of {said}: set encoder.* of the configuration to the arguments it was "
            "made with, or pass it through encoders.wrap"
        )


def write_encoder(encoder: nn.Module, config: Config, image_shape: tuple[int, ...], out: Path) -> None:
    arguments = {k: v for k, v in config.encoder.items() if k != "name"}
    known = isinstance(encoder, encoders.ARCHITECTURES[config.encoder["name"]])
    name, arguments = (config.encoder["name"], arguments) if known else ("wrapped", {})
    storage.save(encoder, out, name=name, image_shape=image_shape, **arguments)


def _start(
    config: Config, images: ImageSet, learner: Learner, device: torch.device, accelerator: Accelerator
) -> dict[str, Any]:
    return {
        "step": 0,
        "recipe": config.recipe,
        "data": {
            "name": images.name,
            "count": len(images),
            "shape": list(images.shape),
            "classes": list(images.classes) or None,
            "labelled": images.labels is not None,
        },
        "encoder": config.encoder["name"],
        "parameters": sum(p.numel() for p in learner.encoder.parameters()),
        "device": hardware(device),
        "processes": accelerator.num_processes,
        "torch": torch.__version__,
        "deepinfomax": __version__,
    }


def peak_memory(device: torch.device) -> float:
    """The most memory this process has held so far, in MB: of the GPU where there is one, else resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    with suppress(ValueError):
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return used / (2**20 if sys.platform == "darwin" else 2**10)  # bytes there, kilobytes elsewhere
    return 0.0
