"""`deepinfomax evaluate`: a run folder, or a file of embeddings, and words -> figures and the report."""

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from deepinfomax import config as configuration
from deepinfomax import encoders, files, memory
from deepinfomax.config import Config
from deepinfomax.data.configured import names_of, tell_notes
from deepinfomax.data.formats import Columns
from deepinfomax.data.images import ImageSet
from deepinfomax.data.loading import has_test_part, suggested_holdout
from deepinfomax.data.names import find, found_once, read_folds
from deepinfomax.data.parts import names_in
from deepinfomax.data.stored import printable
from deepinfomax.data.streaming import has_part
from deepinfomax.devices import choose_device
from deepinfomax.encoders import storage
from deepinfomax.encoders.averaged import Averaged, check_copies, check_pictures
from deepinfomax.encoders.standardised import Standardised, with_channels_of
from deepinfomax.errors import UserError
from deepinfomax.evaluation import evaluate, evaluate_embeddings
from deepinfomax.evaluation.gallery import write_gallery
from deepinfomax.evaluation.reading import cell
from deepinfomax.evaluation.run_data import are_own, data_of, loaded
from deepinfomax.evaluation.shared_embedding import SharedEmbedding, own_device
from deepinfomax.features import LEVELS
from deepinfomax.progress import shown
from deepinfomax.report import write as write_report
from deepinfomax.report.reading import at, number
from deepinfomax.report.reading import read as read_run
from deepinfomax.started_together import speaks, started
from deepinfomax.training import run_folder
from deepinfomax.training.building import begin
from deepinfomax.training.processes import end_group

CONTROLS = ("pixels", "pixels_pca", "random_encoder")  #: unless others are asked for
#: what the figures of a run that saw its test images carry, and the report puts beside its verdict; by whether the
#: encoder was trained on labels
SEEN = {
    False: "the encoder was trained on the test images too, without their labels",
    True: "the encoder was trained on the test images too, and on their labels",
}


@memory.enough_for("measuring", lower="--limit, or name fewer --measures, --levels and --controls")
def evaluate_command(
    run: Path,
    *,
    settings: Mapping[str, Any],
    measures: Sequence[str] | None,
    data: str | None,
    levels: Sequence[str] | None,
    controls: Sequence[str] | None,
    scale: Any,
    average: Sequence[str] | None,
    limit: int | None,
    data_root: Path | None,
    seed: int,
    device: str | None,
) -> tuple[dict[str, Any], str]:
    """Measure a run and bring its report up to date; returns evaluation.json and a table.

    Or measure a file of embeddings: its figures go beside it, to FILE.evaluation.json, and are continued there (they
    are only returned where that folder is read-only).
    `levels` and `controls` of None are all levels, and those controls that cost little. `average`: copies of each
    picture whose vectors are averaged, see `Averaged`; the figures go to a file of their own, and the report stays.
    """
    if average is not None:
        average = check_copies(average)
        if "supervised" in (controls or ()):
            raise UserError("the supervised network is not averaged over copies: leave --average or that control out")
    if run.is_file():
        given = {"--levels": levels, "--controls": controls, "--limit": limit, "--data": data, "--average": average}
        return _of_embeddings(run, given | dict(settings), measures, scale, seed, device)
    encoder = storage.load(run)
    own = run_folder.read_data_config(run)
    run_folder.tell_changed(run)
    run_folder.tell_older_encoder(run)
    config = data_of(run, own, data, data_root, limit, settings)
    options = _options(data, limit, data_root, settings)
    with shown(f"reading {printable(config.data.source)}"), found_once():
        _check_test_part(run, config, options)
        train, test = (loaded(run, encoder, config, split) for split in ("train", "test"))
        seen = _saw_test_images(own, config)
    folds = read_folds(config.data.source, config.data.root)
    if folds and config.data.limit is not None and any(m.endswith("_folds") for m in measures or ()):
        raise UserError("folds are positions among all training images: set data.limit none")
    tell_notes(train, test)
    make_encoder = maker(run, own, train, encoder)
    left_out = []
    if controls is None:
        controls = CONTROLS if make_encoder is not None else CONTROLS[:-1]  # without random_encoder
        if make_encoder is None:
            left_out = ["a network of your own has no random encoder to compare with: pass make_encoder in Python"]
    notes = [*train.notes, *test.notes, *left_out]
    if seen:
        notes.insert(0, SEEN[_trained_on_labels(run)])
    if config.data == own.data and own.data.split == "train" and not own.data.stream:
        notes += _of_changed_data(run, len(train))
    out = run / files.EVALUATION
    if average is not None:
        check_pictures(train.shape)
        encoder, make_encoder = Averaged(encoder, average), _averaging(make_encoder, average)
        out = out.with_name(f"{out.stem}.{'-'.join(average)}{out.suffix}")
        notes.append(f"the vectors of an image are means over its copies ({', '.join(average)})")
    shared = SharedEmbedding() if started() > 1 else None
    on = choose_device(device) if shared is None else own_device(choose_device(device))
    try:
        result = evaluate(
            encoder,
            train,
            test,
            measures=measures,
            levels=LEVELS if levels is None else levels,
            controls=controls,
            scale=scale,
            seed=seed,
            device=on,
            out=out,
            make_encoder=make_encoder,
            folds=folds,
            notes=list(dict.fromkeys(notes)),
            options=options,
            quiet=not speaks(),
            shared=shared,
        )
        if not speaks():
            return {}, ""
        if average is not None:
            return result | {"file": str(out)}, f"{render(result)}\n\nsaved in {out}"
        with shown("writing the report"):
            if are_own(own, config):
                names = names_of(config, test, "test")
                write_gallery(encoder, test, run, names=names, seed=seed, device=on)
            report = write_report(run)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"what was measured so far is saved in {out}; the same command measures the rest"
            f"{' and writes the report' if average is None else ''}"
        ) from None
    finally:
        end_group()
    return result, f"{render(result)}\n\nreport: {report}"


