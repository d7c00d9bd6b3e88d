"""The page as a whole: what it says, that it is safe, small and needs nothing but itself."""

import json
import re
import warnings
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import fake_run
import numpy as np
import pytest

import deepinfomax
from deepinfomax.errors import UserError
from deepinfomax.report import write
from deepinfomax.report.bars import scale_of
from deepinfomax.report.comparisons import comparisons
from deepinfomax.report.page import duration, guessing, measured_on, pictured, render
from deepinfomax.report.reading import FILES, Metrics, Run, read

VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """Tags, ids, text and attributes of a page; fails where a tag is not closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        self.tags.append((tag, {k: v or "" for k, v in attributes}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: Any) -> None:
        self.tags.append((tag, {k: v or "" for k, v in attributes}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> without a beginning"
        assert self.open.pop() == tag, f"</{tag}> out of turn"

    def handle_data(self, text: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.words.append(text)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(fake_run.write_run(tmp_path_factory.mktemp("runs") / "quickstart"))


@pytest.fixture(scope="module")
def text(complete: Path) -> str:
    return complete.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_it_lies_in_the_run_folder_and_nothing_else_is_left(complete: Path) -> None:
    assert complete.name == "report.html"
    assert {p.name for p in complete.parent.iterdir()} == {*FILES, "report.html"}


def test_a_string_is_a_path_too_and_writing_again_gives_the_same(complete: Path, text: str) -> None:
    assert write(str(complete.parent)) == complete  # type: ignore[arg-type]
    assert complete.read_text(encoding="utf-8") == text


def test_headline(page: Page) -> None:
    assert "DIM on photos" in page.text
    expected = "A dcgan encoder trained on 5,000 images of 3×32×32 of 5 classes, without their labels, in 6 min 43 s."
    assert expected in page.text
    assert "kNN on y: DIM 0.57, above raw pixels 0.20, PCA of pixels 0.22 and a random encoder 0.28." in page.text
    for fact in ("4,922,432", "636 images/s", "cpu, 2 threads", "1 local (infonce) + 0.1 prior", "2,000 (51.3 epochs)"):
        assert fact in page.text


def test_every_section_is_there_and_the_contents_lead_to_it(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    for section in ("measures", "curves", "neighbours", "prior", "generated", "reconstructions", "config", "missing"):
        assert section in ids
    targets = {a["href"].removeprefix("#") for tag in ("a", "use") for a in page.all(tag)}
    assert targets <= set(ids)


def test_ids_are_unique_but_for_shared_outlines(page: Page) -> None:
    """Matplotlib names clips and markers by their content: two with one name are one and the same."""
    ids = [a["id"] for tag, a in page.tags if "id" in a and tag not in ("path", "clippath")]
    assert len(ids) == len(set(ids))


def test_measures_stand_beside_their_controls(page: Page) -> None:
    for words in ("0.62▲", "0.28▼", "0.34=", "supervised", "raw pixels", "PCA of pixels", "not run", "± 0.01"):
        assert words in page.text
    assert "kNN, k = 20, cosine, standardised features" in page.text
    assert "with 1,000 test images" in page.text


def test_images_without_a_label_are_not_among_those_measured() -> None:
    data = {"train": {"count": 900, "labelled": 500}, "test": {"count": 200}}
    run = Run(Path("a"), evaluation={"data": data, "scale": "cpu"})
    assert measured_on(run) == "Measured on 500 training and 200 test images at scale “cpu”."


def test_figures_of_other_data_are_said_to_be() -> None:
    data = {"train": {"name": "/home/a/birds", "count": 90}, "test": {"name": "/home/a/birds", "count": 40}}
    for own, of_what in (("photos", " of birds"), ("/home/a/birds", "")):
        run = Run(Path("a"), metrics=Metrics(start={"data": {"name": own}}), evaluation={"data": data, "scale": "cpu"})
        assert measured_on(run) == f"Measured on 90 training and 40 test images{of_what} at scale “cpu”."


def test_it_says_on_what_it_was_measured(page: Page) -> None:
    assert "Measured on 5,000 training and 1,000 test images at scale “cpu”." in page.text
    assert "Dotted: always saying the commonest class, 0.23." in page.text
    assert "1 remark of the evaluation knn fc: 8 units are the same for every training image" in page.text


@pytest.mark.parametrize(
    ("score", "majority", "classes", "expected"),
    [
        ("accuracy", 0.23, ["a", "b"], 0.23),
        ("accuracy", None, ["a", "b", "c", "d"], 0.25),
        ("accuracy", None, None, None),
        ("balanced_accuracy", 0.23, ["a"] * 40, 0.5),  # of two values of each attribute, however many there are
        ("auc", 0.23, ["a", "b"], None),
    ],
)
def test_guessing(score: str, majority: float | None, classes: list[str] | None, expected: float | None) -> None:
    evaluation = {"measures": {"knn": {"y": {score: 0.5}}}, "data": {"test": {"majority": majority}}}
    run = Run(Path("a"), evaluation=evaluation, metrics=Metrics(start={"data": {"classes": classes}}))
    found = guessing(run, comparisons(run)[0])
    assert (found.fraction if found else None) == expected


@pytest.mark.parametrize(("highest", "end"), [(0.2, 0.25), (0.25, 0.25), (0.26, 0.5), (0.74, 0.75), (0.76, 1.0)])
def test_bars_share_a_scale_that_holds_every_figure(highest: float, end: float) -> None:
    evaluation = {"measures": {"knn": {"y": {"accuracy": 0.1}}}, "controls": {"supervised": {"accuracy": highest}}}
    assert scale_of(comparisons(Run(Path("a"), evaluation=evaluation))) == end


def test_bars_end_beyond_what_guessing_gives() -> None:
    evaluation = {"measures": {"knn": {"y": {"accuracy": 0.6}}}, "data": {"test": {"majority": 0.9}}}
    ((_, drawn, guess),) = pictured(run := Run(Path("a"), evaluation=evaluation), comparisons(run))
    assert guess is not None
    assert ">0.75<" in drawn
    assert ">1<" in drawn


def test_other_figures_have_unit_and_direction(page: Page) -> None:
    ndm = r"NDM: Dependence of units, nats.{0,80}give more images 0\.740 ± 0\.260 3\.20 lower"
    assert re.search(ndm, page.text)
    assert re.search(r"MINE: I\(x; y\), nats.{0,80}8\.41 not run higher", page.text)


def test_every_figure_has_words_for_those_who_cannot_see_it(page: Page) -> None:
    drawings = [a for a in page.all("svg") if a.get("aria-hidden") != "true"]
    assert len(drawings) > 20
    assert all(a.get("role") == "img" and a.get("aria-label") for a in drawings)
    assert all(a.get("alt") for a in page.all("img"))
    assert page.text.count("two players") == 1
    alt = next(a["aria-label"] for a in drawings if "local: bound" in a["aria-label"])
    assert re.fullmatch(r"local: bound, nats, steps 20 to 2000: local/bound from .* to .*; cap 7\.62\.", alt)


def test_config_is_there_in_full(page: Page) -> None:
    for words in (
        '"infonce"',
        "[0.5, 0.999]",
        "objective.prior",
        "skip_bad",
        "false",
        '["tensorboard"]',
        "augmentation",
    ):
        assert words in page.text


def test_nothing_is_loaded_from_anywhere(text: str, page: Page) -> None:
    assert not re.search(r"https?://|//[a-z]+\.|@import|url\((?!#)", text, re.IGNORECASE)
    assert page.all("link") == []
    for tag, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "action", "srcset", "data"):
            address = attributes.get(name, "#")
            assert address.startswith(("#", "data:image/png;base64,", "data:image/jpeg;base64,")), (tag, address)
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "img-src data:" in policy


def test_the_file_can_be_sent_around(complete: Path) -> None:
    assert complete.stat().st_size < 1_000_000


def test_larger_pictures_and_long_runs_stay_small_too(tmp_path: Path) -> None:
    large = fake_run.write_run(tmp_path / "large", side=64, lines=fake_run.metrics_lines(10_000, every=5))
    assert write(large).stat().st_size < 3_000_000


EVIL = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>"


def test_what_comes_from_the_run_is_escaped(tmp_path: Path) -> None:
    folder = fake_run.write_run(tmp_path / "<b>run</b>")
    data = {"name": EVIL, "count": 10, "shape": [EVIL, 3], "classes": [EVIL] * 5}
    lines = [*fake_run.metrics_lines(100)]
    lines[0] = json.dumps(fake_run.start(data=data, device=EVIL, recipe=EVIL, torch=EVIL, encoder=EVIL))
    lines.append(json.dumps({"event": "step", "step": 120, EVIL: 1.0, f"{EVIL}/bound": 1.0, f"x/{EVIL}": 1.0}))
    (folder / "metrics.jsonl").write_text("\n".join(lines), encoding="utf-8")
    evaluation = fake_run.evaluation()
    evaluation["measures"][EVIL] = {EVIL: {"accuracy": 0.5, "protocol": EVIL}}
    evaluation["measures"][f"{EVIL}2"] = {"nested": {EVIL: 3.0}}
    (folder / "evaluation.json").write_text(json.dumps(evaluation), encoding="utf-8")
    quoted = json.dumps(EVIL)
    (folder / "config.toml").write_text(f"{quoted} = {quoted}\n[{quoted}]\n{quoted} = [{quoted}]\n", encoding="utf-8")
    (folder / "reconstructions.npz").write_text(EVIL)
    (folder / "generated.npz").write_text(EVIL)
    text = write(folder).read_text(encoding="utf-8")
    page = Page(text)
    assert len(page.all("script")) == 1
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert "<b>" not in text.replace("<b>0.", "")
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert page.text.count(EVIL) > 20


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_leaves_one_quiet_line(tmp_path: Path, name: str) -> None:
    folder = fake_run.write_small(tmp_path / "run")
    (folder / name).unlink()
    page = Page(write(folder).read_text(encoding="utf-8"))
    expected = {
        "config.toml": "There is no configuration in the folder.",
        "metrics.jsonl": "No step has been recorded.",
        "evaluation.json": "Nothing has been measured yet.",
        "gallery.npz": "No sample images were kept.",
        "embeddings_sample.npz": "No sample of y was kept.",
    }
    if name in expected:
        assert expected[name] in page.text
        assert "deepinfomax" in page.text.partition(expected[name])[2][:60]
    else:
        section = {
            "reconstructions.npz": "Reconstructions",
            "generated.npz": "Its own pictures",
            "queries.npz": "my photo.jpg",
        }[name]
        assert section not in page.text


@pytest.mark.parametrize("name", FILES)
def test_any_single_file_makes_a_page(tmp_path: Path, name: str) -> None:
    whole = fake_run.write_small(tmp_path / "whole")
    folder = tmp_path / "one"
    folder.mkdir()
    (whole / name).rename(folder / name)
    page = Page(write(folder).read_text(encoding="utf-8"))
    assert page.text.count("writes it.") == 5 - (name not in ("reconstructions.npz", "generated.npz", "queries.npz"))


@pytest.mark.parametrize("name", FILES)
def test_an_unreadable_file_is_named_on_the_page(tmp_path: Path, name: str) -> None:
    folder = fake_run.write_small(tmp_path / "run")
    (folder / name).write_bytes(b"\x00\xff nonsense")
    page = Page(write(folder).read_text(encoding="utf-8"))
    if name == "metrics.jsonl":  # a file of lines: those that are none are passed over
        assert "No step has been recorded." in page.text
    else:
        assert f"{name} could not be read" in page.text


def test_a_run_that_lost_is_told_so(tmp_path: Path) -> None:
    evaluation = fake_run.evaluation()
    evaluation["measures"]["knn"]["y"]["accuracy"] = 0.15
    text = write(fake_run.write_run(tmp_path / "run", measured=evaluation)).read_text(encoding="utf-8")
    assert "DIM 0.15, below raw pixels 0.20, PCA of pixels 0.22 and a random encoder 0.28." in text
    assert 'class="verdict below"' in text


def test_an_unfinished_run_is_told_so(tmp_path: Path) -> None:
    lines = fake_run.metrics_lines(400, ended=False)
    page = Page(write(fake_run.write_run(tmp_path / "run", lines=lines)).read_text(encoding="utf-8"))
    assert "The run did not reach its end." in page.text
    assert "it ends at step 400 without a last word" in page.text
    assert "--resume" in page.text


@pytest.mark.parametrize("prior", ["uniform", "gaussian", "ball", "sphere"])
def test_every_prior_is_named(tmp_path: Path, prior: str) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.toml").write_text(f'[objective.prior]\nprior = "{prior}"\n')
    np.savez(folder / "embeddings_sample.npz", y=fake_run.sample(prior))
    page = Page(write(folder).read_text(encoding="utf-8"))
    says = {
        "uniform": "uniform distribution",
        "gaussian": "standard Gaussian",
        "ball": "unit ball",
        "sphere": "unit sphere",
    }
    assert f"The prior is the {says[prior]}" in page.text
    assert ("Norm of y" in page.text) == (prior != "uniform")


def test_names_in_any_script_are_no_warning(tmp_path: Path) -> None:
    evaluation = fake_run.evaluation()
    evaluation["measures"]["knn"] = {"层 $x_1": {"accuracy": 0.5}}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = write(fake_run.write_run(tmp_path / "走る", measured=evaluation)).read_text(encoding="utf-8")
    assert "层 $x_1" in text
    assert "走る" in text


@pytest.mark.parametrize("where", ["nowhere", "empty"])
def test_no_run_no_page(tmp_path: Path, where: str) -> None:
    folder = tmp_path / where
    if where == "empty":
        folder.mkdir()
    with pytest.raises(UserError):
        write(folder)
    assert not (folder / "report.html").exists()


def test_odd_kinds_of_everything_still_make_a_page(tmp_path: Path) -> None:
    """Files of another version may hold anything at any place."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.toml").write_text('encoder = "a"\nobjective = 3\ndata = [1, {a = 2}]\nseed = 2026-01-01\n')
    (folder / "metrics.jsonl").write_text(
        '{"event": "start", "data": "x", "parameters": "many", "device": {"a": 1}}\n'
        '{"event": "step", "step": 1, "epoch": "x", "loss": [1]}\n{"event": "end", "seconds": null}\n'
    )
    (folder / "evaluation.json").write_text('{"measures": {"knn": 0.5, "mlp": null, "linear": [1]}, "controls": [1]}')
    Page(render(read(folder)))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(41.6, "42 s"), (99.4, "99 s"), (100, "1 min 40 s"), (3599.6, "1 h 0 min"), (11520, "3 h 12 min")],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds).replace("\N{NO-BREAK SPACE}", " ") == text


def test_the_supervised_network_is_said_to_have_its_own_head(tmp_path: Path) -> None:
    page = Page(write(fake_run.write_run(tmp_path / "run")).read_text(encoding="utf-8"))
    assert "judged by its own head: end to end, 800 steps." in page.text
    evaluation = fake_run.evaluation()
    del evaluation["controls"]["supervised"]
    without = Page(write(fake_run.write_run(tmp_path / "without", measured=evaluation)).read_text(encoding="utf-8"))
    assert "its own head" not in without.text


@pytest.mark.parametrize("page", ["report/templates/page.html", "explore/templates/explore.html"])
def test_no_two_sentences_stick_together(page: str) -> None:
    """Jinja drops the line end after a block, so that a sentence that ends in one needs a blank of its own."""
    source = (Path(deepinfomax.__file__).parent / page).read_text(encoding="utf-8")
    assert not re.findall(r"\.\{% endif %\}\n\s*(?:\{% if [^%]*%\})?[A-Z]", source)
