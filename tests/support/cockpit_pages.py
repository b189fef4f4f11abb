"""Show the cockpit's pages in a real browser with canned answers, without a server or network.

This covers the states that a healthy platform does not show: Postgres down, signed out, empty, markup in a name.
tests/e2e/test_cockpit.py tests the pages with the real API.
"""

from __future__ import annotations

import hashlib
import json
import mimetypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from playwright.sync_api import Browser, Page, Request, Route, sync_playwright
from pydantic import TypeAdapter

from include.airflow import cockpit
from tests.support.browser import launch

STATIC = Path(cockpit.__file__).parent / "static"
# A secure origin without a server: every request to it is answered here.
ORIGIN = "http://shop.localhost"
_JSON = TypeAdapter(Any)
_TIMEOUT_MS = 10_000


@contextmanager
def browser() -> Iterator[Browser]:
    """Yield a Chromium."""
    with sync_playwright() as playwright:
        chromium = launch(playwright)
        yield chromium
        chromium.close()


class Cockpit:
    """Stand in for the server: ``answers`` by path, ``faults`` by path or "*" as (status, title, detail)."""

    def __init__(self, page: Page, answers: dict[str, Any], *, below: str = "") -> None:
        self.page = page
        self._path = f"{below}/shopstream/"
        self.answers = dict(answers)
        self.faults: dict[str, tuple[int, str, str]] = {}
        self.posts: list[tuple[str, Any, dict[str, str]]] = []
        self.asked: list[str] = []
        self.slow: dict[str, list[Callable[[], None]]] = {}
        self.strangers: list[str] = []
        self.errors: list[str] = []
        page.set_default_timeout(_TIMEOUT_MS)
        page.route("**/*", self._answer)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda said: self._heard(said.type, said.text))

    def open(self, name: str) -> Page:
        """Open a page and wait until it shows its first answer or a notice."""
        self.page.goto(f"{ORIGIN}{self._path}{name}")
        self.page.locator("main > :nth-child(2):not(:empty), #notices:not(:empty)").first.wait_for()
        return self.page

    def _heard(self, kind: str, text: str) -> None:
        # The browser logs each failed request itself; whether the failure was intended, the test knows.
        if kind == "error" and "Failed to load resource" not in text:
            self.errors.append(text)

    def _answer(self, route: Route, request: Request) -> None:
        url = urlsplit(request.url)
        if request.url == f"{ORIGIN}/plugin":
            route.fulfill(body="<!doctype html><title>As Airflow around a plugin</title>", content_type="text/html")
        elif not request.url.startswith(ORIGIN + self._path):
            self.strangers.append(request.url)
            route.abort()
        elif url.path.startswith(f"{self._path}api/v1/"):
            path = unquote(url.path.removeprefix(f"{self._path}api/v1/"))
            self._api(route, request, path, parse_qs(url.query))
        elif url.path.startswith(f"{self._path}static/"):
            file = STATIC / url.path.removeprefix(f"{self._path}static/")
            route.fulfill(body=file.read_bytes(), content_type=mimetypes.guess_type(file.name)[0])
        else:
            route.fulfill(path=STATIC / "index.html", content_type="text/html")

    def _api(self, route: Route, request: Request, path: str, query: dict[str, list[str]]) -> None:
        self.asked.append(path)
        fault = self.faults.get(path) or self.faults.get("*")
        if request.method == "POST":
            self.posts.append((path, request.post_data_json, request.headers))
        if fault:
            status, title, detail = fault
            problem = {"type": "about:blank", "title": title, "status": status, "detail": detail, "instance": path}
            route.fulfill(status=status, body=json.dumps(problem), content_type="application/problem+json")
            return
        state = f"{path}?state={query['state'][0]}" if "state" in query else path
        if "before" in query:
            state = f"{state}{'&' if '?' in state else '?'}before={query['before'][0]}"
        if state in self.slow:
            # The test releases this answer later; other requests are answered meanwhile.
            self.slow[state].append(lambda: self._fulfill(route, request, state, path))
            return
        self._fulfill(route, request, state, path)

    def _fulfill(self, route: Route, request: Request, state: str, path: str) -> None:
        answer = self.answers.get(state, self.answers.get(path, {} if request.method == "POST" else None))
        assert answer is not None, f"the page asks for {request.url}, which has no answer"
        body = _JSON.dump_json(answer)
        etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        if request.headers.get("if-none-match") == etag:
            route.fulfill(status=304, headers={"ETag": etag})
            return
        route.fulfill(body=body, content_type="application/json", headers={"ETag": etag})
