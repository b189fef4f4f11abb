"""Tests of the metrics endpoint with a real PostgreSQL: its values, and its answers when the database fails."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from include.db import transaction
from include.db.views import view_names
from include.metrics import ledger
from include.metrics.collector import TIMEOUT_SECONDS, Exporter
from include.metrics.families import PREFIX, SOURCES
from include.objectives.evaluate import evaluate
from include.platform.instance.environment import settings_environment
from include.quality.suites import suite_names
from include.settings import REPOSITORY, Settings
from include.stream.intake.landing import Landing
from tests.support.postgres import cut_connections, database_away
from tests.support.rows import load_batch, make_event
from tests.support.sockets import free_ports
from tests.support.waiting import wait_until

Samples = dict[tuple[str, ...], float]


def samples(text: bytes) -> Samples:
    """Return the value of each series, by its name without the prefix and the values of its labels."""
    return {
        (one.name.removeprefix(PREFIX), *one.labels.values()): one.value
        for family in text_string_to_metric_families(text.decode())
        for one in family.samples
    }


def sql(settings: Settings, statement: str, *parameters: Any) -> None:
    with transaction(settings.dsn("owner")) as cursor:
        cursor.execute(statement, parameters)


def commit(settings: Settings, lag_seconds: float = 0.4) -> int:
    """Commit a batch of three events and a reject; return its id."""
    batch_id = load_batch(
        settings.dsn("owner"), [make_event() for _ in range(3)], rejects=[{"raw": "x", "reasons": ["row_ragged"]}]
    )
    sql(
        settings,
        "UPDATE shop.batches SET lag_seconds = %s, durations_ms = %s, max_event_time = now() WHERE batch_id = %s",
        lag_seconds,
        json.dumps({"events": 250.0, "spark_addBatch": 9000.0}),
        batch_id,
    )
    return batch_id


def begin_run(settings: Settings) -> None:
    sql(
        settings,
        "INSERT INTO shop.runs (epoch, query, mode, host, pid, turned_at, backlog_files, backlog_bytes)"
        " VALUES (7, 'events', 'continuous', 'here', 1, now(), 3, 4096)",
    )


def fill(settings: Settings) -> None:
    """Store at least one row for every metric."""
    sql(settings, "INSERT INTO shop.stream_control VALUES ('events', 'run', now() - interval '1 hour')")
    begin_run(settings)
    commit(settings)
    sql(
        settings,
        "INSERT INTO shop.quality_runs (run_id, suite, table_name, scope, started_at, verdict, checks,"
        " critical_failures, warnings) SELECT 'r', suite, 't', 'full', now(), 'failed', 9, 1, 2"
        " FROM unnest(%s) AS suite",
        list(suite_names()),
    )
    sql(
        settings,
        "INSERT INTO shop.alerts (key, severity, source, title, detail) VALUES ('k', 'warning', 's', 't', 'd');"
        "INSERT INTO shop.alert_deliveries (alert_id, channel, occasion, severity, due_at)"
        " VALUES (1, 'mail', 'raised', 'warning', now() - interval '6 min'), (1, 'chat', 'raised', 'warning', now())",
    )
    sql(
        settings,
        "INSERT INTO shop.refreshes (view_name, started_at, held_because) VALUES (%s, now(), 'a check')",
        view_names()[0],
    )
    evaluate(settings.dsn("ops"), settings)


def test_every_metric_has_a_value(database: Settings) -> None:
    fill(database)
    text = Exporter(database).scrape()
    found = samples(text)
    names = {name for name, *_ in found}
    for source in SOURCES:
        for family in source.families:
            assert {family.name, f"{family.name}_total"} & names, family.name
            assert f"# HELP {PREFIX}{family.name}" in text.decode()


def test_metrics_match_the_database(database: Settings) -> None:
    fill(database)
    found = samples(Exporter(database).scrape())
    held, *others = view_names()
    assert found["database_up",] == 1
    assert found["stream_up",] == found["stream_wanted",] == 1
    assert found["stream_paused",] == 0
    assert found["stream_epoch",] == 7
    assert (found["stream_backlog_files",], found["stream_backlog_bytes",]) == (3, 4096)
    assert found["stream_lag_seconds",] == 0.4
    assert found["stream_waiting_seconds",] == 0
    assert abs(found["stream_heartbeat_timestamp_seconds",] - datetime.now(UTC).timestamp()) < 60
    assert (found["view_held", held], found["view_held", others[0]]) == (1, 0)
    assert found["view_published_timestamp_seconds", held] > 0, (
        "a held back view keeps the time of its last publication"
    )
    assert (found["suite_critical_failures", suite_names()[0]], found["suite_warnings", suite_names()[0]]) == (1, 2)
    assert (found["alerts_open", "warning"], found["alerts_open", "critical"]) == (1, 0)
    assert (found["alert_deliveries_due",], found["alert_deliveries_overdue",]) == (2, 1)
    assert found["objective_bound", "freshness"] == 5
    assert found["objective_target_ratio", "availability"] == 0.995
    assert found["objective_evaluated_minutes", "freshness"] == 2
    assert found["objective_missed", "availability"] == 1
    assert found["database_size_bytes",] > 1e6
    assert found["disk_free_bytes", "home"] > 0
    assert found["process_resident_memory_bytes",] > 0


def test_without_a_driver_the_backlog_is_counted_or_left_out(database: Settings) -> None:
    """The numbers that a dead driver has left are out of date."""
    fill(database)
    landing = Landing.of(database)
    landing.make()
    landing.take_over(7)
    for number in range(5):
        (database.landing_dir / f"{number}.csv").write_text("x")
    sql(database, "UPDATE shop.runs SET heartbeat_at = now() - interval '9 minutes'")
    sql(database, "INSERT INTO shop.files (name, size_bytes, arrived_at) VALUES ('a', 7, now() - interval '8 minutes')")
    found = samples(Exporter(database).scrape())
    assert (found["stream_up",], found["stream_backlog_files",], found["stream_backlog_bytes",]) == (0, 6, 12)
    assert found["stream_waiting_seconds",] > 470
    assert found["stream_lag_seconds",] > 470
    shutil.rmtree(database.landing_dir)
    found = samples(Exporter(database).scrape())
    assert ("stream_backlog_files",) not in found, "no number is better than an old one"


def test_an_empty_database_has_metrics_too(database: Settings) -> None:
    found = samples(Exporter(database).scrape())
    assert (found["database_up",], found["stream_up",], found["rows_total", "accepted"]) == (1, 0, 0)
    assert ("stream_lag_seconds",) not in found


def test_counters_count_each_batch_once_from_the_start_of_the_program(
    database: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "_AT_ONCE", 2)
    commit(database)
    exporter = Exporter(database)
    assert samples(exporter.scrape())["rows_total", "accepted"] == 0
    for lag_seconds in (0.2, 0.6, 7.0, 0.2, 0.2):
        commit(database, lag_seconds)
    for _ in range(2):
        found = samples(exporter.scrape())
        assert found["batches_total",] == found["files_total",] == 5
        assert (found["rows_total", "accepted"], found["rows_total", "rejected"]) == (15, 5)
        assert found["batch_stage_seconds_total", "events"] == pytest.approx(1.25)
        assert ("batch_stage_seconds_total", "spark_addBatch") not in found
        assert found["batch_lag_seconds_count",] == 5
        assert found["batch_lag_seconds_sum",] == pytest.approx(8.2)
        assert found["batch_lag_seconds_bucket", "5.0"] == 4
    # These are more batches than one scrape reads, and the next scrape continues.
    for _ in range(12):
        commit(database)
    assert samples(exporter.scrape())["batches_total",] == 5 + 8
    assert samples(exporter.scrape())["batches_total",] == 5 + 12


def test_a_database_that_is_away_is_a_metric(database: Settings, caplog: pytest.LogCaptureFixture) -> None:
    exporter = Exporter(database)
    exporter.scrape()
    with database_away(database):
        for _ in range(3):
            found = samples(exporter.scrape())
            assert found["database_up",] == 0
            assert ("stream_up",) not in found
            assert found["rows_total", "accepted"] == 0
        assert "database" in exporter.readiness()
    assert [record.levelname for record in caplog.records] == ["WARNING"], "one warning without a traceback"
    assert samples(exporter.scrape())["database_up",] == 1


def test_a_cut_connection_is_reopened_in_the_same_scrape(database: Settings) -> None:
    exporter = Exporter(database)
    exporter.scrape()
    cut_connections(database, "shop_ops")
    assert samples(exporter.scrape())["database_up",] == 1


def test_the_exporter_cannot_write(database: Settings) -> None:
    exporter = Exporter(database)
    with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
        exporter._ask(lambda cursor: cursor.execute("DELETE FROM shop.objective_misses"))


@contextmanager
def program(settings: Settings, log: Path, **variables: str) -> Iterator[tuple[psutil.Process, str]]:
    """Start the endpoint as the platform does; yield its process and its address."""
    (port,) = free_ports(1)
    environment = {**os.environ, **settings_environment(settings), "SHOPSTREAM_METRICS_PORT": str(port), **variables}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "include.metrics"], cwd=REPOSITORY, env=environment, stdout=output, stderr=output
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: is_alive(url), seconds=30, what="the endpoint to answer")
        yield psutil.Process(process.pid), url
    finally:
        process.terminate()
        process.wait(10)


def is_alive(url: str) -> bool:
    try:
        return get(f"{url}/health")[0] == 200
    except OSError:
        return False


def get(url: str) -> tuple[int, str, bytes]:
    """Return the status, the content type and the body of the answer."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=30) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read()


