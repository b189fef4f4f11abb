"""Tests of objectives with a real PostgreSQL: what each measures, excluded minutes, misses, alerts and reports."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from include.db import transaction
from include.db.partitions import maintain
from include.db.views import view_names
from include.objectives.__main__ import main
from include.objectives.announce import announce
from include.objectives.catalog import objectives_of
from include.objectives.evaluate import Evaluation, evaluate
from include.objectives.report import (
    Attainment,
    ObjectiveError,
    acknowledge_miss,
    attainment,
    current,
    find_miss,
    minutes,
    misses,
)
from include.platform.instance.environment import settings_environment
from include.quality.suites import suite_names
from include.settings import Settings

# The start is in the future, so no record from the creation of the database is newer. It is past a full hour, so all
# minutes are in one month.
START = datetime.now(UTC).replace(minute=5, second=0, microsecond=0) + timedelta(hours=2)
_numbers = itertools.count(1)


def at(seconds: float) -> datetime:
    """Return the time ``seconds`` after the start of the tests' time."""
    return START + timedelta(seconds=seconds)


@pytest.fixture(autouse=True)
def _requested_long_ago(database: Settings) -> None:
    sql(database, "INSERT INTO shop.stream_control VALUES ('events', 'run', %s)", at(-100_000))


def sql(database: Settings, statement: str, *parameters: Any) -> list[Any]:
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


def commit(
    database: Settings, committed: float, *files: tuple[float, int], rejected: int = 0, parts_of: int | None = None
) -> int:
    """Record a batch committed so many seconds after the start, with files given by their arrival and their rows.

    With ``parts_of`` its only file is the next slice of that file, or, if that is 0, the first slice of a new one.
    """
    read = sum(rows for _, rows in files)
    number = next(_numbers)
    ((batch_id,),) = sql(
        database,
        "INSERT INTO shop.batches (query, epoch, spark_batch_id, files, read, accepted, duplicate, rejected,"
        " started_at, committed_at, oldest_arrival, lag_seconds)"
        " VALUES ('events', 1, %s, %s, %s, %s, 0, %s, %s, %s, %s, %s) RETURNING batch_id",
        number,
        len(files),
        read,
        read - rejected,
        rejected,
        at(committed - 1),
        at(committed),
        at(min(arrived for arrived, _ in files)),
        committed - min(arrived for arrived, _ in files),
    )
    for arrived, rows in files if not parts_of else ():
        state = "loaded" if parts_of is None else "admitted"
        ((file_id,),) = sql(
            database,
            "INSERT INTO shop.files"
            " (name, state, size_bytes, arrived_at, finished_at, batch_id, read, accepted, slices)"
            " VALUES (%s, %s, 100000000, %s, %s, %s, %s, %s, 1) RETURNING file_id",
            f"{number}.csv",
            state,
            at(arrived),
            at(committed) if state == "loaded" else None,
            batch_id,
            rows,
            rows,
        )
    if parts_of is not None:
        file_id = parts_of or file_id
        sql(
            database,
            "INSERT INTO shop.file_slices VALUES (%s, %s, 1, %s, %s, 0, 0)",
            file_id,
            batch_id,
            read,
            read,
        )
    return int(file_id) if parts_of is not None else int(batch_id)


def run(database: Settings, started: float, heartbeat: float, ended: float | None = None, **columns: Any) -> None:
    """Record a run of the stream, with its last heartbeat."""
    values = {"backlog_files": 0, "turned_at": at(heartbeat), "error": None, **columns}
    sql(
        database,
        "INSERT INTO shop.runs (epoch, query, mode, host, pid, started_at, heartbeat_at, ended_at, backlog_files,"
        " turned_at, error) VALUES (nextval('shop.epochs'), 'events', 'continuous', 'here', 1, %s, %s, %s, %s, %s, %s)",
        at(started),
        at(heartbeat),
        None if ended is None else at(ended),
        *values.values(),
    )


