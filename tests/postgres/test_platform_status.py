"""Tests of the values that ``make status`` reads from PostgreSQL."""

from __future__ import annotations

from dataclasses import replace

from rich.console import Console

from include.alerts import Alert, note_event, raise_alert
from include.db import connect
from include.db.refresh import build_candidate, hold_candidate, override_candidate, publish_candidate, refresh_view
from include.platform.commands.status import describe_connections, platform_status, show_status
from include.quality.overrides import grant
from include.settings import Settings
from include.stream.intake.landing import Landing
from tests.support.validated import query

VIEW, OTHER = "mart_daily_kpis", "mart_revenue_hourly"


def test_open_alerts_are_listed_first_at_any_age(database: Settings) -> None:
    dsn = database.dsn("ops")
    raise_alert(dsn, Alert("warning", "dag", "mild", ""))
    raise_alert(dsn, Alert("critical", "dag", "bad [bold]markup", ""))
    query(database, "UPDATE shop.alerts SET raised_at = raised_at - interval '3 days' RETURNING 1")
    note_event(dsn, Alert("critical", "dag", "event", ""))
    console = Console(width=200, record=True)
    show_status(replace(platform_status(database), is_up=True), console)
    _, _, shown = console.export_text().partition("Alerts")
    assert [line.strip() for line in shown.splitlines()[:4]] == [
        "1 critical, 1 warning open; 1 critical in 24 hours",
        "open 3 d ago critical dag: bad [bold]markup",
        "open 3 d ago warning dag: mild",
        "over 0 s ago critical dag: event",
    ]


def test_connections_are_listed_when_few_are_left(database: Settings) -> None:
    assert platform_status(database).connections == []
    ((most,),) = query(database, "SELECT current_setting('max_connections')::int")
    held = []
    try:
        while not (rows := platform_status(database).connections):
            held.append(connect(database.dsn("ops")))
    finally:
        for one in held:
            one.close()
    assert rows[0]["role"] == "shop_ops"
    assert rows[0]["used"] <= most
    described = describe_connections(rows)
    assert f"{rows[0]['used']} of {most} connections" in described
    assert f"{len(held)} by shop_ops" in described


def test_without_a_driver_the_landing_folder_is_counted(database: Settings) -> None:
    landing = Landing.of(database)
    landing.make()
    for number in range(4):
        (database.landing_dir / f"{number}.csv").write_text("xx")
    stream = platform_status(database).stream
    assert stream is not None
    assert (stream.backlog_files, stream.backlog_bytes) == (4, 8)


def _views(settings: Settings) -> dict[str, str]:
    console = Console(width=300, record=True)
    show_status(replace(platform_status(settings), is_up=True), console)
    lines = [
        line.removeprefix("View").strip() for line in console.export_text().splitlines() if line.startswith("View")
    ]
    return dict(line.split(": ", 1) for line in lines)


def test_a_view_is_fresh_or_held_back_with_the_reason_and_since_when(database: Settings) -> None:
    ops = database.dsn("ops")
    for name in (VIEW, OTHER):
        refresh_view(ops, name)
    query(database, "UPDATE shop.refreshes SET finished_at = finished_at - interval '3 hours' RETURNING 1")
    for minutes in (40, 10):
        held = build_candidate(ops, VIEW).refresh_id
        hold_candidate(ops, held, "events: price_level_is_usual", ["events/price_level_is_usual"])
        query(
            database,
            f"UPDATE shop.refreshes SET finished_at = finished_at - interval '{minutes} minutes'"
            f" WHERE refresh_id = {held} RETURNING 1",
        )
    refresh_view(ops, OTHER)
    shown = _views(database)
    because = "held back for 40 min, readers see the rows of 3 h ago: events: price_level_is_usual"
    assert shown[VIEW] == because
    assert shown[OTHER].startswith("fresh, 0 rows in ")
    # The view is still held back while the next candidate is built and checked.
    candidate = build_candidate(ops, VIEW).refresh_id
    assert _views(database)[VIEW] == because
    override = grant(ops, VIEW, by="otto", reason="a [real] sale")
    override_candidate(ops, candidate, override.override_id, "events: price_level_is_usual")
    publish_candidate(ops, VIEW, candidate)
    assert _views(database)[VIEW].startswith("fresh, 0 rows in ")
    assert _views(database)[VIEW].endswith(
        "published by override of otto (a [real] sale), despite events: price_level_is_usual"
    )


def test_a_view_that_was_never_published_is_held_back_too(database: Settings) -> None:
    query(database, "DELETE FROM shop.refreshes RETURNING 1")
    held = build_candidate(database.dsn("ops"), VIEW).refresh_id
    hold_candidate(database.dsn("ops"), held, "events: suite_runs")
    assert _views(database) == {VIEW: "held back for 0 s, readers see nothing: events: suite_runs"}
