"""Built aside, then published: what readers see, what keeps them from it, and what neither may disturb."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from include.db import connect, transaction
from include.db.refresh import (
    RefreshError,
    build_candidate,
    hold_candidate,
    hold_view,
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
    """One hour of revenue that people read, and the event of another that they do not read yet."""
    load_batch(database.dsn("owner"), [make_event(event_time=at("2026-11-18 10:30"))])
    refresh_view(database.dsn("ops"), VIEW)
    load_batch(database.dsn("owner"), [make_event(event_time=at("2026-11-18 11:30"))])
    return database


def query(settings: Settings, statement: str, *values: Any, role: Any = "owner") -> list[tuple[Any, ...]]:
    with transaction(settings.dsn(role)) as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall()) if cursor.description else []


def hours(settings: Settings) -> int:
    return int(query(settings, f"SELECT count(*) FROM shop.{VIEW}", role="analyst")[0][0])


def test_readers_see_a_candidate_when_it_is_published(published: Settings) -> None:
    candidate = build_candidate(published.dsn("ops"), VIEW)
    assert (candidate.row_count, hours(published)) == (2, 1)
    record = "SELECT row_count, published_at IS NOT NULL, error FROM shop.refreshes WHERE refresh_id = %s"
    assert query(published, record, candidate.refresh_id) == [(2, False, None)]
    refresh = publish_candidate(published.dsn("ops"), VIEW, candidate.refresh_id)
    assert (refresh.row_count, hours(published)) == (2, 2)
    assert query(published, record, candidate.refresh_id) == [(2, True, None)]


def test_a_candidate_that_is_held_changes_nothing_but_the_record(published: Settings) -> None:
    dsn = published.dsn("ops")
    candidate = build_candidate(dsn, VIEW)
    hold_candidate(dsn, candidate.refresh_id, "mart_revenue_hourly: revenue_equals_rollups")
    hold_view(dsn, VIEW, "events: price_level_is_usual")
    assert hours(published) == 1
    held = "SELECT held_because, row_count FROM shop.refreshes WHERE published_at IS NULL ORDER BY refresh_id"
    assert query(published, held) == [
        ("mart_revenue_hourly: revenue_equals_rollups", 2),
        ("events: price_level_is_usual", None),
    ]
    query(published, "UPDATE shop.refreshes SET finished_at = finished_at - interval '1 hour' WHERE refresh_id < %s",
          candidate.refresh_id)  # fmt: skip
    assert [one.view_name for one in stale_views(dsn, max_age_seconds=60)] == list(view_names()), (
        "what is held does not make a view fresh"
    )


def test_other_rows_than_those_that_were_checked_are_refused(published: Settings) -> None:
    dsn = published.dsn("ops")
    checked = build_candidate(dsn, VIEW)
    load_batch(published.dsn("owner"), [make_event(event_time=at("2026-11-18 12:30"))])
    newer = build_candidate(dsn, VIEW)
    with pytest.raises(RefreshError, match=rf"checked \({checked.refresh_id}\) was since built anew"):
        publish_candidate(dsn, VIEW, checked.refresh_id)
    assert hours(published) == 1
    publish_candidate(dsn, VIEW, newer.refresh_id)
    assert hours(published) == 3


def test_a_candidate_that_a_crash_has_emptied_is_refused(published: Settings) -> None:
    candidate = build_candidate(published.dsn("ops"), VIEW)
    query(published, f"TRUNCATE shop_next.{VIEW}")
    with pytest.raises(RefreshError, match="no longer has the 2 rows that were checked"):
        publish_candidate(published.dsn("ops"), VIEW, candidate.refresh_id)
    assert hours(published) == 1


def test_nobody_who_reads_is_waited_for(published: Settings) -> None:
    """Neither an analyst with an open transaction, nor a dump, which reads candidates too."""
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


def test_what_others_built_on_a_view_stays(published: Settings) -> None:
    query(published, f"CREATE VIEW shop.report AS SELECT sum(revenue) AS revenue FROM shop.{VIEW}")
    before = query(published, f"SELECT '{'shop.' + VIEW}'::regclass::oid, relacl::text FROM pg_class WHERE relname = %s"
                   " AND relkind = 'm'", VIEW)  # fmt: skip
    refresh_view(published.dsn("ops"), VIEW)
    assert query(published, "SELECT revenue FROM shop.report") == [(20,)]
    after = query(published, f"SELECT '{'shop.' + VIEW}'::regclass::oid, relacl::text FROM pg_class WHERE relname = %s"
                  " AND relkind = 'm'", VIEW)  # fmt: skip
    assert after == before


def test_a_failure_to_publish_is_recorded_and_mended_by_another_try(published: Settings) -> None:
    dsn = published.dsn("ops")
    candidate = build_candidate(dsn, VIEW)
    error = "SELECT error FROM shop.refreshes WHERE refresh_id = %s"
    with closing(connect(published.dsn("owner"))) as blocker, blocker.cursor() as cursor:
        cursor.execute(f"REFRESH MATERIALIZED VIEW shop.{VIEW}")
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
        f"-- depends on: {VIEW}\nCREATE MATERIALIZED VIEW shop.mart_total AS\n"
        f"SELECT currency, sum(revenue) AS revenue FROM shop.{VIEW} GROUP BY currency;\n"
        "GRANT MAINTAIN ON shop.mart_total TO shop_ops;\n"
        "CREATE UNIQUE INDEX mart_total_grain ON shop.mart_total (currency);\n"
    )
    apply_views(published.dsn("owner"), tmp_path)
    monkeypatch.setattr("include.db.refresh.read_views", lambda: read_views(tmp_path))
    build_candidate(published.dsn("ops"), "mart_total")
    assert query(published, "SELECT * FROM shop_next.mart_total") == [("EUR", 10)], "as readers see the other view"
    newest = "SELECT last_batch_id FROM shop.refreshes WHERE view_name = %s ORDER BY refresh_id DESC LIMIT 1"
    assert query(published, newest, "mart_total") == query(published, newest, VIEW)


def test_a_database_of_before_gets_candidates(published: Settings) -> None:
    """There, a view was one relation, made from the same file."""
    owner = published.dsn("owner")
    query(
        published, f"DROP VIEW shop_next.{VIEW}_query; DROP MATERIALIZED VIEW shop.{VIEW}; DROP TABLE shop_next.{VIEW}"
    )
    with transaction(owner) as cursor:
        cursor.execute((VIEWS_DIR / f"{VIEW}.sql").read_text())
    assert apply_views(owner) == [VIEW]
    assert refresh_view(published.dsn("ops"), VIEW).row_count == 2


def test_candidates_are_for_those_who_make_and_check_them(database: Settings) -> None:
    for role in ("ops", "quality"):
        assert query(database, f"SELECT count(*) FROM shop_next.{VIEW}", role=role) == [(0,)]
    for role in ("analyst", "ingest"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            query(database, f"SELECT count(*) FROM shop_next.{VIEW}", role=role)
