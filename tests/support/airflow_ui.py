"""Use the Airflow UI as a person does."""

from __future__ import annotations

from http import HTTPStatus

from playwright.sync_api import Page

from tests.support.waiting import wait_until

# Airflow accepts five logins in forty seconds, of all users together.
_TIMEOUT_SECONDS = 120


def log_in(page: Page, url: str, name: str, password: str) -> None:
    """Log in with the form, which leads to the home page; wait while Airflow refuses further logins."""
    wait_until(lambda: _is_let_in(page, url, name, password), seconds=_TIMEOUT_SECONDS, what=f"{name} to be logged in")
    page.wait_for_url(f"{url}/")


def _is_let_in(page: Page, url: str, name: str, password: str) -> bool:
    """Return whether Airflow accepted the login, rather than refusing it as one too many."""
    page.goto(url)
    page.fill("input[name=username]", name)
    page.fill("input[name=password]", password)
    with page.expect_response(lambda response: response.request.method == "POST") as answer:
        page.click("[type=submit]")
    return answer.value.status != HTTPStatus.TOO_MANY_REQUESTS