def _of_embeddings(
    file: Path, others: Mapping[str, Any], measures: Sequence[str] | None, scale: Any, seed: int, device: str | None
) -> tuple[dict[str, Any], str]:
    """Measure a file of embeddings; returns its figures and a table.

    Args:
        others: options and settings that are of use for run folders only, by name; a UserError if one was given.
    """
    if started() > 1:
        raise UserError(f"{file} is a file of embeddings, which one process measures: leave --processes out")
    if odd := [name for name, value in others.items() if value not in (None, [])]:
        raise UserError(
            f"{file} is a file of embeddings, which has no use for {', '.join(odd)}: leave it out, or "
            "evaluate a run folder"
        )
    out = file.with_name(f"{file.name}.evaluation.json") if os.access(file.parent, os.W_OK) else None
    contents = evaluate_embeddings(
        file, measures=measures, scale=scale, seed=seed, device=choose_device(device), out=out
    )
    saved = f"\n\nsaved in {out}" if out else ""
    return contents | {"file": out and str(out)}, render(contents, "embeddings") + saved


def _averaging(make_encoder: Callable[[], nn.Module] | None, average: Sequence[str]) -> Callable[[], nn.Module] | None:
    """What builds an encoder that is averaged over the same copies, so that controls stand on equal terms."""
    return None if make_encoder is None else lambda: Averaged(make_encoder(), average)


def _saw_test_images(own: Config, config: Config) -> bool:
    """Whether the images to test on are among those that the run was trained on."""
    if not are_own(own, config):
        return False
    data, trained_on = config.data, own.data.split.split("+")
    if data.stream:
        return "test" in trained_on
    parts = find(data.source, data.root, Columns(data.image, data.label, data.window))
    if "test" in trained_on or any(part in names_in(parts, "test") for part in trained_on):
        return True
    if names_in(parts, "test") or data.holdout is None:
        return False
    return own.data.holdout is None or data.holdout > own.data.holdout  # a smaller share is a part of a larger one


def _of_changed_data(run: Path, count: int) -> list[str]:
    """The note on a run whose data have more or fewer training images now, `count`, than it was trained on."""
    then = number(at(read_run(run).metrics.start, "data", "count"))
    if then is None or then == count:
        return []
    return [f"the data have changed since the training: {then:,.0f} training images then, {count:,} now"]


