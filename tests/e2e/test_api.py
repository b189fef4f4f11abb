"""Test the API of a running platform with both kinds of login: programs send a token, browsers send a cookie."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from include.platform.instance.secrets import admin_password_file
from tests.support.api_page import run_examples
from tests.support.platform import Platform
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(900)

API = "/shopstream/api/v1"
CSRF_HEADER = {"X-Requested-With": "shopstream"}


@pytest.fixture(scope="module")
def passwords() -> dict[str, str]:
    """Return the passwords of the users that tests have created so far."""
    return {}


@pytest.fixture
def users(platform: Platform, passwords: dict[str, str]) -> dict[str, str]:
    """Return the passwords of a viewer and an operator, created as docs/api.md says."""
    for name, role in (("vito", "Viewer"), ("olga", "Op")):
        if name not in passwords:
            passwords[name] = platform.succeed("include.platform", "user", name, "--role", role).split()[-1]
    return passwords


@contextmanager
def _client(platform: Platform, **headers: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=platform.url, headers=headers, timeout=30, trust_env=False) as client:
        yield client


@contextmanager
def _by_token(platform: Platform, name: str, password: str) -> Iterator[httpx.Client]:
    with _client(platform) as client:
        response = client.post("/auth/token", json={"username": name, "password": password})
        client.headers["Authorization"] = f"Bearer {response.raise_for_status().json()['access_token']}"
        client.cookies.clear()
        yield client


@contextmanager
def _by_cookie(platform: Platform, name: str, password: str) -> Iterator[httpx.Client]:
    with _client(platform) as client:
        form = client.get("/auth/login/", follow_redirects=True).text
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', form)
        fields = {"username": name, "password": password, **({"csrf_token": token[1]} if token else {})}
        response = client.post("/auth/login/", data=fields)
        (cookie,) = [value for value in response.headers.get_list("Set-Cookie") if value.startswith("_token=")]
        assert "samesite=lax" in cookie.lower()
        yield client


def test_the_examples_in_the_api_documentation_work(platform: Platform) -> None:
    printed = run_examples(platform.url, admin_password_file(platform.settings))
    assert printed[0] == '{"name":"admin","can_act":true}'
    assert "in the last hour" in printed[1]

    def is_running() -> bool:
        with _by_token(platform, "admin", platform.password) as client:
            return bool(client.get(f"{API}/stream").json()["state"] == "running")

    wait_until(is_running, seconds=180, what="the stream to run again after the pause")


def test_the_overview_shows_live_data(platform: Platform, users: dict[str, str]) -> None:
    with _by_token(platform, "vito", users["vito"]) as client:

        def throughput() -> float:
            rate: float = client.get(f"{API}/overview").raise_for_status().json()["throughput"]["events_per_second"]
            return rate

        wait_until(lambda: throughput() > 0, seconds=120, what="events of the feed")
        overview = client.get(f"{API}/overview").json()
        assert len(overview["series"]["minutes"]) == 60
        assert sum(minute["events"] for minute in overview["series"]["minutes"]) > 0
        assert overview["revenue"]["trust"]["fresh_at"] is not None
        stream = client.get(f"{API}/stream").json()
        assert stream["run"]["driver_id"].startswith("driver-")


def test_anonymous_requests_and_actions_of_viewers_are_refused(platform: Platform, users: dict[str, str]) -> None:
    with _client(platform) as client:
        for path in (f"{API}/overview", f"{API}/openapi.json", "/shopstream/overview", "/shopstream/static/app.js"):
            assert client.get(path).status_code == 401
    for log_in in (_by_token, _by_cookie):
        with log_in(platform, "vito", users["vito"]) as client:
            assert client.get(f"{API}/me").json() == {"name": "vito", "can_act": False}
            response = client.post(f"{API}/stream/pause", json={"reason": "not mine to pause"}, headers=CSRF_HEADER)
            assert (response.status_code, response.headers["Content-Type"]) == (403, "application/problem+json")


def test_an_operator_with_a_cookie_needs_the_csrf_header_to_act(platform: Platform, users: dict[str, str]) -> None:
    body = {"reason": "it runs already"}
    with _by_cookie(platform, "olga", users["olga"]) as client:
        assert client.get(f"{API}/me").json() == {"name": "olga", "can_act": True}
        assert client.post(f"{API}/stream/resume", json=body).status_code == 403
        forged = client.post(f"{API}/stream/resume", json=body, headers={**CSRF_HEADER, "Sec-Fetch-Site": "same-site"})
        assert forged.status_code == 403
        assert client.post(f"{API}/stream/resume", json=body, headers=CSRF_HEADER).status_code == 200


def test_unchanged_responses_have_no_body_and_large_ones_are_compressed(
    platform: Platform, users: dict[str, str]
) -> None:
    with _by_token(platform, "vito", users["vito"]) as client:

        def is_not_modified() -> bool:
            etag = client.get(f"{API}/views").headers["ETag"]
            again = client.get(f"{API}/views", headers={"If-None-Match": etag})
            return (again.status_code, again.content) == (304, b"") and "Date" in again.headers

        # A refresh between the two requests changes the response.
        wait_until(is_not_modified, seconds=30, what="a response that has not changed")
        assert client.get(f"{API}/overview").headers["Content-Encoding"] == "gzip"
