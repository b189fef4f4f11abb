"""The Airflow UI as a person uses it."""

from __future__ import annotations

from playwright.sync_api import Page


def log_in(page: Page, url: str, name: str, password: str) -> None:
    """Log in by the form, which leads to the home page."""
    page.goto(url)
    page.fill("input[name=username]", name)
    page.fill("input[name=password]", password)
    page.click("[type=submit]")
    page.wait_for_url(f"{url}/")
