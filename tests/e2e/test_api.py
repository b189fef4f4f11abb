"""Test the API of a whole platform as programs and browsers use it: by token and by the cookie of the login form."""

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
OWN = {"X-Requested-With": "shopstream"}


@pytest.fixture(scope="module")
def passwords() -> dict[str, str]:
    """Return the passwords of the users that a test created."""
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
        answer = client.post("/auth/token", json={"username": name, "password": password})
        client.headers["Authorization"] = f"Bearer {answer.raise_for_status().json()['access_token']}"
        client.cookies.clear()
        yield client


@contextmanager
def _by_cookie(platform: Platform, name: str, password: str) -> Iterator[httpx.Client]:
    with _client(platform) as client:
        form = client.get("/auth/login/", follow_redirects=True).text
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', form)
        fields = {"username": name, "password": password, **({"csrf_token": token[1]} if token else {})}
        answer = client.post("/auth/login/", data=fields)
        (cookie,) = [one for one in answer.headers.get_list("Set-Cookie") if one.startswith("_token=")]
        assert "samesite=lax" in cookie.lower()
        yield client


def test_the_examples_of_the_page_work(platform: Platform) -> None:
    printed = run_examples(platform.url, admin_password_file(platform.settings))
    assert printed[0] == '{"name":"admin","can_act":true}'
    assert "in the last hour" in printed[1]

    def is_running() -> bool:
        with _by_token(platform, "admin", platform.password) as client:
            return bool(client.get(f"{API}/stream").json()["state"] == "running")

    wait_until(is_running, seconds=180, what="the stream to run again after the pause")


def test_the_overview_is_live(platform: Platform, users: dict[str, str]) -> None:
    with _by_token(platform, "vito", users["vito"]) as client:

        def throughput() -> float:
            found: float = client.get(f"{API}/overview").raise_for_status().json()["throughput"]["events_per_second"]
            return found

        wait_until(lambda: throughput() > 0, seconds=120, what="events of the feed")
        overview = client.get(f"{API}/overview").json()
        assert len(overview["series"]["minutes"]) == 60
        assert sum(minute["events"] for minute in overview["series"]["minutes"]) > 0
        assert overview["revenue"]["trust"]["fresh_at"] is not None
        stream = client.get(f"{API}/stream").json()
        assert stream["run"]["driver_id"].startswith("driver-")


def test_anonymous_visitors_and_viewers_are_refused(platform: Platform, users: dict[str, str]) -> None:
    with _client(platform) as client:
        for path in (f"{API}/overview", f"{API}/openapi.json", "/shopstream/overview", "/shopstream/static/app.js"):
            assert client.get(path).status_code == 401
    for enter in (_by_token, _by_cookie):
        with enter(platform, "vito", users["vito"]) as client:
            assert client.get(f"{API}/me").json() == {"name": "vito", "can_act": False}
            answer = client.post(f"{API}/stream/pause", json={"reason": "not mine to pause"}, headers=OWN)
            assert (answer.status_code, answer.headers["Content-Type"]) == (403, "application/problem+json")


def test_an_operator_needs_the_header_to_act_by_cookie(platform: Platform, users: dict[str, str]) -> None:
    body = {"reason": "it runs already"}
    with _by_cookie(platform, "olga", users["olga"]) as client:
        assert client.get(f"{API}/me").json() == {"name": "olga", "can_act": True}
        assert client.post(f"{API}/stream/resume", json=body).status_code == 403
        forged = client.post(f"{API}/stream/resume", json=body, headers={**OWN, "Sec-Fetch-Site": "same-site"})
        assert forged.status_code == 403
        assert client.post(f"{API}/stream/resume", json=body, headers=OWN).status_code == 200


def test_unchanged_answers_have_no_body_and_large_ones_are_packed(platform: Platform, users: dict[str, str]) -> None:
    with _by_token(platform, "vito", users["vito"]) as client:

        def is_known() -> bool:
            etag = client.get(f"{API}/views").headers["ETag"]
            again = client.get(f"{API}/views", headers={"If-None-Match": etag})
            return (again.status_code, again.content) == (304, b"") and "Date" in again.headers

        # A refresh between the two requests changes the answer.
        wait_until(is_known, seconds=30, what="an answer that has not changed")
        assert client.get(f"{API}/overview").headers["Content-Encoding"] == "gzip"
