"""The page in a real browser, driven by nothing but its address: #q=3 opens the third sample."""

import re
from pathlib import Path

import fake_run
import pytest

import browser
import needs
from deepinfomax.report import write

pytestmark = needs.chromium


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(fake_run.write_run(tmp_path_factory.mktemp("browser") / "run"))


def opened(document: str) -> list[str]:
    return re.findall(r'<article class="query open" id="([^"]+)"', document)


def chosen(document: str) -> list[str]:
    return re.findall(r'<a href="#([^"]+)"[^>]*aria-current="true"', document)


def test_the_first_sample_is_open_at_first(page: Path, tmp_path: Path) -> None:
    document = browser.document(page, tmp_path)
    assert re.search(r'<html[^>]*class="js"', document)
    assert opened(document) == chosen(document) == ["q=1"]


def test_the_address_opens_a_sample(page: Path, tmp_path: Path) -> None:
    document = browser.document(page, tmp_path, fragment="#q=3")
    assert opened(document) == chosen(document) == ["q=3"]


@pytest.mark.parametrize("fragment", ["#q=99", "#curves", "#<script>"])
def test_any_other_address_opens_the_first(page: Path, tmp_path: Path, fragment: str) -> None:
    assert opened(browser.document(page, tmp_path, fragment=fragment)) == ["q=1"]


def test_clicks_and_keys_choose(page: Path, tmp_path: Path) -> None:
    """A copy of the page that presses its own keys; the policy that forbids foreign scripts is taken out of it."""
    keys = """
      var log = [], links = document.querySelectorAll(".samples a");
      function now() { log.push(document.querySelector(".query.open").id + location.hash); }
      function press(key) {
        document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key: key, bubbles: true, cancelable: true}));
        now();
      }
      links[4].click(); now();
      links[4].focus();
      ["ArrowRight", "ArrowLeft", "ArrowLeft", "Home", "ArrowLeft", "End", "ArrowRight", "x"].forEach(press);
      document.title = log.join(" ");
    """
    title = browser.driven(page, tmp_path, keys)
    order = [5, 6, 5, 4, 1, 14, 14, 1, 1]
    assert title.split() == [f"q={n}#q={n}" for n in order]


def test_foreign_scripts_do_not_run(page: Path, tmp_path: Path) -> None:
    """Even if something slipped through the escaping, the policy stops it."""
    document = browser.with_foreign_script(page, tmp_path)
    assert "<title>taken</title>" not in document
    assert opened(document) == ["q=1"]


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_is_wider_than_the_window(page: Path, tmp_path: Path, width: int) -> None:
    """As wide as a phone, a tablet and a desktop."""
    content, window = browser.widths(page, tmp_path, width)
    assert content == window <= width