def publish(database: Settings, seconds: float, *views: str, **columns: str | None) -> None:
    """Record a refresh of views (default: all), published at once unless ``columns`` says otherwise."""
    published_at = None if columns else str(at(seconds))
    for view in views or view_names():
        sql(
            database,
            "INSERT INTO shop.refreshes (view_name, started_at, finished_at, published_at, error, held_because)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            view,
            at(seconds - 1),
            at(seconds),
            columns.get("published_at", published_at),
            columns.get("error"),
            columns.get("held_because"),
        )


def look(database: Settings, seconds: float, **settings: Any) -> Evaluation:
    return evaluate(database.dsn("ops"), database.model_copy(update=settings), now=at(seconds))


def values(evaluation: Evaluation, objective: str) -> dict[int, float | None]:
    """Return the evaluated minutes of an objective, by their number after the start."""
    return {
        round((one.minute - START).total_seconds() / 60): None if one.value is None else round(one.value, 4)
        for evaluated, found in evaluation.evaluated.items()
        if evaluated.name == objective
        for one in found
    }


def test_freshness_is_the_percentile_of_rows_not_of_files(database: Settings) -> None:
    commit(database, 10, (9.5, 989))
    # Eleven files of one row each, of which the slowest is beyond the 99th percentile of rows.
    commit(database, 30, *[(28, 1)] * 10, (1, 1))
    assert values(look(database, 61), "freshness")[0] == 2.0
    commit(database, 70, (60, 500), (69, 500))
    assert values(look(database, 121), "freshness") == {1: 10.0}


def test_slices_of_a_large_file_count_when_they_are_committed(database: Settings) -> None:
    file_id = commit(database, 10, (8, 100), parts_of=0)
    assert values(look(database, 65), "freshness")[0] == 60 - 8, "the rest of the file waits"
    commit(database, 70, (8, 100), parts_of=file_id)
    sql(
        database,
        "UPDATE shop.files SET state = 'loaded', finished_at = %s, slices = 2, read = 200, accepted = 200",
        at(70),
    )
    assert values(look(database, 125), "freshness") == {1: 62.0}


def test_a_waiting_file_counts_against_freshness(database: Settings) -> None:
    sql(
        database,
        "INSERT INTO shop.files (name, size_bytes, arrived_at) VALUES ('a', 1, %s), ('b', 1, %s)",
        at(20),
        at(61),
    )
    assert values(look(database, 65), "freshness")[0] == 40.0


def test_an_idle_minute_misses_neither_freshness_nor_reject_share(database: Settings) -> None:
    evaluation = look(database, 60)
    assert values(evaluation, "freshness") == {-1: None, 0: None}
    assert values(evaluation, "reject_share") == {-1: None, 0: None}
    assert values(evaluation, "quality_age") == {}, "no suite has ever given a verdict"
    assert not {"freshness", "reject_share"} & {one.name for one in evaluation.open_misses}


def test_share_of_rejects(database: Settings) -> None:
    commit(database, 10, (9, 90), rejected=9)
    commit(database, 20, (19, 10), rejected=1)
    assert values(look(database, 61), "reject_share")[0] == 0.1


def deliver(database: Settings, name: str) -> None:
    """Put a file into the landing folder that no driver has admitted."""
    database.landing_dir.mkdir(parents=True, exist_ok=True)
    (database.landing_dir / name).write_text("event_id\n")


def test_the_backlog_is_counted_by_the_driver_or_else_in_the_landing_folder(database: Settings) -> None:
    run(database, 0, 62, backlog_files=12)
    assert values(look(database, 63, max_backlog_files=11), "backlog") == {0: 12.0}
    # The loop has not turned since, and the folder cannot be read, so the backlog is unknown.
    database.landing_dir.rmdir()
    assert values(look(database, 180), "backlog") == {}
    deliver(database, "a.csv")
    deliver(database, "b.csv.gz")
    deliver(database, "c.txt")
    sql(database, "INSERT INTO shop.files (name, size_bytes, arrived_at) VALUES ('d.csv', 1, %s)", at(200))
    assert values(look(database, 240), "backlog") == {3: 3.0}


