"""Find or fetch a Chromium for the browser tests: an installed one, or Playwright's.

``python -m tests.support.browser`` makes sure that there is one. `make test` runs it first, so that a missing browser
is reported in the first second.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Browser, Playwright, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# The browser must send nothing of its own to the network; its sandbox does not work as root, which CI runs as.
_ARGUMENTS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)
_REMEDY = (
    "No Chromium was found, and Playwright cannot download one. Install Chromium or Google Chrome with your package "
    "manager (on Debian: apt-get install chromium), so that one of these is on PATH: " + ", ".join(_NAMES)
)


def chromium() -> str | None:
    """Return the path of a Chromium, or None."""
    for name in _NAMES:
        if found := shutil.which(name):
            return found
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


def launch(playwright: Playwright) -> Browser:
    """Start Chromium without a window; the caller closes it."""
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    return playwright.chromium.launch(executable_path=chromium(), args=[*_ARGUMENTS, *sandbox])


def main() -> int:
    """Make sure that there is a Chromium, and return the exit status."""
    if chromium() is None:
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)
    if chromium() is None:
        print(_REMEDY, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
