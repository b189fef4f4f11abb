"""Reading routes, on a database with some rows of every kind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from include.db import transaction
from include.db.refresh import refresh_view
from include.db.views import view_names
from include.settings import Settings
from include.stream.intake.landing import Landing
from tests.cockpit.conftest import Server
from tests.support.rows import load_batch, make_event
from tests.support.stream import next_epoch
from tests.support.trust import add, add_alert, add_minute, add_miss, add_quality_run, minutes_ago

HTML = "<img src=x onerror=alert(1)> & 'Shoes'"


def _now() -> datetime:
    """Return the start of this minute, which is within the last hour and today."""
    return datetime.now(UTC).replace(second=0, microsecond=0)


def _load(database: Settings, rejects: int = 0) -> int:
    events = [
        make_event(event_time=_now(), unit_price="10.00", quantity=3, product_name=HTML),
        make_event(event_time=_now(), unit_price="5.50", category="Books", product_id="P2", currency="USD"),
        make_event(event_time=_now(), event_type="view", category="Books", product_id="P2", currency="USD"),
        make_event(event_time=_now(), event_type="order"),
        # Outside the minutes that are shown.
        make_event(event_time=_now() - timedelta(days=2), unit_price="1000.00"),
    ]
    rows = [
        {"raw": f"U77,{number}", "reasons": ["unit_price_invalid", "city_too_long"][: 1 + number % 2]}
        for number in range(rejects)
    ]
    return load_batch(database.dsn("owner"), events, rejects=rows)


def test_the_overview_adds_up(server: Server, database: Settings) -> None:
    _load(database, rejects=5)
    for view in view_names():
        refresh_view(database.dsn("ops"), view)
    add(
        database,
        "refreshes",
        "refresh_id",
        view_name="mart_product_performance",
        started_at=minutes_ago(0),
        finished_at=minutes_ago(-0.1),
        held_because="revenue doubled",
    )
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute("UPDATE shop.refreshes SET published_at = finished_at WHERE held_because IS NULL")
    add_quality_run(database, suite="rollup_minute", table_name="shop.rollup_minute", verdict="warned", warnings=1)
    add_quality_run(database, verdict="failed", critical_failures=1)
    add_alert(database)
    add_alert(database, title="another", severity="warning", acknowledged_at=minutes_ago(1), acknowledged_by="otto")
    add_alert(database, title="over", resolved_at=minutes_ago(1), resolution="recovered")
    add_miss(database, ended_at=None)

    found = server.get("/overview").json()

    assert found["attention"] == {
        "open_alerts": {"critical": 1, "warning": 1, "info": 0},
        "unacknowledged_alerts": 1,
        "held_views": 1,
        "failing_suites": 1,
        "missed_objectives": 1,
    }
    assert found["throughput"]["events_per_second"] == pytest.approx(5 / 60)
    assert found["throughput"]["rows_per_second"] == pytest.approx(10 / 60)
    revenue = {one["currency"]: one for one in found["revenue"]["currencies"]}
    assert {code: (one["revenue"], one["last_hour_revenue"], one["units"]) for code, one in revenue.items()} == {
        "EUR": ("30.00", "30.00", 3),
        "USD": ("5.50", "5.50", 1),
    }
    trust = found["revenue"]["trust"]
    assert (trust["table_name"], trust["verdict"], trust["reject_share"]) == ("rollup_minute", "warned", 0.5)
    assert datetime.fromisoformat(trust["fresh_at"]) > minutes_ago(1)
    minutes = found["series"]["minutes"]
    assert len(minutes) == 60
    assert [minute["minute"] for minute in minutes] == sorted(minute["minute"] for minute in minutes)
    filled = [minute for minute in minutes if minute["events"]]
    assert [(one["events"], one["order_lines"], one["purchases"], one["revenue"]) for one in filled] == [
        (4, 1, 2, {"EUR": "30.00", "USD": "5.50"})
    ]
    assert {key: found["activity"][key] for key in ("events", "views", "order_lines", "purchases")} == {
        "events": 4,
        "views": 1,
        "order_lines": 1,
        "purchases": 2,
    }
    assert [
        (one["category"], one["currency"], one["revenue"], one["views"]) for one in found["top_categories"]["items"]
    ] == [
        ("Sports", "EUR", "30.00", 0),
        ("Books", "USD", "5.50", 1),
    ]
    # Names are returned as stored; the client must escape them.
    assert [one["product_name"] for one in found["top_products"]["items"]] == [HTML, "Trail Running Shoes"]
    assert found["top_products"]["trust"]["is_held"] is True
    assert (found["conversion"]["sessions"], found["conversion"]["conversion_rate"]) == (1, 1.0)


def test_revenue_covers_today_only(server: Server, database: Settings) -> None:
    midnight = _now().replace(hour=0, minute=0)
    times = [midnight - timedelta(minutes=1), midnight, _now()]

    def revenue() -> str:
        (found,) = server.get("/overview").json()["revenue"]["currencies"]
        return str(found["revenue"])

    load_batch(database.dsn("owner"), [make_event(event_time=time) for time in times])
    assert revenue() == "20.00"
    load_batch(database.dsn("owner"), [make_event(event_time=time) for time in times])
    _forget()
    assert revenue() == "40.00"


def test_an_empty_shop_has_an_overview(server: Server) -> None:
    found = server.get("/overview").json()
    assert found["revenue"]["currencies"] == found["top_products"]["items"] == []
    assert len(found["series"]["minutes"]) == 60
    assert found["conversion"]["day"] is None
    assert found["throughput"]["trust"]["fresh_at"] is None


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ("paused = 'the disk is full'", "intake_paused"),
        ("turned_at = now() - interval '10 minutes'", "stuck"),
        ("heartbeat_at = now() - interval '5 minutes'", "down"),
        ("ended_at = now() - interval '5 minutes'", "down"),
        ("ended_at = now()", "starting"),
    ],
)
def test_the_state_of_the_stream(server: Server, database: Settings, change: str, state: str) -> None:
    assert server.get("/stream").json()["state"] == "down"
    next_epoch(database)
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute(f"UPDATE shop.runs SET {change}")
    _forget()
    assert server.get("/stream").json()["state"] == state


def _forget() -> None:
    """Clear the cache, as if its lifetime of a second were over."""
    from include.airflow.cockpit.responses.cache import cache

    cache.clear()


def test_the_stream_shows_its_runs_and_its_last_minute(server: Server, database: Settings) -> None:
    epochs = [next_epoch(database) for _ in range(3)]
    batch_id = _load(database, rejects=1)
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute(
            "UPDATE shop.runs SET log_path = '/work/driver-20261124221502-0003' WHERE epoch = %s", [epochs[-1]]
        )
    found = server.get("/stream", "otto").json()
    assert [run["epoch"] for run in found["runs"]] == epochs[::-1]
    assert (found["epoch"], found["restarts_day"], found["run"]["driver_id"]) == (
        epochs[-1],
        2,
        "driver-20261124221502-0003",
    )
    assert found["last_minute"] == {"read": 6, "accepted": 5, "duplicate": 0, "rejected": 1}
    assert found["last_batch_id"] == batch_id
    assert "took over" in found["runs"][1]["error"]


def test_pages_of_batches_contain_each_batch_once(server: Server, database: Settings) -> None:
    loaded = [load_batch(database.dsn("owner"), []) for _ in range(5)]
    seen: list[int] = []
    path = "/stream/batches?limit=2"
    for _ in range(3):
        page = server.get(path).json()
        seen += [batch["batch_id"] for batch in page["items"]]
        path = f"/stream/batches?limit=2&before={page['next']}"
    assert seen == loaded[::-1]
    assert page["next"] is None


def test_files_by_state_with_their_balance(server: Server, database: Settings) -> None:
    _load(database, rejects=2)
    for name in ("one.csv", "two.csv"):
        add(database, "files", "file_id", name=name, size_bytes=9, arrived_at=minutes_ago(1))
    add(
        database,
        "files",
        "file_id",
        name="<b>.csv",
        size_bytes=9,
        arrived_at=minutes_ago(1),
        state="quarantined",
        finished_at=minutes_ago(0),
        fault="not_utf8",
        fault_detail="line 1",
    )

    def names(query: str) -> list[str]:
        return [file["name"] for file in server.get(f"/stream/files{query}").json()["items"]]

    loaded = names("?state=loaded")
    assert len(loaded) == 1
    assert names("?state=admitted") == ["two.csv", "one.csv"]
    assert names("?state=quarantined") == ["<b>.csv"]
    assert names("") == ["<b>.csv", "two.csv", "one.csv", *loaded]
    first = server.get("/stream/files?state=admitted&limit=1").json()
    assert names(f"?state=admitted&before={first['next']}") == ["one.csv"]
    balance = server.get("/stream/files?state=loaded").json()["items"][0]
    assert (balance["read"], balance["accepted"], balance["rejected"]) == (7, 5, 2)


def test_rejects_by_reason(server: Server, database: Settings) -> None:
    _load(database, rejects=5)
    load_batch(
        database.dsn("owner"), [], rejects=[{"raw": "x", "reasons": ["row_ragged"]}], ingested_at=minutes_ago(90)
    )
    found = server.get("/stream/rejects").json()
    assert (found["rejected"], found["read"], found["counted"]) == (5, 10, 5)
    assert [(one["reason"], one["rows"]) for one in found["reasons"]] == [
        ("unit_price_invalid", 5),
        ("city_too_long", 2),
    ]
    assert found["reasons"][0]["meaning"] == "unit_price is not a plain number with at most ten digits and two decimals"
    assert {one["reason"] for one in server.get("/stream/rejects?minutes=120").json()["reasons"]} > {"row_ragged"}


def test_only_operators_see_rejected_rows(server: Server, database: Settings) -> None:
    _load(database, rejects=3)
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute("""UPDATE shop.rejects SET detail = '{"city_too_long": "Ulm…", "unit_price_invalid": "9,5"}'""")
    path = "/stream/rejects/city_too_long/samples"
    (seen,), (shown,) = (server.get(path, user).json()["items"] for user in ("vera", "otto"))
    assert (seen["raw"], shown["raw"]) == (None, "U77,1")
    assert (seen["found"], shown["found"]) == (None, "Ulm…")
    assert {**shown, "raw": None, "found": None} == seen
    assert seen["reasons"] == ["unit_price_invalid", "city_too_long"]


def test_samples_continue_where_the_search_ended(
    server: Server, database: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("include.airflow.cockpit.routes.stream._BOUND", 4)
    rejects = [{"raw": "x", "reasons": ["row_ragged" if number == 0 else "row_has_nul"]} for number in range(6)]
    load_batch(database.dsn("owner"), [], rejects=rejects)
    first = server.get("/stream/rejects/row_ragged/samples").json()
    assert first["items"] == []
    second = server.get(f"/stream/rejects/row_ragged/samples?before={first['next']}").json()
    assert [item["line"] for item in second["items"]] == [2]
    assert second["next"] is None


def test_views_show_the_published_state_and_why_the_newest_is_held(server: Server, database: Settings) -> None:
    with transaction(database.dsn("owner")) as cursor:
        # Creating the views has just refreshed them.
        cursor.execute("DELETE FROM shop.refreshes")
    common = {"view_name": "mart_daily_kpis", "row_count": 3}
    add(
        database,
        "refreshes",
        "refresh_id",
        **common,
        started_at=minutes_ago(9),
        finished_at=minutes_ago(8),
        published_at=minutes_ago(7),
    )
    add(
        database,
        "refreshes",
        "refresh_id",
        **common,
        started_at=minutes_ago(2),
        finished_at=minutes_ago(1),
        held_because="revenue doubled",
    )
    views = {view["view_name"]: view for view in server.get("/views").json()}
    assert tuple(views) == view_names()
    held = views["mart_daily_kpis"]
    assert (held["is_held"], held["held_because"], held["refresh_seconds"]) == (
        True,
        "revenue doubled",
        pytest.approx(60, 0.1),
    )
    assert datetime.fromisoformat(held["published_at"]) == pytest.approx(minutes_ago(7), abs=timedelta(seconds=20))


def test_failing_suites_come_first_with_their_trend(server: Server, database: Settings) -> None:
    for minutes, verdict in ((30, "passed"), (20, "failed"), (10, "passed")):
        add_quality_run(database, suite="files", finished_at=minutes_ago(minutes), verdict=verdict)
    broken = add_quality_run(database, suite="rejects", verdict="broken", error="rejects.yml:3 no such check")
    warned = add_quality_run(database, suite="batches", verdict="warned", warnings=2)
    add_quality_run(database, suite="events", verdict="not_judged", not_judged=3)
    suites = server.get("/quality/suites").json()
    assert [suite["suite"] for suite in suites] == ["rejects", "batches", "events", "files"]
    assert [point["verdict"] for point in suites[3]["trend"]] == ["passed", "failed", "passed"]
    assert suites[1]["last"]["url"] == f"/shopstream/quality?run={warned}"
    assert suites[1]["trend"][-1]["failures"] == 2
    assert server.get(f"/quality/runs/{broken}").json()["error"] == "rejects.yml:3 no such check"


def test_runs_of_a_suite_are_paged_by_time(server: Server, database: Settings) -> None:
    # Runs may finish in another order than their ids, because two processes run them.
    ids = {minutes: add_quality_run(database, finished_at=minutes_ago(minutes)) for minutes in (3, 1, 2)}
    first = server.get("/quality/suites/events/runs?limit=2").json()
    assert [run["quality_run_id"] for run in first["items"]] == [ids[1], ids[2]]
    second = server.get(f"/quality/suites/events/runs?before={first['next']}").json()
    assert ([run["quality_run_id"] for run in second["items"]], second["next"]) == ([ids[3]], None)


def test_results_of_a_run_list_failures_first(server: Server, database: Settings) -> None:
    run = add_quality_run(database, verdict="failed", critical_failures=1, warnings=1)
    common = {"quality_run_id": run, "run_id": "r", "suite": "events", "table_name": "shop.events", "duration_ms": 1.0}
    for name, severity, status in (
        ("held", "critical", "passed"),
        ("new", "critical", "not_judged"),
        ("odd", "warning", "failed"),
        ("bad", "critical", "failed"),
    ):
        add(
            database,
            "quality_results",
            "result_id",
            **common,
            check_name=name,
            severity=severity,
            status=status,
            observed=HTML,
            sample='["x"]',
        )
    results = server.get(f"/quality/runs/{run}", "otto").json()["results"]
    assert [result["check_name"] for result in results] == ["bad", "odd", "new", "held"]
    assert [result["status"] for result in results] == ["failed", "failed", "not_judged", "passed"]
    assert (results[0]["observed"], results[0]["sample"]) == (HTML, ["x"])


def test_objectives_now_and_by_month(server: Server, database: Settings) -> None:
    for minutes, value in ((3, 1.0), (2, 9.0), (1, None)):
        add_minute(database, "freshness", minutes, value)
    add_minute(database, "backlog", 1, 900.0, bound=500.0)
    add_miss(database, objective="backlog", ended_at=None)
    today = datetime.now(UTC).date()
    this_month = today.replace(day=1)
    for month, minutes, met in ((this_month, 100, 99), ((this_month - timedelta(days=1)).replace(day=1), 1000, 500)):
        add(database, "objective_months", "month", objective="freshness", month=month, minutes=minutes, met=met)
    backlog, freshness = server.get("/objectives").json()
    assert (backlog["objective"], backlog["is_met"], backlog["value"], backlog["bound"]) == ("backlog", False, 900, 500)
    assert backlog["missed_since"] is not None
    assert (backlog["unit"], backlog["direction"], backlog["target"]) == ("files", "at_most", 0.99)
    assert backlog["this_month"] == {"month": str(this_month), "minutes": 0, "met": 0, "attainment": None}
    assert (freshness["value"], freshness["recent"]) == (None, [True, False, True])
    assert freshness["this_month"]["attainment"] == 0.99
    assert [month["attainment"] for month in freshness["earlier_months"]] == [0.5]


def test_misses_are_filtered_and_paged(server: Server, database: Settings) -> None:
    ids = [add_miss(database) for _ in range(3)]
    still = add_miss(database, objective="backlog", ended_at=None)

    def found(query: str) -> list[int]:
        return [miss["miss_id"] for miss in server.get(f"/objectives/misses{query}").json()["items"]]

    assert found("") == [still, *ids[::-1]]
    assert server.get("/objectives/misses?limit=1").json()["items"][0]["unit"] == "files"
    assert found("?is_open=true") == [still]
    assert found("?objective=freshness&is_open=false&limit=2") == [ids[2], ids[1]]
    assert found(f"?before={ids[1]}") == [ids[0]]


def test_open_alerts_come_before_resolved_ones(server: Server, database: Settings) -> None:
    opened = [add_alert(database, title=f"old {number}") for number in range(2)]
    over = [
        add_alert(database, title="over", resolved_at=minutes_ago(1), resolution="recovered", severity=severity)
        for severity in ("info", "critical", "info")
    ]
    seen: list[int] = []
    path = "/alerts?limit=1"
    for _ in range(5):
        page = server.get(path).json()
        seen += [alert["alert_id"] for alert in page["items"]]
        path = f"/alerts?limit=1&before={page['next']}"
    assert seen == [*opened[::-1], *over[::-1]]
    assert page["next"] is None

    def found(query: str) -> list[int]:
        return [alert["alert_id"] for alert in server.get(f"/alerts?{query}").json()["items"]]

    assert found("state=open") == opened[::-1]
    assert found("state=resolved&severity=info") == [over[2], over[0]]
    assert found("severity=critical") == [*opened[::-1], over[1]]


def test_an_alert_lists_its_notifications(server: Server, database: Settings) -> None:
    alert_id = add_alert(database, detail=HTML)
    for channel, state, sent_at in (("mail", "sent", minutes_ago(1)), ("slack", "failed", None)):
        _add_delivery(database, alert_id=alert_id, channel=channel, occasion="raised", state=state, sent_at=sent_at)
    found = server.get(f"/alerts/{alert_id}").json()
    assert found["detail"] == HTML
    assert [(one["channel"], one["state"]) for one in found["deliveries"]] == [("mail", "sent"), ("slack", "failed")]


def _add_delivery(database: Settings, **values: Any) -> None:
    add(database, "alert_deliveries", "delivery_id", severity="warning", **values)


def test_unchanged_content_is_not_sent_again(server: Server, database: Settings) -> None:
    _load(database)
    first = server.get("/stream/batches")
    etag = first.headers["ETag"]
    assert first.headers["Cache-Control"] == "private, no-cache"
    again = server.get("/stream/batches", headers={"If-None-Match": f'"other", {etag}'})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", etag)
    _load(database)
    _forget()
    changed = server.get("/stream/batches", headers={"If-None-Match": etag})
    assert (changed.status_code, len(changed.json()["items"])) == (200, 2)
    assert changed.headers["ETag"] != etag


def test_money_is_exact(server: Server, database: Settings) -> None:
    load_batch(database.dsn("owner"), [make_event(event_time=_now(), unit_price="9999999999.99", quantity=1000)])
    (found,) = server.get("/overview").json()["revenue"]["currencies"]
    assert Decimal(found["revenue"]) == Decimal("9999999999990.00")


def test_a_removed_suite_is_not_failing(server: Server, database: Settings) -> None:
    add_quality_run(database, suite="renamed_since", verdict="failed", critical_failures=1)
    add_quality_run(database)
    assert [suite["suite"] for suite in server.get("/quality/suites").json()] == ["events"]
    assert server.get("/overview").json()["attention"]["failing_suites"] == 0


def test_the_list_of_alerts_counts_open_alerts_and_notifications(server: Server, database: Settings) -> None:
    ids = [add_alert(database, title=f"number {number}") for number in range(7)]
    add_alert(database, title="seen", severity="info", acknowledged_at=minutes_ago(1), acknowledged_by="otto")
    for state in ("sent", "sent", "failed"):
        add(
            database,
            "alert_deliveries",
            "delivery_id",
            alert_id=ids[-1],
            channel="mail",
            occasion="raised",
            severity="critical",
            state=state,
            sent_at=minutes_ago(0) if state == "sent" else None,
            due_at=minutes_ago(1),
        )
    page = server.get("/alerts?state=open&limit=2").json()
    assert len(page["items"]) == 2
    assert (page["open_alerts"], page["unacknowledged"]) == ({"critical": 7, "warning": 0, "info": 1}, 7)
    assert [one["messages"] for one in page["items"]] == [
        {"due": 0, "sent": 0, "failed": 0},
        {"due": 0, "sent": 2, "failed": 1},
    ]


def test_the_rejects_of_one_file_by_reason(server: Server, database: Settings) -> None:
    _load(database, rejects=5)
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute("SELECT min(file_id) FROM shop.rejects")
        ((file_id,),) = cursor.fetchall()
    found = server.get(f"/stream/files/{file_id}/rejects", "otto").json()
    assert [(one["reason"], one["rows"]) for one in found] == [("unit_price_invalid", 5), ("city_too_long", 2)]
    assert found[0]["first_raw"] == "U77,0"
    hidden = server.get(f"/stream/files/{file_id}/rejects").json()
    assert hidden == [{**one, "first_raw": None} for one in found]
    assert server.get("/stream/files/99999/rejects").status_code == 404


@pytest.mark.parametrize(
    ("desired_state", "change", "state"),
    [("stop", "ended_at = now()", "paused"), ("run", "heartbeat_at = now() - interval '9 minutes'", "down")],
)
def test_the_overview_shows_a_stopped_stream_and_the_waiting_files(
    server: Server, database: Settings, desired_state: str, change: str, state: str
) -> None:
    """The numbers of a dead driver are outdated: when it last counted, no file was waiting."""
    _load(database)
    epoch = next_epoch(database)
    landing = Landing.of(database)
    landing.make()
    landing.take_over(epoch)
    for number in range(3):
        (database.landing_dir / f"{number}.csv").write_text("x")
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute(
            "INSERT INTO shop.stream_control (query, desired_state, requested_by, requested_at)"
            " VALUES ('events', %s, 'otto', now() - interval '1 hour')",
            [desired_state],
        )
        cursor.execute(f"UPDATE shop.runs SET {change} WHERE epoch = %s", [epoch])
    _forget()
    found = server.get("/overview").json()
    assert found["stream"]["state"] == state
    assert datetime.fromisoformat(found["stream"]["since"]) < minutes_ago(8)
    assert found["stream"]["requested_by"] == ("otto" if desired_state == "stop" else None)
    assert (found["throughput"]["backlog_files"], found["throughput"]["backlog_unknown_since"]) == (3, None)
    stream = server.get("/stream").json()
    assert (stream["backlog_files"], stream["backlog_bytes"]) == (3, 3)
    for number in range(3):
        (database.landing_dir / f"{number}.csv").unlink()
    database.landing_dir.rmdir()
    _forget()
    assert server.get("/stream").json()["backlog_unknown_since"] is not None


def test_lag_grows_while_a_file_waits(server: Server, database: Settings) -> None:
    _load(database)
    add(database, "files", "file_id", name="waits.csv", size_bytes=9, arrived_at=minutes_ago(30))
    assert server.get("/overview").json()["throughput"]["lag_seconds"] > 1700
    assert server.get("/stream").json()["lag_seconds"] > 1700


def test_restated_figures_and_figures_as_of(server: Server, database: Settings) -> None:
    day = (datetime.now(UTC) - timedelta(days=3)).replace(hour=10, minute=0, second=0, microsecond=0)
    moments = []
    for price in ("10.00", "0.10"):
        load_batch(database.dsn("owner"), [make_event(event_time=day, unit_price=price)])
        refresh_view(database.dsn("ops"), "mart_daily_kpis")
        moments.append(datetime.now(UTC))
    (item,) = server.get("/restatements?view=mart_daily_kpis").json()["items"]
    assert (item["day"], item["key"]["currency"], item["cause"]) == (day.date().isoformat(), "EUR", "late events")
    assert (item["old"]["revenue"], item["new"]["revenue"]) == ("10.00", "10.10")
    (now,) = server.get("/figures/mart_daily_kpis").json()["items"]
    assert (now["figures"]["revenue"], now["restated_at"]) == ("10.10", item["restated_at"])
    as_of = moments[0].isoformat().replace("+", "%2B")
    (then,) = server.get(f"/figures/mart_daily_kpis?as_of={as_of}").json()["items"]
    assert (then["figures"]["revenue"], then["restated_at"]) == ("10.00", None)
    assert server.get("/figures/mart_daily_kpis?as_of=2020-01-01T00:00:00Z").json() == {"items": [], "next": None}
    assert server.get("/figures/mart_daily_kpis?as_of=yesterday").status_code == 422
    assert server.get("/figures/mart_product_performance").status_code == 404
    assert server.get("/figures/pg_authid").status_code == 404


def test_daily_figures_and_conversion_are_marked_as_restated(server: Server, database: Settings) -> None:
    """The conversion is compared with the rate published when its day was closed.

    The newest published day need not be today.
    """
    day = (datetime.now(UTC) - timedelta(days=3)).replace(hour=10, minute=0, second=0, microsecond=0)
    looks = [make_event(event_time=day, event_type="view", session_id=f"S{number}") for number in range(4)]
    deliveries = [[*looks, make_event(event_time=day, session_id="S0")], [make_event(event_time=day, session_id="S1")]]
    for events in deliveries:
        load_batch(database.dsn("owner"), events)
        for name in ("mart_daily_kpis", "mart_conversion_funnel"):
            refresh_view(database.dsn("ops"), name)
    overview = server.get("/overview").json()
    (shown,) = overview["daily"]["items"]
    assert (shown["day"], shown["currency"], shown["is_closed"]) == (day.date().isoformat(), "EUR", True)
    restated = shown["restated"]
    assert (shown["revenue"], restated["times"], restated["cause"]) == ("20.00", 1, "late events")
    assert (restated["old"]["revenue"], restated["new"]["revenue"]) == ("10.00", "20.00")
    of_conversion = overview["conversion"]["restated"]
    assert of_conversion["cause"] == "late events"
    assert (of_conversion["old"], of_conversion["new"]) == (
        {"conversion_rate": "0.2500"},
        {"conversion_rate": "0.5000"},
    )
    views = {view["view_name"]: view for view in server.get("/views").json()}
    assert views["mart_daily_kpis"]["restated_days"] == 1
    assert views["mart_daily_kpis"]["restated_at"] == restated["restated_at"]
    assert (views["mart_customer_value"]["restated_days"], views["mart_customer_value"]["restated_at"]) == (0, None)


def test_a_day_that_was_not_restated_is_not_marked(server: Server, database: Settings) -> None:
    now = datetime.now(UTC)
    events = [make_event(event_time=now), make_event(event_time=now - timedelta(days=1))]
    load_batch(database.dsn("owner"), [*events, make_event(event_time=now - timedelta(days=7))])
    refresh_view(database.dsn("ops"), "mart_daily_kpis")
    shown = server.get("/overview").json()["daily"]["items"]
    days = [(now - timedelta(days=ago)).date().isoformat() for ago in (0, 1)]
    assert [(one["day"], one["is_closed"], one["restated"]) for one in shown] == [
        (days[0], False, None),
        (days[1], True, None),
    ]


def test_pages_of_figures_contain_each_day_once(server: Server, database: Settings) -> None:
    start = datetime.now(UTC).replace(hour=1, minute=0, second=0, microsecond=0)
    events = [
        make_event(event_time=start - timedelta(days=ago), currency=currency)
        for ago in range(1, 6)
        for currency in ("EUR", "GBP")
    ]
    load_batch(database.dsn("owner"), events)
    refresh_view(database.dsn("ops"), "mart_daily_kpis")
    seen, path = [], "/figures/mart_daily_kpis?limit=2"
    page = server.get(path).json()
    while True:
        seen += [(one["day"], one["key"]["currency"]) for one in page["items"]]
        if page["next"] is None:
            break
        page = server.get(f"{path}&before={page['next']}").json()
    days = [(start - timedelta(days=ago)).date().isoformat() for ago in range(1, 6)]
    assert seen == [(day, currency) for day in days for currency in ("EUR", "GBP")]