def test_files_that_no_driver_admits_count_against_freshness(database: Settings) -> None:
    look(database, 61)
    deliver(database, "a.csv")
    began = datetime.fromtimestamp((database.landing_dir / "a.csv").stat().st_ctime, UTC)
    assert values(look(database, 121), "freshness") == {1: round((at(120) - began).total_seconds(), 4)}
    assert "freshness" in {one.objective for one in misses(database.dsn("ops"))}


def test_an_outage_is_evaluated_afterwards(database: Settings) -> None:
    run(database, -100, 70, 730)
    look(database, 61)
    # No minute was evaluated for ten minutes, and the file that arrived meanwhile was loaded at the end.
    run(database, 730, 900)
    commit(database, 740, (190, 100))
    evaluation = look(database, 781)
    found = values(evaluation, "availability")
    assert sorted(found) == list(range(1, 13))
    assert found[1] == 0.2
    assert {found[minute] for minute in range(2, 12)} == {0.0}
    late = values(evaluation, "freshness")
    assert late[1] is None
    assert [late[minute] for minute in range(3, 12)] == [60.0 * (minute + 1) - 190 for minute in range(3, 12)]
    assert late[12] == 550.0
    missed = {one.objective: (one.began_at, one.ended_at) for one in misses(database.dsn("ops"))}
    assert missed["availability"] == (at(60), at(720))
    assert missed["freshness"] == (at(180), None)


def plan(database: Settings, kind: str, began: float, ended: float | None, caught_up: float | None = None) -> None:
    """Record planned downtime, in seconds after the start."""
    sql(
        database,
        "INSERT INTO shop.planned_downtime (kind, began_at, ended_at, caught_up_at, reason)"
        " VALUES (%s, %s, %s, %s, 'r')",
        kind,
        at(began),
        None if ended is None else at(ended),
        None if caught_up is None else at(caught_up),
    )


def test_planned_downtime_is_not_evaluated_and_ages_nothing(database: Settings) -> None:
    run(database, -100, 70, 71)
    publish(database, 0)
    look(database, 61)
    plan(database, "platform", 70, 4000)
    run(database, 4010, 5000)
    # Files that arrived meanwhile wait until the driver has loaded them.
    sql(database, "INSERT INTO shop.files (name, size_bytes, arrived_at) VALUES ('a', 1, %s)", at(1000))
    evaluation = look(database, 4260)
    assert values(evaluation, "availability") == {70: 1.0}, "the first minute after the three minutes of the start"
    assert values(evaluation, "freshness") == {}, "the stream is catching up"
    sql(database, "UPDATE shop.files SET state = 'quarantined', finished_at = %s, fault = 'x'", at(4300))
    look(database, 4321)
    evaluation = look(database, 4441)
    assert values(evaluation, "freshness") == {73: None}
    assert values(evaluation, "refresh_age") == {73: 260.0}, "counted from when it had to be refreshed again"


def test_a_stream_that_does_not_catch_up_is_late_after_half_an_hour(database: Settings) -> None:
    run(database, -100, 9000)
    look(database, 61)
    plan(database, "stream", 70, 1000)
    sql(database, "INSERT INTO shop.files (name, size_bytes, arrived_at) VALUES ('a', 1, %s)", at(500))
    assert set(values(look(database, 2761), "freshness")) == set()
    assert values(look(database, 2881), "freshness") == {47: 2880.0 - 1180.0}


def test_a_future_window_changes_nothing(database: Settings) -> None:
    look(database, 61)
    plan(database, "platform", 500, 600)
    assert set(values(look(database, 121), "availability")) == {1}


def test_a_restart_after_a_crash_does_not_excuse_the_crash(database: Settings) -> None:
    run(database, -100, 70)
    look(database, 61)
    # `make up` sets the desired state `run` again, on a stream that was never asked to stop.
    sql(database, "UPDATE shop.stream_control SET desired_state = 'run', requested_at = %s", at(600))
    assert values(look(database, 661), "availability")[9] == 0.0


