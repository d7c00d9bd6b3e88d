"""The page of `explore` in a real browser: the map, its keys, its pointer, and the lists that lead to it."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from small_pictures import groups, pictures

import needs
from deepinfomax.explore.analysis import explore
from deepinfomax.explore.collection import Collection
from deepinfomax.explore.page import write_page
from deepinfomax.explore.representation import of_vectors

pytestmark = needs.chromium


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    vectors, of = groups((30, 30, 30))
    images = pictures(90)
    images[61] = images[1]
    names = [f"</script>{i}.png" for i in range(90)]
    parts = np.array(["train"] * 60 + ["test"] * 30)
    collection = Collection("<b>page</b>", names, images, parts, of, ("zero", "one", "<i>two</i>"))
    control = of_vectors(images.reshape(90, -1).astype(np.float32), seed=0)
    found = explore(collection, of_vectors(vectors, seed=0), control)
    return write_page(found, tmp_path_factory.mktemp("page") / "page.html", about=[], tables=[], seed=0)


def in_browser(page: Path, profile: Path, *options: str, fragment: str = "") -> str:
    """The document as it stands after its script has run."""
    assert needs.CHROMIUM is not None
    quiet = ["--disable-gpu", "--disable-quic", "--disable-sync", "--disable-background-networking", "--no-first-run"]
    command = [needs.CHROMIUM, "--headless", "--no-sandbox", "--disable-component-update", *quiet]
    command += [f"--user-data-dir={profile}", "--virtual-time-budget=8000", *options]
    command += ["--dump-dom", f"{page.as_uri()}{fragment}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def driven(page: Path, folder: Path, script: str) -> str:
    """What a script of the test writes into the title, on a copy of the page whose policy lets it run."""
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text(encoding="utf-8"))
    # Frames come when the browser likes; here every drawing is done at once.
    text = text.replace("<body>", "<body><script>requestAnimationFrame = function (paint) { paint(); };</script>")
    copy = folder / "driven.html"
    copy.write_text(text.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    title = re.search(r"<title>(.*?)</title>", in_browser(copy, folder / "profile"))
    assert title is not None
    return title[1]


def test_the_map_is_drawn_and_the_address_chooses_an_image(page: Path, tmp_path: Path) -> None:
    document = in_browser(page, tmp_path, fragment="#i=17")
    assert re.search(r'<html[^>]*class="js"', document)
    canvas = re.search(r"<canvas[^>]*>", document)
    assert canvas is not None
    assert 'data-chosen="17"' in canvas[0]
    assert 'data-pictures="yes"' in canvas[0]
    panel = re.search(r'<aside id="chosen"[^>]*>(.*?)</aside>', document, re.DOTALL)
    assert panel is not None
    assert "&lt;/script&gt;17.png" in panel[1]
    assert panel[1].count("Nearest by") == 1 + 1
    assert panel[1].count("<button") == 1 + 2 * 6
    assert document.count("<b>page</b>") == 0


def test_keys_and_buttons_move_the_map(page: Path, tmp_path: Path) -> None:
    script = """
      var canvas = document.getElementById("canvas"), log = [];
      function now(what) {
        log.push(what + ":" + canvas.dataset.inside + canvas.dataset.view + (canvas.dataset.chosen || ""));
      }
      function key(name) {
        canvas.dispatchEvent(new KeyboardEvent("keydown", {key: name, bubbles: true, cancelable: true}));
      }
      function after(steps) {
        if (!steps.length) { document.title = log.join(" "); return; }
        steps[0]();
        after(steps.slice(1));
      }
      after([
        function () { key("0"); }, function () { now("all"); },
        function () { for (var i = 0; i < 9; i++) key("+"); }, function () { now("near"); },
        function () { for (var i = 0; i < 40; i++) key("ArrowLeft"); }, function () { now("away"); },
        function () { key("0"); key("Enter"); }, function () { now("taken"); },
        function () { document.querySelectorAll("#view button")[1].click(); }, function () { now("other"); },
        function () { key("Escape"); }, function () { now("none"); }
      ]);
    """
    said = dict(part.split(":") for part in driven(page, tmp_path, script).split())
    assert said["all"] == "90embeddings"
    near = re.match(r"(\d+)", said["near"])
    assert near is not None
    assert int(near[1]) < 90
    assert said["away"] == "0embeddings"
    assert re.fullmatch(r"90embeddings\d+", said["taken"])
    assert re.fullmatch(r"90embeddings\d+", said["other"])  # both are somebody's vectors here
    assert said["none"].endswith("-1")


def test_a_tap_chooses_the_image_under_it_and_the_legend_keeps_one_class(page: Path, tmp_path: Path) -> None:
    script = """
      var canvas = document.getElementById("canvas"), box;
      document.querySelectorAll("#legend button")[2].click();
      var pressed = document.querySelectorAll('#legend button[aria-pressed="true"]').length;
      requestAnimationFrame(function () {
        box = canvas.getBoundingClientRect();
        var chosen = {};
        for (var x = 0.1; x < 1; x += 0.09) for (var y = 0.1; y < 1; y += 0.09) {
          var at = {pointerId: 1, clientX: box.left + x * box.width, clientY: box.top + y * box.height, bubbles: true};
          canvas.dispatchEvent(new PointerEvent("pointerdown", at));
          canvas.dispatchEvent(new PointerEvent("pointerup", at));
          chosen[canvas.dataset.chosen] = 1;
        }
        var list = document.querySelector("#duplicates a.shown");
        list.click();
        setTimeout(function () {
          document.title = [Object.keys(chosen).length, pressed, location.hash, canvas.dataset.chosen].join(" ");
        }, 300);
      });
    """
    count, pressed, address, chosen = driven(page, tmp_path, script).split()
    assert int(count) > 10
    assert pressed == "1"
    assert (address, chosen) == ("#i=1", "1")


def test_foreign_scripts_do_not_run(page: Path, tmp_path: Path) -> None:
    text = page.read_text(encoding="utf-8").replace("</main>", "</main><script>document.title = 'taken'</script>")
    slipped = tmp_path / "slipped.html"
    slipped.write_text(text, encoding="utf-8")
    document = in_browser(slipped, tmp_path / "profile")
    assert "<title>taken</title>" not in document
    assert re.search(r'<html[^>]*class="js"', document)


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_window(page: Path, tmp_path: Path, width: int) -> None:
    frame = tmp_path / "frame.html"
    frame.write_text(
        f'<iframe id="f" src="{page.as_uri()}#i=3" style="width:{width}px;height:800px;border:0"></iframe>'
        "<script>document.getElementById('f').onload = function () {"
        " var page = this.contentDocument.documentElement;"
        " document.title = page.scrollWidth + ' ' + page.clientWidth; };</script>"
    )
    document = in_browser(frame, tmp_path / "profile", "--allow-file-access-from-files", "--window-size=1400,900")
    title = re.search(r"<title>(\d+) (\d+)</title>", document)
    assert title is not None
    assert int(title[1]) == int(title[2]) <= width
