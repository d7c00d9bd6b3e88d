"""`train`: the training loop of one run, from images and a configuration to a run folder."""

import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs
from rich.console import Console
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from deepinfomax import __version__, encoders, files, memory
from deepinfomax.config import Config, Training, objective_type, resolve
from deepinfomax.data.augmentation import Augmentation
from deepinfomax.data.batches import Batches
from deepinfomax.data.channels import Channels
from deepinfomax.data.fingerprint import identity
from deepinfomax.data.images import ImageSet, trainable
from deepinfomax.data.in_memory import as_images
from deepinfomax.data.section import Data
from deepinfomax.data.stream_batches import StreamBatches, StreamStopped
from deepinfomax.data.streaming import Stream
from deepinfomax.devices import arithmetic, choose_device, hardware, has_fast_bfloat16
from deepinfomax.encoders import storage
from deepinfomax.encoders.standardised import Standardised
from deepinfomax.errors import UserError
from deepinfomax.objectives import OBJECTIVES
from deepinfomax.objectives.game import Game
from deepinfomax.objectives.protocol import Batch
from deepinfomax.progress import shown
from deepinfomax.recipes import recipe
from deepinfomax.started_together import started
from deepinfomax.training import checkpoint, processes, run_folder
from deepinfomax.training.building import build_game, uses_index, uses_labels, with_common_batchnorm
from deepinfomax.training.compiling import check_compile, step_of
from deepinfomax.training.decoded_images import write_decoded_images
from deepinfomax.training.guards import check_finite, not_finite
from deepinfomax.training.interruption import Interruption
from deepinfomax.training.optimizers import unused
from deepinfomax.training.schedule import batches_from, count_steps, learning_rate, set_learning_rate, step_seed
from deepinfomax.training.state import RunState, check_trained_on
from deepinfomax.training.step_metrics import check_names
from deepinfomax.training.watching import Watcher, check_trackers


