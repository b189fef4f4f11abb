"""Take screenshots of the running platform for docs/cockpit.md: ``make up``, then ``make screenshots``.

The script prints the time of each page to its first paint and to its first numbers, in a browser with an empty cache.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, sync_playwright

from include.platform.instance.secrets import ADMIN, admin_password
from include.platform.programs.supervisor import running_settings
from include.settings import REPOSITORY, Settings
from tests.support.airflow_ui import log_in
from tests.support.browser import launch

_IMAGES = REPOSITORY / "docs" / "images"
_TIMEOUT_MS = 60_000
_DESKTOP = (1440, 900)
_PHONE = (390, 844)


@dataclass(frozen=True)
class Shot:
    """A screenshot: its page, its window, and the element that must be visible before it is taken."""

    name: str
    path: str
    waits_for: str
    size: tuple[int, int] = _DESKTOP
    scheme: Literal["light", "dark"] = "light"
    is_whole: bool = False
    prepare: Callable[[Page], None] | None = None


def _ask_for_a_dry_run(page: Page) -> None:
    page.get_by_role("button", name=re.compile("^Retract ")).first.click()
    page.get_by_label("Reason for the retraction").fill("its prices are doubled")
    page.get_by_role("button", name="Start dry run").click()


_SHOTS = (
    Shot("overview", "shopstream/overview", ".tile .value"),
    Shot("overview-phone", "shopstream/overview", ".tile .value", size=_PHONE, scheme="dark"),
    Shot("stream", "shopstream/stream", "details[data-key^=reject-]", is_whole=True),
    Shot("stream-dark", "shopstream/stream", "rect.bar", scheme="dark"),
    Shot("retraction", "shopstream/stream", ".dry-run", prepare=_ask_for_a_dry_run),
    Shot("quality", "shopstream/quality", "main .card"),
    Shot("objectives", "shopstream/objectives", "main .card"),
    Shot("in-airflow", "plugin/shopstream-overview", ".tile .value"),
)
_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
_NUMBERS = "performance.getEntriesByType('resource').filter(one => one.name.includes('/api/v1/')).at(0)?.responseEnd"


def take(browser: Browser, settings: Settings, shot: Shot) -> str:
    """Take one screenshot; return a line with the times of the page."""
    width, height = shot.size
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=shot.scheme, locale="en-GB")
    page = context.new_page()
    page.set_default_timeout(_TIMEOUT_MS)
    url = f"http://127.0.0.1:{settings.port}"
    log_in(page, url, ADMIN, admin_password(settings))
    page.goto(f"{url}/{shot.path}")
    inside = page.frame_locator("iframe") if shot.path.startswith("plugin/") else page
    inside.locator("#live", has_text="Live").wait_for()
    if shot.prepare:
        shot.prepare(page)
    inside.locator(shot.waits_for).first.wait_for()
    page.mouse.move(0, 0)
    page.screenshot(path=_IMAGES / f"cockpit-{shot.name}.png", full_page=shot.is_whole, animations="disabled")
    if shot.prepare:
        # Decline the dry run, which was asked for only for the screenshot.
        page.get_by_role("button", name="Reject request").click()
        page.get_by_text("Nothing was changed").wait_for()
    line = f"{shot.name:<16} {_timing(page)}"
    context.close()
    return line


def _timing(page: Page) -> str:
    painted, answered = page.evaluate(f"[{_PAINT}, {_NUMBERS}]")
    if painted is None or answered is None:
        return "inside Airflow"
    return f"first paint {painted:4.0f} ms, first numbers {answered:4.0f} ms"


def main() -> int:
    """Take all screenshots; return the exit status."""
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
