"""Test the first steps of a new user in the Airflow UI: log in, look around, trigger a DAG with params."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from include.db import transaction
from include.platform.services.airflow_api import AirflowApi
from include.settings import REPOSITORY
from tests.support.airflow_ui import log_in
from tests.support.browser import launch
from tests.support.platform import Platform
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(900)

DAGS = sorted(path.stem for path in (REPOSITORY / "dags").glob("*.py"))
PAGE_MS = 60_000


@pytest.fixture
def page(platform: Platform) -> Iterator[Page]:
    """Yield a page of the UI, logged in as the administrator."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(PAGE_MS)
        log_in(page, platform.url, "admin", platform.password)
        yield page
        browser.close()


def test_every_dag_is_listed_and_running(page: Page, platform: Platform) -> None:
    page.goto(f"{platform.url}/dags")
    for dag_id in DAGS:
        expect(page.get_by_role("link", name=dag_id, exact=True).first).to_be_visible(timeout=PAGE_MS)
    page.goto(f"{platform.url}/dags/stream_events")
    # The UI shows the docstring of the file as its runbook.
    page.get_by_role("button", name=re.compile("Dag Docs")).first.click()
    expect(page.get_by_text("Run the stream continuously")).to_be_visible(timeout=PAGE_MS)


def test_a_run_of_the_feed_triggered_with_other_params_succeeds(page: Page, platform: Platform) -> None:
    # After a restart of the scheduler, the last run of the feed and the next one can take both slots for five minutes.
    api = AirflowApi(platform.settings)
    for run in api.active_runs("generate_events"):
        api.end_run("generate_events", run, "A test of the form")
    page.goto(f"{platform.url}/dags/generate_events")
    page.get_by_role("button", name="Trigger").first.click()
    page.locator("[name=element_events_per_second]").fill("50")
    page.locator("[name=element_duration_seconds]").fill("4")
    page.locator("[name=element_rows_per_file]").fill("40")
    page.locator("[name=element_seed]").fill("4321")
    page.get_by_role("dialog").get_by_role("button", name="Trigger").click()
    page.wait_for_url(re.compile(r"/dags/generate_events/runs/manual__"))
    expect(page.get_by_text("Success").first).to_be_visible(timeout=3 * PAGE_MS)

    def loaded() -> list[int]:
        with transaction(platform.settings.dsn("analyst")) as cursor:
            cursor.execute("SELECT read FROM shop.files WHERE name LIKE '%-4321-%' AND state = 'loaded'")
            return [read for (read,) in cursor]

    wait_until(lambda: loaded() == [40] * 5, seconds=60, what="the five files of the run to be loaded")
