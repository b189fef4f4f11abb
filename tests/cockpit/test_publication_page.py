"""Override the hold of a view in a browser, on the quality page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from include.db.refresh import build_candidate, hold_candidate, refresh_view
from include.db.views import view_names
from include.quality.overrides import active_for
from include.settings import Settings
from tests.cockpit.conftest import ROOT, Server
from tests.support.browser import launch

VIEW = "mart_daily_kpis"
OTHER = "mart_revenue_hourly"


@pytest.fixture
def visit(url: str, server: Server) -> Iterator[Callable[[str], Page]]:
    """Return a function that opens the page as a user. The test fails if the page raises a script error."""
    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = launch(playwright)

        def open_page(user: str) -> Page:
            context = browser.new_context()
            context.add_cookies([{"name": "_token", "value": server.tokens[user], "url": url}])
            page = context.new_page()
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.goto(f"{url}{ROOT}/quality")
            return page

        yield open_page
        browser.close()
    assert errors == []


@pytest.fixture
def held(database: Settings) -> Settings:
    """Publish all views, then hold two of them back."""
    for name in view_names():
        refresh_view(database.dsn("ops"), name)
    for name in (VIEW, OTHER):
        candidate = build_candidate(database.dsn("ops"), name)
        hold_candidate(database.dsn("ops"), candidate.refresh_id, "events: drift", ["events/drift"])
    return database


def _row(page: Page, view: str) -> Any:
    return page.get_by_role("row").filter(has=page.get_by_text(view, exact=True))


def _say(page: Page, reason: str, button: str) -> None:
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox").fill(reason)
    dialog.get_by_role("button", name=button).click()
    expect(dialog).to_have_count(0)


def test_an_operator_overrides_and_revokes_in_the_browser(held: Settings, visit: Callable[[str], Page]) -> None:
    page, ops = visit("otto"), held.dsn("ops")
    _row(page, VIEW).get_by_role("button", name="Publish anyway").click()
    expect(page.get_by_role("dialog")).to_contain_text("despite these failed checks: events: drift")
    _say(page, "a sale, I asked the shop", "Publish anyway")
    expect(_row(page, VIEW)).to_contain_text("Decided by otto (a sale, I asked the shop), with the next refresh")
    assert [one.reason for one in active_for(ops, VIEW)] == ["a sale, I asked the shop"]
    assert active_for(ops, OTHER) == []

    _row(page, VIEW).get_by_role("button", name="Hold back again").click()
    _say(page, "it was another shop", "Hold back")
    expect(_row(page, VIEW).get_by_role("button", name="Publish anyway")).to_be_visible()
    assert active_for(ops, VIEW) == []

    page.get_by_role("button", name="Publish all 2 held views anyway").click()
    _say(page, "a sale in all shops", "Publish anyway")
    expect(_row(page, OTHER)).to_contain_text("will be published despite failed checks")
    assert [one.view_name for one in active_for(ops, OTHER)] == [None]


def test_a_viewer_is_offered_no_override(held: Settings, visit: Callable[[str], Page]) -> None:
    page = visit("vera")
    expect(_row(page, VIEW)).to_contain_text("newer data held back")
    expect(page.get_by_role("button", name="Publish")).to_have_count(0)