def test_a_broken_suite_gives_no_verdict_although_it_leaves_results(database: Settings) -> None:
    for suite in suite_names():
        for seconds, verdict in ((0, "failed"), (100, "broken")):
            sql(
                database,
                "WITH run AS (INSERT INTO shop.quality_runs (run_id, suite, table_name, scope, started_at, finished_at,"
                " verdict, checks, critical_failures, warnings) VALUES ('r', %s, 't', 'window', now(), %s, %s, 1, 1, 0)"
                " RETURNING *) INSERT INTO shop.quality_results (quality_run_id, run_id, suite, table_name, check_name,"
                " severity, status, duration_ms, checked_at)"
                " SELECT quality_run_id, 'r', suite, 't', 'c', 'critical', 'failed', 1, finished_at FROM run",
                suite,
                at(seconds),
                verdict,
            )
    assert values(look(database, 181), "quality_age")[2] == 180.0


@pytest.mark.parametrize(
    ("runs", "share"),
    [
        ([(-100, 90, None)], 1.0),
        ([], 0.0),
        ([(15, 90, None)], 0.75),
        # The driver was killed and restarted eleven seconds later; its successor recorded its end.
        ([(-100, 20, 33), (33, 90, None)], round((22 + 27) / 60, 4)),
        # The driver ended as asked, and no other one followed.
        ([(-100, 29, 30)], 0.5),
        # Two drivers overlap, since the older one has not yet noticed the newer one.
        ([(-100, 45, 45), (30, 90, None)], 1.0),
    ],
)
def test_availability_is_the_time_with_a_living_driver(
    database: Settings, runs: list[tuple[float, float, float | None]], share: float
) -> None:
    for started, heartbeat, ended in runs:
        run(database, started, heartbeat, ended)
    assert values(look(database, 61), "availability")[0] == share


def test_age_of_the_oldest_published_view(database: Settings) -> None:
    first, *others = view_names()
    publish(database, 10)
    publish(database, 40, *others)
    assert values(look(database, 61), "refresh_age")[0] == 50.0
    # A refresh makes a view no younger if it failed, was held back, or lost its process between its checks and its
    # publication.
    publish(database, 70, first, error="timeout")
    publish(database, 80, first, held_because="a check")
    publish(database, 90, first, published_at=None)
    assert values(look(database, 121), "refresh_age") == {1: 110.0}
    publish(database, 130, first, published_at=str(at(135)))
    assert values(look(database, 181), "refresh_age") == {2: 140.0}


def test_age_of_a_view_whose_last_refresh_is_past_retention(database: Settings) -> None:
    first, *others = view_names()
    sql(database, "DELETE FROM shop.refreshes")
    publish(database, 30, *others)
    publish(database, 40, first, error="timeout")
    assert values(look(database, 61), "refresh_age")[0] == 31.0, "the view is older than every recorded refresh"


RUN_OF_SUITE = (
    "INSERT INTO shop.quality_runs (run_id, suite, table_name, scope, started_at, finished_at, verdict, checks,"
    " critical_failures, warnings) VALUES ('r', %s, 't', 'window', now(), %s, %s, 0, 0, 0)"
)


def test_age_of_the_oldest_verdict(database: Settings) -> None:
    for suite in suite_names():
        sql(database, RUN_OF_SUITE, suite, at(0), "failed")
    assert values(look(database, 61), "quality_age")[0] == 60.0, "a failed check is a verdict"
    first, *others = suite_names()
    for suite in others:
        sql(database, RUN_OF_SUITE, suite, at(70), "passed")
    sql(database, RUN_OF_SUITE, first, at(70), "broken")
    # A broken run leaves results as well, but it is no verdict.
    sql(
        database,
        "INSERT INTO shop.quality_results (run_id, suite, table_name, check_name, severity, status, duration_ms,"
        " checked_at) VALUES ('r', %s, 't', 'c', 'critical', 'error', 1, %s)",
        first,
        at(70),
    )
    assert values(look(database, 121), "quality_age") == {1: 120.0}
    sql(database, RUN_OF_SUITE, first, at(80), "warned")
    assert values(look(database, 181), "quality_age") == {2: 110.0}