def train(
    config: Config | str,
    images: Any,
    out: str | Path,
    *,
    resume: bool = False,
    device: str | None = None,
    quiet: bool = False,
    encoder: nn.Module | None = None,
    about: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Train one run, and write its run folder.

    Args:
        config: what to train, or the name of a recipe.
        images: the training part: an `ImageSet`, or what `data.as_images` takes: arrays, tensors, a data set, a loader;
            or a stream, see `data.streaming.stream_of`.
        out: the run folder, which is created.
        resume: continue the run in `out` from its checkpoint. On the same machine the result is the same, bit for bit,
            as without the interruption; on a GPU only with `training.deterministic`.
        device: "cpu", "cuda", ...; None: a GPU if there is one.
        quiet: show no progress.
        encoder: a network to train instead of `config.encoder`: one of your own, from `encoders.wrap`, or one that
            `config.encoder` describes.
        about: further entries of the first line of metrics.jsonl, about the data.

    Returns:
        The trained encoder, on the CPU, in eval mode. It takes images (N, C, *S) in [-1, 1]; if the data are not
        pictures of bytes, it takes their numbers and standardises them itself (`encoders.standardised`). With several
        processes all of them return the same encoder.

    Raises:
        UserError: the folder is in use; its checkpoint has another configuration or other data; there are fewer images
            than a batch; `config.data` has settings for reading that are not used, see `check_all_used`; `encoder` has
            the architecture of `config.encoder` but other settings.
        Diverged: a loss, a weight or y is no longer finite.
    """
    config, out = resolve(recipe(config) if isinstance(config, str) else config), Path(out)
    config = _for_this_run(config, out if resume else None, device, own_encoder=encoder is not None)
    read_here = not isinstance(images, ImageSet | Stream)  # of others whoever read them has told the notes
    if read_here:
        check_all_used(config.data)
    stream, training = images if isinstance(images, Stream) else None, config.training
    if stream is not None:
        check_streams(config, stream)
    images = trainable(as_images(images) if stream is None else stream.sample)
    told_apart = identity(images) if stream is None else stream.data
    if resume:  # checked first: with other settings or data, later checks would fail with a misleading message
        run_folder.check_resumable(out, config, apart_from="encoder")  # which is not known before the images are
        check_trained_on(out / run_folder.CHECKPOINT, images, told_apart)
    augment = Augmentation(**config.augmentation)
    image_shape = augment.output_shape(images.shape)
    if encoder is None:
        config = replace(config, encoder=encoders.of_rank(config.encoder, image_shape))
    accelerator, on = _machine(config, out, device)
    with shown("measuring the channels", Console(stderr=True, quiet=quiet or not accelerator.is_main_process)):
        channels = channels_of(config, images)
    channels_last = training.channels_last and len(image_shape) == 3  # torch has that layout for pictures only
    with shown("building the networks", Console(stderr=True, quiet=quiet or not accelerator.is_main_process)):
        shown_to_it = images if stream is None else replace(images, labels=None)
        game = _game(config, image_shape, shown_to_it, encoder, channels, accelerator, on, channels_last)
    never_finite = not_finite(game)
    state = RunState(game, training, images, on, config, accelerator.num_processes, data=told_apart)
    state.scaler = accelerator.scaler
    shares: dict[str, Any] = {
        "seed": config.seed,
        "device": on,
        "rank": accelerator.process_index,
        "world_size": accelerator.num_processes,
    }
    batches = _batches(config, images, stream, channels, **shares)
    steps = count_steps(training, len(batches))
    lock = _open_folder(out, config, state, steps, resume, accelerator)
    step = step_of(training.compile, accelerator, game, state.optimizers)
    watcher = Watcher(
        accelerator,
        out,
        state,
        steps=steps,
        steps_per_epoch=len(batches),
        images_per_step=training.batch_size * accelerator.num_processes,
        quiet=quiet,
    )

    seconds_before, began = state.seconds, time.perf_counter()
    last_saved = began
    room = memory.enough_for("training", lower="training.batch_size, local.places or encoder.width")
    exact = arithmetic(on, tf32=training.tf32, deterministic=training.deterministic)
    with lock, watcher, room, exact, Interruption() as interrupted:
        if state.step == 0:
            told = (_about_stream(stream) if stream is not None else {}) | dict(about or {})
            watcher.event("start", _start(config, images, game, on, accelerator, told))
        if resume and state.step == 0:
            watcher.say(f"note: {out} has no checkpoint; it begins at the first step")
        for note in images.notes if read_here else ():
            watcher.say(f"note: {note}")
        if isinstance(batches, StreamBatches):
            watcher.say(f"note: {batches.begun_with(state.stream)}")
        for note in _notes(training, augment, steps):
            watcher.say(f"note: {note}")
        for number, (pixels, labels, index) in _saved_before_an_end(batches, state, steps, out):
            # Each step seeds the random state, so a resumed run does not depend on earlier draws.
            torch.manual_seed(step_seed(config.seed, number, accelerator.process_index))
            rate = learning_rate(training, number, steps)
            set_learning_rate(state.optimizers.values(), rate)
            batch = _augmented(augment, training, pixels, labels, index, channels_last)
            turn = step(batch)
            if state.step == 0:
                check_names(turn.losses)
            state.step, state.seconds = number, seconds_before + time.perf_counter() - began

            logged = number % training.log_every == 0 or number == steps
            due = number == steps or time.perf_counter() - last_saved >= training.checkpoint_every
            due, stop = step.agree(turn, due, bool(interrupted), logged=logged)
            if logged:
                watcher.step(turn, rate)
            else:
                watcher.at(number)
            if due or stop:
                check_finite(accelerator, game, batch.images, never_finite, number)
                if isinstance(batches, StreamBatches):
                    state.stream = batches.state()
                if accelerator.is_main_process:
                    run_folder.check_there(out)
                    state.save(out / run_folder.CHECKPOINT)
                last_saved = time.perf_counter()
            if stop:
                processes.end_together(accelerator)
                alone = accelerator.num_processes == 1  # `explore` and `quickstart` train too, and have no --resume
                way = f"deepinfomax train --resume --out {shlex.quote(str(out))}" if alone else "--resume"
                raise KeyboardInterrupt(f"stopped after step {number}; continue with {way}")

        if isinstance(batches, StreamBatches) and (lost := batches.left_out()):
            watcher.say(f"note: {lost}")
        processes.with_buffers_of_the_first(accelerator, game.encoder)
        if accelerator.is_main_process:
            write_encoder(whole_encoder(game, channels), config, image_shape, out)
            write_decoded_images(game, images, augment, out, config.seed, channels)
            seconds = seconds_before + time.perf_counter() - began
            total = steps * training.batch_size * accelerator.num_processes
            watcher.event("end", {"step": steps, "seconds": seconds, "images_per_second": total / seconds})
    processes.end_together(accelerator)
    # The memory layout that `load` gives: another layout would change the last bit of the outputs.
    trained = whole_encoder(game, channels)
    return trained.cpu().to(memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]


def _batches(
    config: Config, images: ImageSet, stream: Stream | None, channels: Channels | None, **shares: Any
) -> Batches | StreamBatches:
    """The batches of one process: of the images or, if there is one, of the stream."""
    size, data = config.training.batch_size, config.data
    if stream is None:
        return Batches(images, size, channels=channels, **shares)
    return StreamBatches(stream, size, buffer=data.shuffle_buffer, workers=data.workers, **shares)


def _notes(training: Training, augment: Augmentation, steps: int) -> Iterator[str]:
    """What these settings do that a user may not expect, where `steps` is how many steps will be trained."""
    if training.steps is not None and steps < training.steps:
        more = f"training.epochs {training.epochs} ends it at step {steps}, before training.steps {training.steps}"
        yield f"{more}: set training.epochs higher for more"
    if training.views > 1 and not augment.tells_views_apart:
        yield (
            f"the {training.views} views of an image are alike: set an augmentation that makes them differ, such as "
            "augmentation.flip true"
        )
    if settings := unused(training):
        names = ", ".join(f"training.{name}" for name in settings)
        yield f"{training.optimizer} has no use for {names}: not used"


def _augmented(
    augment: Augmentation,
    training: Training,
    pixels: Tensor,
    labels: Tensor | None,
    index: Tensor | None,
    channels_last: bool,
) -> Batch:
    """Augment a batch of images into the views that the game takes."""
    views = augment(pixels, training.views)
    small = augment.small_views(pixels, training.small_views) if training.small_views else None
    if channels_last:
        views = views.contiguous(memory_format=torch.channels_last)
    return Batch(views, labels, index, training.views, small)


def _saved_before_an_end(
    batches: Batches | StreamBatches, state: RunState, steps: int, out: Path
) -> Iterator[tuple[int, tuple[Tensor, Tensor | None, Tensor | None]]]:
    """`batches_from`; if a stream fails at a damaged shard, the run is saved first.

    With several processes it is not saved, since they would wait for each other here; their last checkpoint stays.
    """
    try:
        yield from batches_from(batches, state.step, steps)
    except StreamStopped as error:
        if isinstance(batches, StreamBatches) and batches.world_size == 1 and state.step:
            state.stream = batches.state()
            state.save(out / run_folder.CHECKPOINT)
            raise UserError(f"{error}; {out} is saved at step {state.step}: mend the data and --resume") from None
        raise


def check_all_used(data: Data) -> None:
    """Refuse settings of how data are read, for images that are given to `train` and not read by them.

    Raises:
        UserError: one of them is set.
    """
    for name in ("values", "kind", "layout", "missing", "size", "channels", "limit"):
        if getattr(data, name) != getattr(Data(), name):
            by = "load" if name in ("size", "channels", "limit") else "from_array or load"
            raise UserError(
                f"data.{name} is not used for images that are given in Python: read them by deepinfomax.data.{by} with "
                f"{name}=, and train on what that returns"
            )


def check_streams(config: Config, stream: Stream) -> None:
    """Check that a configuration can be trained on a stream.

    Raises:
        UserError: an objective that needs labels or each image's position; `data.limit`; no number of steps.
    """
    for name, section in config.objective.items():
        kind = OBJECTIVES[objective_type(name, section)]
        lacking = "labels" if uses_labels(kind) else "each image's place in the data" if uses_index(kind) else ""
        if lacking:
            raise UserError(f"{name} needs {lacking}, and a stream is read without: train it without data.stream")
    if config.data.limit is not None:
        raise UserError("data.limit needs all images at hand: name fewer shards, or set training.steps")
    if stream.shards.count is None and config.training.steps is None:
        raise UserError(f"how many images {stream.shards.name} has is not known: set training.steps")


def channels_of(config: Config, images: ImageSet) -> Channels | None:
    """Mean and deviation of each channel, to standardise by; None for pictures of bytes, or without `data.standardise`.

    Raises:
        UserError: a channel is constant, or has larger numbers than float32 can hold.
    """
    return None if images.pictures or not config.data.standardise else Channels.of(images)


def whole_encoder(game: Game, channels: Channels | None) -> nn.Module:
    """The encoder as it is saved and used: inside `Standardised` if images were standardised."""
    return game.encoder if channels is None else Standardised(game.encoder, channels)


def _for_this_run(config: Config, resumed: Path | None, device: str | None, *, own_encoder: bool) -> Config:
    """The configuration with values for settings that depend on the machine or on a given encoder.

    Precision "auto" becomes that of the resumed run, or else bf16 if the device is faster with it. With a given encoder
    `first_layer` becomes "default", so that it keeps its weights.
    """
    training = config.training
    if own_encoder and training.first_layer != "default":
        training = replace(training, first_layer="default")
    if training.precision == "auto":
        if resumed is not None and (resumed / run_folder.CONFIG).is_file():
            precision = run_folder.read_config(resumed).training.precision
        else:
            precision = "bf16" if has_fast_bfloat16(choose_device(device)) else "no"
        training = replace(training, precision=precision)
    return replace(config, training=training)


def _machine(config: Config, out: Path, device: str | None) -> tuple[Accelerator, torch.device]:
    """The Accelerator for the requested or the best device, and that device."""
    on = choose_device(device)
    if on.type == "cuda":
        processes.check_gpus(on)
    check_trackers(config.training.trackers)
    # Accelerate keeps global state: a second run in the same process could not have another precision or device.
    AcceleratorState._reset_state(reset_partial_state=not processes.grouped())
    accelerator = Accelerator(
        mixed_precision=config.training.precision,
        cpu=on.type == "cpu",
        log_with=list(config.training.trackers) or None,
        project_dir=str(out),
        kwargs_handlers=[DistributedDataParallelKwargs()],  # `Step` changes these settings as the networks need
    )
    check_compile(config.training.compile, on, accelerator.num_processes)
    if started() > 1 and accelerator.num_processes == 1:
        raise UserError(
            f"{started()} processes were started, and on {on} they cannot train together: give "
            "--device cpu, or start one"
        )
    return accelerator, accelerator.device if on.type == accelerator.device.type and on.index is None else on


@memory.enough_for("the encoder and its critics", lower="encoder.width, or the units of the objectives")
def _game(
    config: Config,
    image_shape: tuple[int, ...],
    images: ImageSet,
    encoder: nn.Module | None,
    channels: Channels | None,
    accelerator: Accelerator,
    device: torch.device,
    channels_last: bool,
) -> Game:
    """The configuration's game on the device, initialised by its seed."""
    if hasattr(encoder, "_orig_mod") or isinstance(encoder, nn.DataParallel | DistributedDataParallel):
        raise UserError(  # their names would be in the saved weights
            f"the encoder given is a {type(encoder).__name__}, from whose run none could be loaded: give the network "
            "in it; training.compile compiles it, and several processes train it on several GPUs"
        )
    torch.manual_seed(config.seed)
    game = build_game(config, image_shape, images, encoder, channels)
    if encoder is not None:
        _check_described(encoder, config, image_shape)
    # On a CPU torch has no SyncBatchNorm.
    if accelerator.num_processes > 1 and device.type == "cuda" and config.training.sync_batchnorm:
        game = with_common_batchnorm(game)
    layout = torch.channels_last if channels_last else torch.preserve_format
    return game.to(device, memory_format=layout)  # type: ignore[call-overload]


def _open_folder(
    out: Path, config: Config, state: RunState, steps: int, resume: bool, accelerator: Accelerator
) -> AbstractContextManager[object]:
    """Create the run folder, or restore the state from its checkpoint; returns the main process's lock on it."""
    main, lock = accelerator.is_main_process, ExitStack()
    if resume:
        run_folder.check_resumable(out, config)
    if main:
        held = run_folder.hold(out) if resume else run_folder.create(out, config)
        lock.callback(held.release)
    with ExitStack() as otherwise:
        otherwise.enter_context(lock)
        if resume:
            state.restore(out / run_folder.CHECKPOINT)
        if state.step > steps:
            raise UserError(f"{out} is at step {state.step} already: training.steps {steps} would take some back")
        rate = config.training.lr
        if resume and state.step == steps and rate != run_folder.read_config(out).training.lr:
            raise UserError(  # else its config.toml would name a rate by which no step was trained
                f"{out} is at its last step, {steps}, so training.lr {rate:g} would train nothing: set more "
                "training.steps or training.epochs too, or leave it out"
            )
        if resume and main:
            checkpoint.remove_leftovers(out / run_folder.CHECKPOINT)
            files.remove_abandoned(out)
            run_folder.write_config(out, config)  # now, so that another stop does not lose what was changed
        accelerator.wait_for_everyone()
        return otherwise.pop_all()


def _check_described(encoder: nn.Module, config: Config, image_shape: tuple[int, ...]) -> None:
    """Raises UserError if the encoder's settings differ from `config.encoder`, so that `load` could not rebuild it.

    A module does not know its settings, so it is compared with a second one that is built from the configuration.
    """
    name, settings = storage.described_as(encoder, config.encoder)
    if name == config.encoder["name"] and not storage.rebuilds(encoder, name=name, image_shape=image_shape, **settings):
        said = ", ".join(f"{k} {v}" for k, v in settings.items())
        raise UserError(
            f"the encoder given is no {name} of {said}: set encoder.* of the configuration to the arguments it was "
            "made with, or pass it through encoders.wrap"
        )


def write_encoder(encoder: nn.Module, config: Config, image_shape: tuple[int, ...], out: Path) -> None:
    """Write the encoder into the run folder."""
    name, settings = storage.described_as(encoder, config.encoder)
    storage.save(encoder, out, name=name, image_shape=image_shape, **settings)


def _about_stream(stream: Stream) -> dict[str, Any]:
    """Entries of the first line of metrics.jsonl for a stream."""
    shards = stream.shards
    return {"count": shards.count, "shards": len(shards), "counted": shards.exact, "sample": len(stream.sample)}


def _start(
    config: Config,
    images: ImageSet,
    game: Game,
    device: torch.device,
    accelerator: Accelerator,
    about: Mapping[str, Any],
) -> dict[str, Any]:
    """The first line of metrics.jsonl: the recipe, the data, the hardware and the versions."""
    return {
        "step": 0,
        "recipe": config.recipe,
        "data": {
            "name": images.name,
            "count": len(images),
            "shape": list(images.shape),
            "classes": list(images.classes) or None,
            "labelled": images.labels is not None,
            "notes": list(images.notes),
            **about,
        },
        "encoder": storage.described_as(game.encoder, config.encoder)[0],
        "parameters": sum(p.numel() for p in game.encoder.parameters()),
        "device": hardware(device),
        "processes": accelerator.num_processes,
        "torch": torch.__version__,
        "deepinfomax": __version__,
    }
