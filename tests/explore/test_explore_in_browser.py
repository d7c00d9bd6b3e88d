"""The page of `explore` in a real browser: the map, its keys, its pointer, and the lists that lead to it."""

import re
from pathlib import Path

import numpy as np
import pytest
from small_pictures import groups, pictures

import browser
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
    images[21:26] = images[20]  # six in a row are wider than a phone
    names = [f"</script>{i}.png" for i in range(90)]
    parts = np.array(["train"] * 60 + ["test"] * 30)
    collection = Collection("<b>page</b>", names, images, parts, of, ("zero", "one", "<i>two</i>"))
    control = of_vectors(images.reshape(90, -1).astype(np.float32), seed=0)
    found = explore(collection, of_vectors(vectors, seed=0), control)
    return write_page(found, tmp_path_factory.mktemp("page") / "page.html", about=[], tables=[], seed=0)


#: for the browser: its clock runs on until the map is drawn
PATIENT = "--virtual-time-budget=8000"
#: frames come when the browser likes; here every drawing is done at once
AT_ONCE = "requestAnimationFrame = function (paint) { paint(); };"


def test_the_map_is_drawn_and_the_address_chooses_an_image(page: Path, tmp_path: Path) -> None:
    document = browser.document(page, tmp_path, PATIENT, fragment="#i=17")
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
    said = dict(part.split(":") for part in browser.driven(page, tmp_path, script, PATIENT, before=AT_ONCE).split())
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
    count, pressed, address, chosen = browser.driven(page, tmp_path, script, PATIENT, before=AT_ONCE).split()
    assert int(count) > 10
    assert pressed == "1"
    assert (address, chosen) == ("#i=1", "1")


def test_foreign_scripts_do_not_run(page: Path, tmp_path: Path) -> None:
    document = browser.with_foreign_script(page, tmp_path)
    assert "<title>taken</title>" not in document
    assert re.search(r'<html[^>]*class="js"', document)


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_window(page: Path, tmp_path: Path, width: int) -> None:
    content, window = browser.widths(page, tmp_path, width, fragment="#i=3")
    assert content == window <= width
