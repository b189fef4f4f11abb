"""Tests of the Data Docs: self-contained pages that run no code and list failures first."""

from __future__ import annotations

import os
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import pytest

from include.db import transaction
from include.quality.pages import expire_pages, write_index, write_pages
from include.quality.results import SuiteOutcome, Verdict
from include.quality.run import run_draft
from include.quality.suites import read_drafts
from include.settings import Settings
from tests.support.rows import load_batch, make_event

HOSTILE = "<img src=https://evil.test/x onerror=alert(1)>"
SUITES = {
    "bad": (
        "table: shop.events\nchecks:\n"
        "  - {expect: expect_column_values_to_be_in_set, column: product_name, value_set: [x], severity: warning,"
        f" why: '{HOSTILE}'}}\n"
        "  - {name: sql, expect: unexpected_rows_expectation, severity: critical,"
        " unexpected_rows_query: 'SELECT product_name FROM {batch}'}\n"
    ),
    "good": (
        "table: shop.events\nchecks:\n"
        "  - {expect: expect_column_values_to_not_be_null, column: event_id, severity: critical}\n"
    ),
    "torn": "table: [shop\n",
}


class Page(HTMLParser):
    """Collect the tags, the attributes, the links and the text of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        for name, value in attrs:
            if name in ("src", "srcset", "data", "action", "poster", "background"):
                self.loads.append(str(value))
            elif name in ("href", "xlink:href"):
                self.links.append(str(value))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def docs(database: Settings, tmp_path: Path) -> Path:
    """Write the pages of three suites: one fails on hostile data, one passes, one cannot be read."""
    load_batch(database.dsn("owner"), [make_event(product_name=HOSTILE)])
    suites = tmp_path / "suites"
    suites.mkdir()
    for name, text in SUITES.items():
        (suites / f"{name}.yml").write_text(text, encoding="utf-8")
    directory = database.quality_docs_dir
    write_pages(run(database, suites), directory, database.dsn("ops"), SUITES)
    return directory


def run(database: Settings, suites: Path) -> list[SuiteOutcome]:
    read, write = database.dsn("quality"), database.dsn("ops")
    return [run_draft(draft, read_dsn=read, write_dsn=write, run_id="run-1") for draft in read_drafts(suites)]


def pages(directory: Path) -> list[Page]:
    return [Page(path) for path in sorted(directory.rglob("*.html"))]


def query(database: Settings, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall()) if cursor.description else []


def test_pages_load_nothing_and_run_no_code(docs: Path) -> None:
    found = pages(docs)
    assert len(found) == 1 + 3 + 3
    for page in found:
        assert page.loads == []
        assert page.tags.isdisjoint({"script", "img", "link", "iframe", "object", "embed", "form", "base"})
        assert not any(name.startswith("on") for name in page.attributes)
        assert "url(" not in page.path.read_text(encoding="utf-8")
        assert "@import" not in page.path.read_text(encoding="utf-8")


def test_every_link_is_relative_and_leads_to_a_page(docs: Path) -> None:
    for page in pages(docs):
        for link in page.links:
            parts = urlsplit(link)
            assert not parts.scheme
            assert not parts.netloc
            target = (page.path.parent / parts.path).resolve()
            assert target.is_file(), f"{page.path} links {link}"
            assert docs.resolve() in target.parents


def test_values_of_the_data_are_escaped(docs: Path) -> None:
    ((page),) = [page for page in pages(docs) if page.path.parent.name == "bad"]
    assert HOSTILE in page.text
    assert "<img" not in page.path.read_text(encoding="utf-8")


def test_the_index_lists_failures_first(docs: Path) -> None:
    text = Page(docs / "index.html").text
    places = [text.index(what) for what in ("suite_runs", "sql", "expect_column_values_to_be_in_set")]
    assert places == sorted(places), "first unusable suites, then critical failures, then warnings"
    assert "not YAML" in text
    assert [text.index(f"\n{name}\n") for name in ("torn", "bad", "good")] == sorted(
        text.index(f"\n{name}\n") for name in ("torn", "bad", "good")
    )
    assert 'role="img" aria-label="failed"' in (docs / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("verdict", get_args(Verdict))
def test_a_suite_of_any_verdict_is_on_the_index(docs: Path, database: Settings, verdict: str) -> None:
    query(database, "UPDATE shop.quality_runs SET verdict = %s WHERE suite = 'good'", verdict)
    write_index(docs, database.dsn("ops"), SUITES)
    assert verdict.replace("_", " ") in (docs / "suites" / "good.html").read_text(encoding="utf-8")
    assert "\ngood\n" in Page(docs / "index.html").text


def test_a_removed_suite_is_not_on_the_index(docs: Path, database: Settings) -> None:
    write_index(docs, database.dsn("ops"), {"good", "torn"})
    text = Page(docs / "index.html").text
    assert "\nbad\n" not in text
    assert "sql" not in text
    assert "not YAML" in text


def test_a_platform_without_results_has_an_index_too(database: Settings) -> None:
    write_index(database.quality_docs_dir, database.dsn("ops"), SUITES)
    assert "No suite has run yet." in Page(database.quality_docs_dir / "index.html").text


def test_pages_are_removed_at_their_age(docs: Path, database: Settings) -> None:
    ops = database.dsn("ops")

    def left() -> set[str]:
        return {path.parent.name for path in docs.glob("runs/*/*.html")}

    assert expire_pages(docs, ops, retention_days=7) == 0
    query(database, "UPDATE shop.quality_runs SET finished_at = finished_at - interval '25 hours'")
    assert expire_pages(docs, ops, retention_days=7) == 1
    assert left() == {"bad", "torn"}, "runs that did not pass are kept as long as their results"
    paths = dict(query(database, "SELECT suite, docs_path FROM shop.quality_runs"))
    assert paths["good"] is None
    assert (docs / paths["bad"]).is_file()
    write_index(docs, ops, SUITES)
    test_every_link_is_relative_and_leads_to_a_page(docs)
    old = time.time() - 8 * 86_400
    for path in docs.glob("runs/*/*.html"):
        os.utime(path, (old, old))
    assert expire_pages(docs, ops, retention_days=7) == 2
    assert left() == set()
    assert (docs / "index.html").is_file()
