"""A page in a real browser, Chromium without a window: what stands in it after its script has run."""

import re
import subprocess
from pathlib import Path

import needs


def document(page: Path, profile: Path, *options: str, fragment: str = "") -> str:
    """The document as it stands after its script has run.

    Args:
        profile: a folder of the test, for what the browser keeps.
        options: of the browser.
        fragment: what follows the address of the page, such as "#q=3".
    """
    assert needs.CHROMIUM is not None
    quiet = ["--disable-gpu", "--disable-quic", "--disable-sync", "--disable-background-networking", "--no-first-run"]
    command = [needs.CHROMIUM, "--headless", "--no-sandbox", "--disable-component-update", *quiet]
    command += [f"--user-data-dir={profile}", *options, "--dump-dom", f"{page.as_uri()}{fragment}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def driven(page: Path, folder: Path, script: str, *options: str, before: str = "") -> str:
    """What a script of the test writes into the title, on a copy of the page whose policy lets it run.

    Args:
        folder: of the copy.
        before: a script that runs before those of the page.
    """
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text(encoding="utf-8"))
    text = text.replace("<body>", f"<body><script>{before}</script>")
    copy = folder / "driven.html"
    copy.write_text(text.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    title = re.search(r"<title>(.*?)</title>", document(copy, folder / "profile", *options))
    assert title is not None
    return title[1]


def with_foreign_script(page: Path, folder: Path) -> str:
    """The document of a copy into which a script has slipped that would take the title."""
    text = page.read_text(encoding="utf-8").replace("</main>", "</main><script>document.title = 'taken'</script>")
    slipped = folder / "slipped.html"
    slipped.write_text(text, encoding="utf-8")
    return document(slipped, folder / "profile")


def widths(page: Path, folder: Path, width: int, fragment: str = "") -> tuple[int, int]:
    """Pixels of the page's content and of its window, in a frame so wide, measured from outside it."""
    frame = folder / "frame.html"
    frame.write_text(
        f'<iframe id="f" src="{page.as_uri()}{fragment}" style="width:{width}px;height:800px;border:0"></iframe>'
        "<script>document.getElementById('f').onload = function () {"
        " var page = this.contentDocument.documentElement;"
        " document.title = page.scrollWidth + ' ' + page.clientWidth; };</script>"
    )
    text = document(frame, folder / "profile", "--allow-file-access-from-files", "--window-size=1400,900")
    title = re.search(r"<title>(\d+) (\d+)</title>", text)
    assert title is not None
    return int(title[1]), int(title[2])