def test_the_program_serves_metrics_health_and_readiness(database: Settings, tmp_path: Path) -> None:
    with program(database, tmp_path / "log") as (process, url):
        status, content_type, body = get(f"{url}/metrics?any=thing")
        assert (status, samples(body)["database_up",]) == (200, 1)
        assert content_type.startswith("text/plain; version=")
        status, content_type, body = get(f"{url}/ready")
        assert (status, content_type) == (503, "application/json")
        assert json.loads(body) == {"status": "not ready", "stream": "no driver sends a heartbeat"}
        begin_run(database)
        assert get(f"{url}/ready")[::2] == (200, b'{"status": "ready"}\n')
        sql(database, "INSERT INTO shop.stream_control (query, desired_state) VALUES ('events', 'stop')")
        assert json.loads(get(f"{url}/ready")[2])["stream"] == "its desired state is stop"
        assert get(f"{url}/")[0] == 404
        with database_away(database):
            assert samples(get(f"{url}/metrics")[2])["database_up",] == 0
            assert get(f"{url}/health")[0] == 200
            status, _, body = get(f"{url}/ready")
            assert status == 503
            assert "PostgreSQL" in json.loads(body)["database"]
        assert samples(get(f"{url}/metrics")[2])["database_up",] == 1
        assert process.memory_info().rss < 100 * 1024**2
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_a_database_that_accepts_and_hangs_does_not_block_a_scrape(database: Settings, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        threading.Thread(target=lambda: [silent.accept() for _ in range(9)], daemon=True).start()
        port = str(silent.getsockname()[1])
        variables = {"SHOPSTREAM_DATABASE_HOST": "127.0.0.1", "SHOPSTREAM_DATABASE_PORT": port}
        with program(database, tmp_path / "log", **variables) as (_, url):
            began = time.monotonic()
            assert samples(get(f"{url}/metrics")[2])["database_up",] == 0
            assert time.monotonic() - began < 2 * TIMEOUT_SECONDS
            assert get(f"{url}/health")[0] == 200
    assert "Traceback" not in (tmp_path / "log").read_text()