def test_a_late_run_evaluates_all_known_minutes_of_the_past(database: Settings) -> None:
    run(database, -100, 600)
    look(database, 61)
    commit(database, 130, (120, 10))
    commit(database, 250, (249, 10))
    evaluation = look(database, 490)
    assert values(evaluation, "freshness") == {1: None, 2: 10.0, 3: None, 4: 1.0, 5: None, 6: None, 7: None}
    assert set(values(evaluation, "availability")) == {1, 2, 3, 4, 5, 6, 7}
    # Minutes 2 and 4 had a batch, and 6 and 7 have just ended. The share of the others is not known.
    assert set(values(evaluation, "reject_share")) == {2, 4, 6, 7}
    assert set(values(evaluation, "backlog")) == {7}
    assert evaluation.minutes == 7
    assert values(look(database, 495), "freshness") == {}, "no minute is evaluated twice"


def test_no_minute_is_evaluated_while_the_stream_is_to_stop_or_starts(database: Settings) -> None:
    sql(database, "UPDATE shop.stream_control SET desired_state = 'drain', requested_at = %s", at(-600))
    commit(database, 10, (1, 1))
    assert look(database, 61).minutes == 0
    sql(database, "UPDATE shop.stream_control SET desired_state = 'run', requested_at = %s", at(70))
    commit(database, 100, (1, 1))
    assert look(database, 181).minutes == 0
    assert look(database, 301).minutes == 0, "the minute began before the three minutes were over"
    assert set(values(look(database, 361), "freshness")) == {5}


def test_no_minute_is_evaluated_before_the_first_run(database: Settings) -> None:
    sql(database, "DELETE FROM shop.stream_control")
    assert look(database, 61).minutes == 0
    run(database, 70, 400)
    assert look(database, 301).minutes == 0
    assert set(values(look(database, 361), "freshness")) == {5}


def test_a_miss_records_its_beginning_worst_value_cause_and_end(database: Settings) -> None:
    run(database, -100, 600)
    commit(database, 10, (1, 100))
    evaluation = look(database, 61)
    (miss,) = misses(database.dsn("ops"), objective="freshness")
    assert (miss.began_at, miss.ended_at, miss.bound, miss.worst_value) == (at(0), None, 5.0, 9.0)
    assert miss.cause is not None
    assert "committed 9.0 s after its oldest file arrived: 100 rows of 1 files, 1.0 s from its start" in miss.cause
    assert "freshness" in {one.name for one in evaluation.open_misses}
    commit(database, 80, (60, 100))
    look(database, 121)
    commit(database, 130, (129, 100))
    evaluation = look(database, 181)
    (miss,) = misses(database.dsn("ops"), objective="freshness")
    assert (miss.began_at, miss.ended_at, miss.worst_value) == (at(0), at(120), 20.0)
    assert "freshness" not in {one.name for one in evaluation.open_misses}


def test_a_past_miss_is_explained_by_what_happened_then(database: Settings) -> None:
    run(database, -100, 20, 33, error="OSError: No space left\nand more")
    run(database, 33, 600)
    commit(database, 50, (20, 100))
    commit(database, 100, (99, 100))
    commit(database, 550, (549, 100))
    look(database, 610)
    (miss,) = misses(database.dsn("ops"), objective="freshness")
    assert (miss.began_at, miss.ended_at) == (at(0), at(60))
    assert miss.cause is not None
    restart = f"the stream was started again, most recently at {at(33):%H:%M:%S} UTC"
    assert miss.cause.splitlines()[0].startswith(restart)
    assert miss.cause.splitlines()[0].endswith("before that: OSError: No space left")


