"""The page in a real browser, driven by nothing but its address: #q=3 opens the third sample."""

import re
import subprocess
from pathlib import Path

import fake_run
import pytest

import needs
from deepinfomax.report import write

pytestmark = needs.chromium


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(fake_run.write_run(tmp_path_factory.mktemp("browser") / "run"))


def in_browser(page: Path, profile: Path, *options: str, fragment: str = "") -> str:
    """The document as it stands after its script has run."""
    assert needs.CHROMIUM is not None
    quiet = ["--disable-gpu", "--disable-quic", "--disable-sync", "--disable-background-networking", "--no-first-run"]
    command = [needs.CHROMIUM, "--headless", "--no-sandbox", "--disable-component-update", *quiet]
    command += [f"--user-data-dir={profile}", *options, "--dump-dom", f"{page.as_uri()}{fragment}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def opened(document: str) -> list[str]:
    return re.findall(r'<article class="query open" id="([^"]+)"', document)


def chosen(document: str) -> list[str]:
    return re.findall(r'<a href="#([^"]+)"[^>]*aria-current="true"', document)


def test_the_first_sample_is_open_at_first(page: Path, tmp_path: Path) -> None:
    document = in_browser(page, tmp_path)
    assert re.search(r'<html[^>]*class="js"', document)
    assert opened(document) == chosen(document) == ["q=1"]


def test_the_address_opens_a_sample(page: Path, tmp_path: Path) -> None:
    document = in_browser(page, tmp_path, fragment="#q=3")
    assert opened(document) == chosen(document) == ["q=3"]


@pytest.mark.parametrize("fragment", ["#q=99", "#curves", "#<script>"])
def test_any_other_address_opens_the_first(page: Path, tmp_path: Path, fragment: str) -> None:
    assert opened(in_browser(page, tmp_path, fragment=fragment)) == ["q=1"]


def test_clicks_and_keys_choose(page: Path, tmp_path: Path) -> None:
    """A copy of the page that presses its own keys; the policy that forbids foreign scripts is taken out of it."""
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text(encoding="utf-8"))
    keys = """<script>
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
    </script></body>"""
    driven = tmp_path / "driven.html"
    driven.write_text(text.replace("</body>", keys), encoding="utf-8")
    title = re.search(r"<title>(.*?)</title>", in_browser(driven, tmp_path / "profile"))
    assert title is not None
    order = [5, 6, 5, 4, 1, 14, 14, 1, 1]
    assert title[1].split() == [f"q={n}#q={n}" for n in order]


def test_foreign_scripts_do_not_run(page: Path, tmp_path: Path) -> None:
    """Even if something slipped through the escaping, the policy stops it."""
    text = page.read_text(encoding="utf-8").replace("</main>", "</main><script>document.title = 'taken'</script>")
    slipped = tmp_path / "slipped.html"
    slipped.write_text(text, encoding="utf-8")
    document = in_browser(slipped, tmp_path / "profile")
    assert "<title>taken</title>" not in document
    assert opened(document) == ["q=1"]


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_is_wider_than_the_window(page: Path, tmp_path: Path, width: int) -> None:
    """A copy of the page in a frame as wide as a phone, a tablet and a desktop, measured from outside it."""
    frame = tmp_path / "frame.html"
    frame.write_text(
        f'<iframe id="f" src="{page.as_uri()}" style="width:{width}px;height:800px;border:0"></iframe>'
        "<script>document.getElementById('f').onload = function () {"
        " var page = this.contentDocument.documentElement;"
        " document.title = page.scrollWidth + ' ' + page.clientWidth; };</script>"
    )
    document = in_browser(frame, tmp_path / "profile", "--allow-file-access-from-files", "--window-size=1400,900")
    title = re.search(r"<title>(\d+) (\d+)</title>", document)
    assert title is not None
    assert int(title[1]) == int(title[2]) <= width
