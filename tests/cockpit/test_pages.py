"""Pages and static files: their security headers, and no access to files outside their folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cockpit.conftest import API, ROOT, Server


def _policy(server: Server, path: str) -> dict[str, str]:
    answer = server.send("GET", ROOT + path, "vera")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert answer.headers["Cache-Control"] == "private, no-cache"
    directives = (one.strip().partition(" ") for one in answer.headers["Content-Security-Policy"].split(";"))
    return {name: sources for name, _, sources in directives}


@pytest.mark.parametrize("path", ["/overview", "/static/index.html", "/api/v1/me"])
def test_nothing_is_loaded_from_elsewhere(server: Server, path: str) -> None:
    policy = _policy(server, path)
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'self'"
    sources = {source for sources in policy.values() for source in sources.split()}
    assert sources <= {"'none'", "'self'", "data:"}


@pytest.mark.parametrize("page", ["overview", "stream", "quality", "objectives"])
def test_every_page_is_served(server: Server, page: str) -> None:
    answer = server.send("GET", f"{ROOT}/{page}", "vera")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")


def test_the_root_and_the_tab_of_a_dag_redirect_to_pages(server: Server) -> None:
    expected = {
        "/": "overview",
        "/dag/stream_events": "stream",
        "/dag/check_quality": "quality",
        "/dag/any": "overview",
    }
    for path, page in expected.items():
        answer = server.send("GET", ROOT + path, "vera")
        assert (answer.status_code, answer.headers["Location"]) == (307, f"{ROOT}/{page}")


@pytest.mark.parametrize(
    ("suffix", "media_type"),
    [(".html", "text/html"), (".js", "text/javascript"), (".css", "text/css"), (".woff2", "font/woff2")],
)
def test_files_have_their_media_type_and_an_etag(server: Server, suffix: str, media_type: str) -> None:
    static = Path("include/airflow/cockpit/static")
    file = next(iter(sorted(static.rglob(f"*{suffix}"))))
    answer = server.send("GET", f"{ROOT}/static/{file.relative_to(static)}", "vera")
    assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (200, media_type)
    etag = {"If-None-Match": answer.headers["ETag"]}
    assert server.send("GET", f"{ROOT}/static/{file.relative_to(static)}", "vera", headers=etag).status_code == 304


def test_static_files_are_cached_by_the_browser(server: Server) -> None:
    page = server.send("GET", f"{ROOT}/overview", "vera").text
    parts = re.findall(r'(?:src|href)="(static/[^"]+)"', page)
    assert len(parts) > 10
    for part in parts:
        answer = server.send("GET", f"{ROOT}/{part}", "vera")
        assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "private, max-age=31536000, immutable")
        assert server.send("GET", f"{ROOT}/{part}", None).status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "../pages.py",
        "%2e%2e/pages.py",
        "..%2fpages.py",
        "pages/%2e%2e/%2e%2e/pages.py",
        "%2e%2e-secret.txt",
        "%2fetc%2fpasswd",
        "//etc/passwd",
        "pages%00",
        "..%5cpages.py",
    ],
)
def test_nothing_beside_the_static_files_is_served(server: Server, path: str) -> None:
    answer = server.send("GET", f"{ROOT}/static/{path}", "vera")
    assert answer.status_code == 404, answer.text
    assert "serve_pages" not in answer.text


def test_there_is_no_api_documentation_page(server: Server) -> None:
    for path in ("/docs", "/redoc", f"{API}/docs"):
        assert server.send("GET", f"{ROOT}{path}", "vera").status_code in (307, 404)