def _trained_on_labels(run: Path) -> bool:
    """Whether one of a run's objectives is the supervised one."""
    objectives = configuration.read_tree(run / files.CONFIG).get("objective", {})
    kinds = (configuration.objective_type(name, section) for name, section in objectives.items())
    return "supervised" in kinds


def _check_test_part(run: Path, config: Config, options: Sequence[str]) -> None:
    """Raises UserError for data without test images, with the command that measures all the same."""
    data = config.data
    if data.stream and has_part(data, "test"):  # without fetching the whole set to ask it
        return
    columns: dict[str, Any] = {"root": data.root, "image": data.image, "label": data.label, "window": data.window}
    find(
        data.source, data.root, Columns(data.image, data.label, data.window)
    )  # what cannot be found at all says so itself
    if has_test_part(data.source, holdout=data.holdout, **columns):
        return
    fraction = suggested_holdout(data.source, **columns)
    keeping = f"set data.holdout {fraction or 0.1:g} in training to keep some images for it"
    if data.stream:  # which holds none out
        keeping = "stream shards of which some have test in their names"
    said = f"{printable(data.source)} has no test part: {keeping}"
    if fraction is None:
        raise UserError(
            f"{said}, or train on a folder that has train and test inside; too few are here to hold out now"
        )
    whole = ["data.stream", "false"] if data.stream else []
    command = shlex.join(["deepinfomax", "evaluate", str(run), *options, "data.holdout", str(fraction), *whole])
    raise UserError(f"{said}; to measure this run on images that it was trained on: {command}")


def _options(data: str | None, limit: int | None, root: Path | None, settings: Mapping[str, Any]) -> list[str]:
    """The words of the command line that say which images are read."""
    named = {"--data": data, "--limit": limit, "--data-root": root}
    options = [word for name, value in named.items() if value is not None for word in (name, str(value))]
    return options + [word for name, value in settings.items() for word in (name, str(value))]


def render(evaluation: dict[str, Any], subject: str = "trained") -> str:
    """evaluation.json for a terminal: the figure of each measure and level, beside those of its controls.

    `subject`: what was measured.
    """
    subjects = {subject: evaluation["measures"], **evaluation["controls"]}
    lines = []
    for measure in dict.fromkeys(m for tree in subjects.values() for m in tree):
        levels = [v for v in LEVELS if v in evaluation["measures"].get(measure, {})] or [""]
        rows = []
        for name, tree in subjects.items():
            if measure not in tree or not isinstance(tree[measure], dict):
                continue
            results = [tree[measure].get(level, tree[measure]) if level else tree[measure] for level in levels]
            if all(result is tree[measure] for result in results):  # pixels have no levels: one figure for all
                results = results[:1]
            rows.append((name, [cell(measure, result) for result in results]))
        if not rows:  # not a measure but a fact of the supervised control
            continue
        width = max([10, *(2 + len(text) for _, cells in rows for text in cells)])
        lines.append((f"{measure:26s}" + "".join(f"{level:>{width}s}" for level in levels)).rstrip())
        lines += [f"  {name:24s}" + "".join(f"{text:>{width}s}" for text in cells) for name, cells in rows]
    if "accuracy" in evaluation["controls"].get("supervised", {}):
        lines.append(f"{'supervised network':26s}{evaluation['controls']['supervised']['accuracy']:>10.3f}")
    return "\n".join([*lines, *evaluation.get("notes", [])])


def maker(run: Path, config: Config, train: ImageSet, trained: nn.Module) -> Callable[[], nn.Module] | None:
    """What builds a fresh encoder of the same architecture, which begins as the run's own did; None for a wrapped one.

    It draws from torch's random state, and standardises its input as the trained one does.
    """
    description = storage.describe(run)
    if description.architecture == "wrapped":
        return None
    channels = trained.channels if isinstance(trained, Standardised) else None

    def make() -> nn.Module:
        encoder = encoders.build(description.architecture, description.image_shape, **description.arguments)
        begin(encoder, config, train, channels)
        return with_channels_of(encoder, trained)

    return make
