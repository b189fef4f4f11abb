"""Tests of refreshes: candidates are built aside and published, and neither step disturbs readers."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from include.db import connect, transaction
from include.db.facts import advance_facts
from include.db.refresh import (
    Candidate,
    RefreshError,
    build_candidate,
    hold_candidate,
    publish_candidate,
    refresh_view,
    stale_views,
)
from include.db.views import VIEWS_DIR, apply_views, read_views, view_names
from include.settings import Settings
from tests.support.rows import at, load_batch, make_event

VIEW = "mart_revenue_hourly"


@pytest.fixture
def published(database: Settings) -> Settings:
    """Return a database with one published hour of revenue, and an event of another hour not yet published."""
    load_batch(database.dsn("owner"), [make_event(event_time=at("2026-11-18 10:30"))])
    refresh_view(database.dsn("ops"), VIEW)
    load_batch(database.dsn("owner"), [make_event(event_time=at("2026-11-18 11:30"))])
    return database


def built(settings: Settings) -> Candidate:
    """Build a candidate with the new rows."""
    advance_facts(settings.dsn("ops"))
    return build_candidate(settings.dsn("ops"), VIEW)


def query(settings: Settings, statement: str, *values: Any, role: Any = "owner") -> list[tuple[Any, ...]]:
    with transaction(settings.dsn(role)) as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall()) if cursor.description else []


def hours(settings: Settings) -> int:
    return int(query(settings, f"SELECT count(*) FROM shop.{VIEW}", role="analyst")[0][0])


def test_readers_see_a_candidate_when_it_is_published(published: Settings) -> None:
    candidate = built(published)
    assert (candidate.row_count, hours(published)) == (2, 1)
    record = "SELECT row_count, published_at IS NOT NULL, error FROM shop.refreshes WHERE refresh_id = %s"
    assert query(published, record, candidate.refresh_id) == [(2, False, None)]
    refresh = publish_candidate(published.dsn("ops"), VIEW, candidate.refresh_id)
    assert (refresh.row_count, hours(published)) == (2, 2)
    assert query(published, record, candidate.refresh_id) == [(2, True, None)]


def test_a_candidate_that_is_held_back_changes_only_the_record(published: Settings) -> None:
    dsn = published.dsn("ops")
    candidate = build_candidate(dsn, VIEW)
    because = "mart_revenue_hourly: revenue_equals_rollups"
    hold_candidate(dsn, candidate.refresh_id, because, ["mart_revenue_hourly/revenue_equals_rollups"])
    assert hours(published) == 1
    held = "SELECT held_because, held_by, row_count FROM shop.refreshes WHERE published_at IS NULL ORDER BY refresh_id"
    assert query(published, held) == [(because, ["mart_revenue_hourly/revenue_equals_rollups"], 2)]
    query(published, "UPDATE shop.refreshes SET finished_at = finished_at - interval '1 hour' WHERE refresh_id < %s",
          candidate.refresh_id)  # fmt: skip
    stale = stale_views(dsn, max_age_seconds=60)
    assert [one.view_name for one in stale] == list(view_names()), (
        "a candidate that is held back does not make a view fresh"
    )
    assert {one.view_name: one.held_because for one in stale if one.held_because} == {VIEW: because}


def test_only_the_checked_rows_can_be_published(published: Settings) -> None:
    dsn = published.dsn("ops")
    checked = built(published)
    load_batch(published.dsn("owner"), [make_event(event_time=at("2026-11-18 12:30"))])
    newer = built(published)
    with pytest.raises(RefreshError, match=rf"checked \({checked.refresh_id}\) has since been rebuilt"):
        publish_candidate(dsn, VIEW, checked.refresh_id)
    assert hours(published) == 1
    publish_candidate(dsn, VIEW, newer.refresh_id)
    assert hours(published) == 3


def test_a_candidate_that_a_crash_has_emptied_is_refused(published: Settings) -> None:
    candidate = built(published)
    query(published, f"TRUNCATE shop_next.{VIEW}")
    with pytest.raises(RefreshError, match="no longer has the 2 rows that were checked"):
        publish_candidate(published.dsn("ops"), VIEW, candidate.refresh_id)
    assert hours(published) == 1


def test_a_publication_does_not_wait_for_readers(published: Settings) -> None:
    """The readers are an analyst with an open transaction, and a dump, which reads candidates too."""
    with (
        closing(connect(published.dsn("analyst"))) as analyst,
        closing(connect(published.dsn("owner"))) as dump,
        analyst.cursor() as cursor,
        dump.cursor() as other,
    ):
        cursor.execute(f"SELECT count(*) FROM shop.{VIEW}")
        other.execute(f"SELECT count(*) FROM shop_next.{VIEW}")
        assert refresh_view(published.dsn("ops"), VIEW, timeout_seconds=5).row_count == 2
        assert hours(published) == 2


def test_objects_that_depend_on_a_view_survive_a_refresh(published: Settings) -> None:
    query(published, f"CREATE VIEW shop.report AS SELECT sum(revenue) AS revenue FROM shop.{VIEW}")
    before = query(published, f"SELECT '{'shop.' + VIEW}'::regclass::oid, relacl::text FROM pg_class WHERE relname = %s"
                   " AND relnamespace = 'shop'::regnamespace", VIEW)  # fmt: skip
    refresh_view(published.dsn("ops"), VIEW)
    assert query(published, "SELECT revenue FROM shop.report") == [(20,)]
    after = query(published, f"SELECT '{'shop.' + VIEW}'::regclass::oid, relacl::text FROM pg_class WHERE relname = %s"
                  " AND relnamespace = 'shop'::regnamespace", VIEW)  # fmt: skip
    assert after == before


def test_a_failed_publication_is_recorded_and_can_be_retried(published: Settings) -> None:
    dsn = published.dsn("ops")
    candidate = built(published)
    error = "SELECT error FROM shop.refreshes WHERE refresh_id = %s"
    with closing(connect(published.dsn("owner"))) as blocker, blocker.cursor() as cursor:
        cursor.execute(f"LOCK TABLE shop.{VIEW} IN EXCLUSIVE MODE")
        with pytest.raises(RefreshError, match="statement timeout"):
            publish_candidate(dsn, VIEW, candidate.refresh_id, timeout_seconds=0.2)
    assert "statement timeout" in query(published, error, candidate.refresh_id)[0][0]
    publish_candidate(dsn, VIEW, candidate.refresh_id)
    assert query(published, error, candidate.refresh_id) == [(None,)]


def test_a_view_is_no_newer_than_the_view_that_it_reads(
    published: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in VIEWS_DIR.glob("*.sql"):
        (tmp_path / path.name).write_text(path.read_text())
    (tmp_path / "mart_total.sql").write_text(
        f"-- depends on: {VIEW}\nCREATE TABLE shop.mart_total AS\n"
        f"SELECT currency, sum(revenue) AS revenue FROM shop.{VIEW} GROUP BY currency;\n"
        "CREATE UNIQUE INDEX mart_total_grain ON shop.mart_total (currency);\n"
    )
    apply_views(published.dsn("owner"), tmp_path)
    monkeypatch.setattr("include.db.refresh.read_views", lambda: read_views(tmp_path))
    build_candidate(published.dsn("ops"), "mart_total")
    assert query(published, "SELECT * FROM shop_next.mart_total") == [("EUR", 10)], "as readers see the other view"
    newest = "SELECT last_batch_id FROM shop.refreshes WHERE view_name = %s ORDER BY refresh_id DESC LIMIT 1"
    assert query(published, newest, "mart_total") == query(published, newest, VIEW)


def test_a_view_that_lacks_its_candidate_is_created_again(published: Settings) -> None:
    query(published, f"DROP VIEW shop_next.{VIEW}_query; DROP TABLE shop_next.{VIEW}")
    assert apply_views(published.dsn("owner")) == [VIEW]
    assert refresh_view(published.dsn("ops"), VIEW).row_count == 2


def test_only_roles_that_build_or_check_candidates_read_them(database: Settings) -> None:
    for role in ("ops", "quality"):
        assert query(database, f"SELECT count(*) FROM shop_next.{VIEW}", role=role) == [(0,)]
    for role in ("analyst", "ingest"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            query(database, f"SELECT count(*) FROM shop_next.{VIEW}", role=role)