@pytest.mark.parametrize(
    ("objective", "prepare", "cause"),
    [
        (
            "reject_share",
            lambda database, batch_id: sql(
                database,
                "INSERT INTO shop.rejects (batch_id, file_id, file_name, line, raw, reasons, rejected_at)"
                " SELECT %s, 1, 'b.csv', n, 'x', '{unit_price_invalid}', %s FROM generate_series(1, 3) AS n",
                batch_id,
                at(10),
            ),
            "3 of the last 3 rejected rows: unit_price_invalid, most of them in b.csv",
        ),
        (
            "refresh_age",
            lambda database, _: publish(database, 20, "mart_daily_kpis", held_because="revenue is doubled"),
            "mart_daily_kpis is held back: revenue is doubled",
        ),
        (
            "refresh_age",
            lambda database, _: publish(database, 20, "mart_daily_kpis", error="canceled\nDETAIL: x"),
            "mart_daily_kpis could not be refreshed: canceled",
        ),
        (
            "freshness",
            lambda database, _: commit(database, 30, (0, 500), parts_of=0),
            f"a large file: 2.csv, 95 MB, arrived at {START:%H:%M:%S} UTC",
        ),
        ("availability", lambda database, _: run(database, 0, 10, 11, error="killed"), "the last driver ended"),
    ],
)
def test_each_cause_of_a_miss_is_named(
    database: Settings, objective: str, prepare: Callable[[Settings, int], Any], cause: str
) -> None:
    global _numbers
    _numbers = itertools.count(1)
    batch_id = commit(database, 10, (9, 10), rejected=5)
    prepare(database, batch_id)
    # The present state of the stream is diagnosed by the real clock.
    sql(database, "UPDATE shop.runs SET ended_at = now() - interval '2 min', started_at = now() - interval '3 min'")
    look(database, 61)
    (miss,) = misses(database.dsn("ops"), objective=objective)
    assert miss.cause is not None
    assert cause in miss.cause


def test_concurrent_evaluations_evaluate_each_minute_once(database: Settings) -> None:
    with ThreadPoolExecutor(4) as threads:
        done = list(threads.map(lambda _: look(database, 61).minutes, range(4)))
    assert sorted(done) == [0, 0, 0, 2]
    assert sql(database, "SELECT sum(minutes) FROM shop.objective_months WHERE objective = 'freshness'") == [(2,)]


def alerts(database: Settings) -> dict[str, Any]:
    return dict(sql(database, "SELECT key, resolution FROM shop.alerts"))


def test_an_alert_opens_when_a_miss_lasts_and_ends_with_it(database: Settings) -> None:
    publish(database, 0)
    run(database, -100, 900)
    for minute in range(5):
        commit(database, 60 * minute + 30, (60 * minute, 10))
        announce(database.dsn("ops"), look(database, 60 * minute + 61))
        assert ("objective: freshness" in alerts(database)) is (minute == 4), "the alert waits for five minutes"
    assert announce(database.dsn("ops"), look(database, 361)) == []
    assert alerts(database) == {"objective: freshness": "recovered"}
    ((severity, source, detail),) = sql(database, "SELECT severity, source, detail FROM shop.alerts")
    assert (severity, source) == ("warning", "evaluate_objectives")
    assert "30 s at worst, the bound is at most 5 s" in detail


def test_an_alert_that_was_not_resolved_is_resolved_by_the_next_run(database: Settings) -> None:
    run(database, -100, 900)
    publish(database, -2000)
    announce(database.dsn("ops"), look(database, 1))
    assert alerts(database) == {"objective: refresh_age": None}
    publish(database, 10)
    look(database, 61)
    announce(database.dsn("ops"), look(database, 62))
    assert alerts(database) == {"objective: refresh_age": "recovered"}


def test_the_miss_and_the_alert_of_a_removed_objective_end(database: Settings) -> None:
    sql(database, "INSERT INTO shop.objective_misses (objective, began_at, bound) VALUES ('older', now(), 1)")
    sql(
        database,
        "INSERT INTO shop.alerts (key, severity, source, title, detail)"
        " VALUES ('objective: older', 'info', 's', 't', 'd')",
    )
    run(database, -100, 900)
    publish(database, -10)
    announce(database.dsn("ops"), look(database, 1))
    assert [miss.ended_at is None for miss in misses(database.dsn("ops"), objective="older")] == [False]
    assert alerts(database) == {"objective: older": "recovered"}


