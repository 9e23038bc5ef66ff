"""Takes the pictures of the dashboard that the documentation shows, of the year that `demo.py` has played.

python examples/flights/pictures.py [--root FOLDER] [--out docs/images]
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from demo import HERE, free_port
from playwright.sync_api import Page, sync_playwright

#: Picture → address, width, height and theme.
PICTURES = {
    "overview": ("/", 1440, 560, "light"),
    "model": ("/models/delay", 1440, 1250, "light"),
    "version": ("/models/delay/20", 1440, 1250, "dark"),
    "compare": ("/compare?version=delay/19&version=delay/20", 1440, 1250, "light"),
    "audit": ("/audit", 1440, 800, "dark"),
    "narrow": ("/", 400, 900, "light"),
}
#: What a page says of what is read beside it.
UNDER_WAY = re.compile("being measured|being looked at|being taken|are answering")
PATIENCE = 300


def main() -> None:
    parser = argparse.ArgumentParser(description="Take the pictures of the dashboard.")
    parser.add_argument("--root", type=Path, default=HERE, help="where demo.py has played")
    parser.add_argument("--out", type=Path, default=HERE.parents[1] / "docs" / "images")
    chosen = parser.parse_args()
    port = free_port()
    serve = [
        sys.executable,
        "-m",
        "treadle.app.cli.main",
        "ui",
        "--project",
        str(chosen.root),
        "--port",
        str(port),
    ]
    process = subprocess.Popen(serve, stdout=subprocess.DEVNULL)
    try:
        wait(f"http://127.0.0.1:{port}/livez")
        take(f"http://127.0.0.1:{port}", chosen.out)
    finally:
        process.terminate()
        process.wait()


def take(place: str, out: Path) -> None:
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for name, (address, width, height, theme) in PICTURES.items():
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=theme)
            settled(page, place + address)
            page.screenshot(path=out / f"dashboard-{name}.png")
            print(out / f"dashboard-{name}.png", flush=True)
            page.close()
        browser.close()


def settled(page: Page, url: str) -> None:
    """Open a page, and wait for what is read beside it and for the stream that refreshes it."""
    page.goto(url)
    deadline = time.monotonic() + PATIENCE
    while UNDER_WAY.search(page.locator("main").text_content() or "") and time.monotonic() < deadline:
        page.wait_for_timeout(500)
    page.locator(".live[data-state=on]").first.wait_for(state="attached")


def wait(url: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    msg = "The dashboard did not start. Try: treadle ui"
    raise RuntimeError(msg)


if __name__ == "__main__":
    main()
