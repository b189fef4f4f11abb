"""Tests of incremental refreshes: they read and write only what is new, and miss no change."""

from __future__ import annotations

import random
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from include.contract import CATEGORIES, CURRENCIES, EVENT_TYPES
from include.db import connect, transaction
from include.db.migrate import MIGRATIONS_DIR
from include.db.refresh import build_candidate, publish_candidate, refresh_view
from include.db.views import apply_views, read_views
from include.errors import MigrationError
from include.settings import Settings
from tests.support.postgres import cloned_database
from tests.support.rows import at, load_batch, make_event
from tests.support.waiting import wait_until

VIEWS = tuple(view.name for view in read_views())
BY_DAY = tuple(view.name for view in read_views() if view.changes_by)
NEWEST = at("2026-11-18 10:30")

# %(days)s days before the newest one, each with the rows of a busy shop.
_HISTORY = """
INSERT INTO shop.agg_hour
SELECT hour, event_type, category, currency, 50, 50, 1000
FROM
    generate_series(
        %(newest)s::date - %(days)s::int, %(newest)s::date - interval '1 hour', interval '1 hour'
    ) AS hour,
    unnest(%(types)s) AS event_type, unnest(%(categories)s) AS category, unnest(%(currencies)s) AS currency;

INSERT INTO shop.agg_day
SELECT (hour AT TIME ZONE 'UTC')::date, event_type, category, currency, sum(events), sum(quantity), sum(amount)
FROM shop.agg_hour
GROUP BY 1, 2, 3, 4;

INSERT INTO shop.fact_days (day, currency, events, sessions, purchase_sessions, visitors, buyers, paid_orders)
SELECT day, currency, sum(events), 100, 10, 90, 9, 10 FROM shop.agg_day GROUP BY day, currency;

INSERT INTO shop.fact_funnel
SELECT day, channel, device, stage, 100
FROM
    (SELECT DISTINCT day FROM shop.agg_day) AS known,
    unnest(ARRAY['web', 'app', 'email', 'social']) AS channel, unnest(ARRAY['desktop', 'mobile', 'tablet']) AS device,
    generate_series(0, 4) AS stage;

INSERT INTO shop.fact_products
SELECT day, 'P' || number, currency, 'Shoes', 'Sports', 'Northfell', 50, 2, 9, 4, 3, 4, 100, day + time '12:00'
FROM
    (SELECT DISTINCT day FROM shop.agg_day) AS known, generate_series(1, 50) AS number,
    unnest(%(currencies)s) AS currency;
"""
_TOUCHED = """
SELECT
    sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint AS read,
    sum(n_tup_ins + n_tup_upd + n_tup_del)::bigint AS written
FROM pg_stat_user_tables
WHERE relname ~ '^(agg|fact|mart)_' AND schemaname IN ('shop', 'shop_next')
"""
_OTHERS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND usename = 'shop_ops' AND backend_type = 'client backend'
"""


def query(settings: Settings, statement: str, values: Any = None) -> list[tuple[Any, ...]]:
    with transaction(settings.dsn("owner")) as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall()) if cursor.description else []


def make_history(settings: Settings, days: int) -> None:
    query(
        settings,
        _HISTORY,
        {
            "days": days,
            "newest": NEWEST,
            "types": list(EVENT_TYPES),
            "categories": list(CATEGORIES),
            "currencies": list(CURRENCIES),
        },
    )
    publish(settings)
    # Autovacuum does this within minutes.
    query(settings, "ANALYZE")


def publish(settings: Settings, *names: str) -> None:
    for name in names or VIEWS:
        refresh_view(settings.dsn("ops"), name)


def touched(settings: Settings) -> tuple[int, int]:
    """Return the rows read and written so far. A backend has reported all of them by the time it ends."""
    wait_until(lambda: query(settings, _OTHERS) == [(0,)], seconds=30, what="the backends of ops to end")
    ((read, written),) = query(settings, _TOUCHED)
    return int(read), int(written)


def wrong(settings: Settings, *names: str) -> list[str]:
    """Return the views whose published rows differ from a calculation from all rows."""
    found = []
    for name in names or VIEWS:
        published, whole = f"TABLE shop.{name}", f"TABLE shop_next.{name}_query"
        if query(settings, f"({published} EXCEPT ALL {whole}) UNION ALL ({whole} EXCEPT ALL {published})"):
            found.append(name)
    return found


@pytest.fixture
def history(database: Settings) -> Settings:
    """Return a database with ten days of published figures."""
    make_history(database, 10)
    return database


def test_a_refresh_reads_and_writes_only_what_is_new_for_any_history(cluster: Settings, tmp_path: Path) -> None:
    costs = []
    for days in (20, 400):
        with cloned_database(cluster, tmp_path / f"{days}") as database:
            make_history(database, days)
            load_batch(database.dsn("owner"), [make_event(event_time=NEWEST, product_id="P1")])
            publish(database)
            load_batch(database.dsn("owner"), [make_event(event_time=NEWEST, product_id="P2")])
            before = touched(database)
            publish(database)
            after = touched(database)
            costs.append((after[0] - before[0], after[1] - before[1]))
            assert wrong(database) == []
    (read_few, written_few), (read_many, written_many) = costs
    assert written_many == written_few < 200
    assert read_many <= 1.5 * read_few, f"{read_few:,} rows read with 20 days stored, {read_many:,} with 400"


@pytest.mark.parametrize("seed", range(2))
def test_every_change_is_published(history: Settings, seed: int) -> None:
    """Change rows at random by hand, new events and retirement, with some publications and candidates in between."""
    chance = random.Random(seed)
    changes = [
        "UPDATE shop.agg_hour SET amount = amount + 1 WHERE hour::date = {day}",
        "DELETE FROM shop.agg_hour WHERE hour::date = {day} AND currency = 'EUR'",
        "UPDATE shop.agg_day SET events = events + 1 WHERE day = {day}",
        "UPDATE shop.agg_day SET day = day - 100 WHERE day = {day}",
        "DELETE FROM shop.agg_day WHERE day = {day} AND category = 'Books'",
        "UPDATE shop.fact_days SET buyers = buyers + 1 WHERE day = {day}",
        "UPDATE shop.fact_funnel SET sessions = sessions + 1, stage = 4 WHERE day = {day} AND stage = 4",
        "DELETE FROM shop.fact_funnel WHERE day = {day} AND channel = 'web'",
        "UPDATE shop.fact_products SET last_event_at = last_event_at - interval '1 year' WHERE id_day = {day}",
        "UPDATE shop.fact_products SET views = views + 1 WHERE id_day = {day} AND currency = 'EUR'",
        "DELETE FROM shop.fact_products WHERE id_day = {day}",
    ]
    for _ in range(25):
        day = f"'{NEWEST.date()}'::date - {chance.randrange(11)}"
        query(history, chance.choice(changes).format(day=day))
        if chance.random() < 0.3:
            load_batch(history.dsn("owner"), [make_event(event_time=NEWEST, product_id=f"P{chance.randrange(60)}")])
        if chance.random() < 0.5:
            build_candidate(history.dsn("ops"), chance.choice(VIEWS))
        if chance.random() < 0.5:
            publish(history, chance.choice(VIEWS))
    publish(history)
    assert wrong(history) == []


def test_a_change_that_commits_after_a_refresh_is_not_missed(history: Settings) -> None:
    with closing(connect(history.dsn("owner"))) as writer, writer.cursor() as cursor:
        cursor.execute("UPDATE shop.agg_day SET amount = amount + 1 WHERE day = %s::date - 3", [NEWEST])
        build = build_candidate(history.dsn("ops"), "mart_category_performance", advances_facts=False)
        publish_candidate(history.dsn("ops"), "mart_category_performance", build.refresh_id)
        writer.commit()
    assert wrong(history, "mart_category_performance") == ["mart_category_performance"]
    publish(history, "mart_category_performance")
    assert wrong(history, "mart_category_performance") == []


@pytest.mark.parametrize(
    "damage", ["TRUNCATE shop_next.{name}", "DELETE FROM shop.refreshes", "TRUNCATE shop.{source}"]
)
def test_all_days_are_computed_when_the_changes_are_unknown(history: Settings, damage: str) -> None:
    for name, source in zip(BY_DAY, ("agg_day", "fact_funnel", "fact_days", "agg_hour"), strict=True):
        query(history, damage.format(name=name, source=source))
        publish(history, name)
    assert wrong(history) == []


def test_views_and_products_of_an_older_database_are_migrated(history: Settings) -> None:
    """In an older database, a view was a materialized view of its candidate, and products had no totals."""
    (migration,) = MIGRATIONS_DIR.glob("*_incremental_views.sql")
    text = migration.read_text()
    drop = text[text.index("DO $$") : text.index("CREATE SEQUENCE")]
    fill = text[text.index("INSERT INTO shop.fact_product_totals\nSELECT\n    product_id, currency, product_name") :]
    totals = "SELECT * FROM shop.fact_product_totals AS total ORDER BY total"
    kept = query(history, totals)
    for name in VIEWS:
        query(
            history,
            f"DROP TABLE shop.{name}; CREATE MATERIALIZED VIEW shop.{name} AS TABLE shop_next.{name};"
            "TRUNCATE shop.fact_product_totals",
        )
    query(history, f"{drop} {fill}")
    assert sorted(apply_views(history.dsn("owner"))) == sorted(VIEWS)
    assert query(history, totals) == kept != []
    assert wrong(history) == []


def test_a_view_by_day_of_a_source_not_recorded_by_day_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mart_a.sql").write_text(
        "-- depends on: batches\n-- changes by: day\nCREATE TABLE shop.mart_a AS\nSELECT 1 AS day FROM shop.batches;\n"
    )
    with pytest.raises(MigrationError, match=r"mart_a.sql:2 .* changes of batches are not recorded by day"):
        read_views(tmp_path)