def test_attainment_by_month_outlives_the_minutes(database: Settings) -> None:
    objectives = objectives_of(database)
    commit(database, 10, (1, 100))
    look(database, 61)
    commit(database, 70, (69, 100))
    look(database, 121)
    dsn = database.dsn("analyst")
    month = START.date().replace(day=1)
    kept = {one.objective: one for one in attainment(dsn, months=2) if one.month == month}
    assert kept["freshness"] == Attainment("freshness", month, 3, 2)
    assert kept["freshness"].share == 2 / 3
    recorded = minutes(dsn, "freshness", since=at(0))
    assert [(one.minute, one.value, one.is_met) for one in recorded] == [(at(0), 9.0, False), (at(60), 1.0, True)]
    newest = current(dsn, objectives)
    assert [one.objective for one in newest] == [one.name for one in objectives]
    assert (newest[0].minute, newest[0].value, newest[0].is_met, newest[0].miss_id) == (at(60), 1.0, True, None)

    # The batches of this test have no events, and the aggregates would miss them.
    sql(database, "UPDATE shop.facts_progress SET batch_id = (SELECT max(batch_id) FROM shop.batches)")
    sql(database, "UPDATE shop.objective_minutes SET minute = minute - interval '8 days'")
    sql(database, "UPDATE shop.objective_misses SET ended_at = ended_at - interval '8 days'")
    ((stored,),) = sql(database, "SELECT count(*) FROM shop.objective_minutes")
    assert maintain(database.dsn("owner"), ahead_days=1, retention_days=7).deleted["objective_minutes"] == stored > 0
    assert minutes(dsn, "freshness", since=at(-(10**6))) == []
    assert Attainment("freshness", month, 3, 2) in attainment(dsn, months=2)
    assert misses(dsn, objective="freshness"), "misses are kept for a year"
    sql(database, "UPDATE shop.objective_misses SET ended_at = ended_at - interval '1 year'")
    maintain(database.dsn("owner"), ahead_days=1, retention_days=7)
    assert misses(dsn, objective="freshness") == []


def test_misses_are_paged_newest_first(database: Settings) -> None:
    sql(
        database,
        "INSERT INTO shop.objective_misses (objective, began_at, ended_at, bound)"
        " SELECT 'freshness', %s + n / 2 * interval '1 min', %s, 5 FROM generate_series(1, 5) AS n",
        at(0),
        at(900),
    )
    dsn = database.dsn("analyst")
    first = misses(dsn, limit=2)
    second = misses(dsn, limit=2, after=first[-1])
    third = misses(dsn, limit=2, after=second[-1])
    assert [one.miss_id for one in (*first, *second, *third)] == [5, 4, 3, 2, 1]
    assert misses(dsn, is_open=True) == []
    assert misses(dsn, objective="backlog") == []


def test_the_command_shows_attainment_and_misses(
    database: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in settings_environment(database).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "200")
    assert main() == 0
    assert capsys.readouterr().out.count("no minute yet") == len(objectives_of(database))
    commit(database, 10, (1, 100))
    look(database, 61)
    acknowledge_miss(database.dsn("ops"), misses(database.dsn("ops"), objective="freshness")[0].miss_id, "ann")
    assert main() == 0
    lines = capsys.readouterr().out.splitlines()
    (freshness,) = (line for line in lines if line.startswith("freshness"))
    assert " ".join(freshness.split()) == "freshness at most 5 s 9 s 50.000% 99.0% 2 min"
    assert any("freshness: ongoing, 9 s (ann): " in line for line in lines)
    monkeypatch.setenv("SHOPSTREAM_DATABASE_HOST", "/nowhere")
    assert main() == 1
    assert "PostgreSQL cannot be reached" in capsys.readouterr().err


def test_a_user_acknowledges_a_miss(database: Settings) -> None:
    sql(database, "INSERT INTO shop.objective_misses (objective, began_at, bound) VALUES ('freshness', %s, 5)", at(0))
    done = acknowledge_miss(database.dsn("ops"), 1, "ann", "a <b>large</b> file")
    assert (done.acknowledged_by, done.note) == ("ann", "a <b>large</b> file")
    assert done.acknowledged_at is not None
    assert find_miss(database.dsn("analyst"), 1) == done
    with pytest.raises(ObjectiveError, match="there is no miss 2"):
        acknowledge_miss(database.dsn("ops"), 2, "ann")
