"""Pictures of the cockpit for docs/cockpit.md, taken from the running platform: ``make up``, then ``make screenshots``.

Prints how long each page took to its first paint and to its first numbers, in a browser whose cache is empty.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from include.platform.secrets import ADMIN, admin_password
from include.platform.supervisor import running_settings
from include.settings import REPOSITORY, Settings
from tests.support.airflow_ui import log_in
from tests.support.browser import launch

_IMAGES = REPOSITORY / "docs" / "images"
_PATIENCE_MS = 60_000
_DESKTOP = (1440, 900)
_PHONE = (390, 844)


@dataclass(frozen=True)
class Shot:
    """One picture: which page, in which window, and what must be seen before it is taken."""

    name: str
    path: str
    waits_for: str
    size: tuple[int, int] = _DESKTOP
    scheme: str = "light"
    is_whole: bool = False


_SHOTS = (
    Shot("overview", "shopstream/overview", ".tile .value"),
    Shot("overview-phone", "shopstream/overview", ".tile .value", size=_PHONE, scheme="dark"),
    Shot("stream", "shopstream/stream", "details[data-key^=reject-]", is_whole=True),
    Shot("stream-dark", "shopstream/stream", "rect.bar", scheme="dark"),
    Shot("quality", "shopstream/quality", "main .card"),
    Shot("objectives", "shopstream/objectives", "main .card"),
    Shot("in-airflow", "plugin/shopstream-overview", ".tile .value"),
)
_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
_NUMBERS = "performance.getEntriesByType('resource').filter(one => one.name.includes('/api/v1/')).at(0)?.responseEnd"


def take(browser: Browser, settings: Settings, shot: Shot) -> str:
    """Take one picture; returns a line on how long the page took."""
    width, height = shot.size
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=shot.scheme, locale="en-GB")
    page = context.new_page()
    page.set_default_timeout(_PATIENCE_MS)
    url = f"http://127.0.0.1:{settings.port}"
    log_in(page, url, ADMIN, admin_password(settings))
    page.goto(f"{url}/{shot.path}")
    inside = page.frame_locator("iframe") if shot.path.startswith("plugin/") else page
    inside.locator("#live", has_text="Live").wait_for()
    inside.locator(shot.waits_for).first.wait_for()
    page.mouse.move(0, 0)
    page.screenshot(path=_IMAGES / f"cockpit-{shot.name}.png", full_page=shot.is_whole, animations="disabled")
    told = f"{shot.name:<16} {_timing(page)}"
    context.close()
    return told


def _timing(page: Page) -> str:
    painted, answered = page.evaluate(f"[{_PAINT}, {_NUMBERS}]")
    if painted is None or answered is None:
        return "inside Airflow"
    return f"first paint {painted:4.0f} ms, first numbers {answered:4.0f} ms"


def main() -> int:
    """Take all pictures; returns the exit status."""
    settings = running_settings(Settings.from_env())
    Path(_IMAGES).mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = launch(playwright)
        for shot in _SHOTS:
            print(take(browser, settings, shot))
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
