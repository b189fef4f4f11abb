"""Pages, static files and the Data Docs: their security headers, and no access to files outside the folders."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from include.settings import Settings
from tests.cockpit.conftest import API, ROOT, Server


@pytest.fixture
def docs(cluster: Settings) -> Path:
    """Create Data Docs for the server, next to a secret file."""
    folder = cluster.quality_docs_dir
    (folder / "events").mkdir(parents=True, exist_ok=True)
    (folder / "index.html").write_text("<p>the index")
    (folder / "events" / "run 7.html").write_text("<p>a run")
    (folder.parent / "data-docs-secret.txt").write_text("treasure")
    (folder / "link.txt").unlink(missing_ok=True)
    (folder / "link.txt").symlink_to(cluster.passfile)
    return folder


def _policy(server: Server, path: str) -> dict[str, str]:
    answer = server.send("GET", ROOT + path, "vera")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert answer.headers["Cache-Control"] == "private, no-cache"
    directives = (one.strip().partition(" ") for one in answer.headers["Content-Security-Policy"].split(";"))
    return {name: sources for name, _, sources in directives}


@pytest.mark.parametrize("path", ["/overview", "/static/index.html", "/docs/index.html", "/api/v1/me"])
def test_nothing_is_loaded_from_elsewhere(server: Server, docs: Path, path: str) -> None:
    policy = _policy(server, path)
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'self'"
    sources = {source for sources in policy.values() for source in sources.split()}
    assert sources <= {"'none'", "'self'", "'unsafe-inline'", "data:", "allow-same-origin"}
    assert "'unsafe-inline'" not in policy.get("script-src", "")


def test_no_script_runs_in_the_data_docs(server: Server, docs: Path) -> None:
    policy = _policy(server, "/docs/index.html")
    assert "script-src" not in policy
    assert policy["sandbox"] == "allow-same-origin"


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


def test_the_data_docs_are_served(server: Server, docs: Path) -> None:
    assert server.send("GET", f"{ROOT}/docs/", "vera").text == "<p>the index"
    assert server.send("GET", f"{ROOT}/docs/events/run%207.html", "vera").text == "<p>a run"
    assert server.send("GET", f"{ROOT}/docs/events/none.html", "vera").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "../data-docs-secret.txt",
        "%2e%2e/data-docs-secret.txt",
        "..%2fdata-docs-secret.txt",
        "events/%2e%2e/%2e%2e/data-docs-secret.txt",
        "%2e%2e-secret.txt",
        "%2fetc%2fpasswd",
        "//etc/passwd",
        "link.txt",
        "events%00",
        "..%5cdata-docs-secret.txt",
    ],
)
@pytest.mark.parametrize("folder", ["docs", "static"])
def test_nothing_beside_the_folders_is_served(server: Server, docs: Path, folder: str, path: str) -> None:
    answer = server.send("GET", f"{ROOT}/{folder}/{path}", "vera")
    assert answer.status_code == 404, answer.text
    assert "treasure" not in answer.text


def test_before_the_first_check_there_are_no_data_docs(server: Server, docs: Path, tmp_path: Path) -> None:
    docs.rename(tmp_path / "away")
    try:
        assert server.send("GET", f"{ROOT}/docs/index.html", "vera").status_code == 404
    finally:
        (tmp_path / "away").rename(docs)


def test_there_is_no_api_documentation_page(server: Server) -> None:
    for path in ("/docs", "/redoc", f"{API}/docs"):
        assert server.send("GET", f"{ROOT}{path}", "vera").status_code in (307, 404)
