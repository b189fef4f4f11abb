"""Run the DAGs together as ``airflow dags test`` does, with real Spark, PostgreSQL and files."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
from collections.abc import Callable

import pytest
from airflow.sdk import Connection

from include.airflow.spark.clusters import cluster_of
from include.db import transaction
from include.manifest import read_manifest
from include.settings import Settings
from include.stream.supervision.status import StreamStatus, set_desired_state, stream_status
from tests.support.airflow import DagTest
from tests.support.spark import running_spark, with_spark_ports
from tests.support.waiting import wait_until

TIMEOUT_SECONDS = 240


@pytest.mark.timeout(1200)
def test_all_dags_work_together(database: Settings, start_dag: Callable[..., DagTest]) -> None:
    settings = with_spark_ports(database)
    ops = settings.dsn("ops")
    with running_spark(settings):
        stream = start_dag(settings, "stream_events")
        # The gate of the feed waits, here without a triggerer, until the stream that starts beside it is alive.
        feed = start_dag(settings, "generate_events", {"duration_seconds": 4, "rows_per_file": 100, "seed": 5})

        log = feed.succeed(seconds=TIMEOUT_SECONDS)
        assert "Waiting: the stream has never run" in log
        assert re.search(r"Delivered .*'files': 4, 'rows': 400", log)
        _wait_for_manifests(settings)

        first = stream_status(ops)
        _kill_driver(settings)
        runs = [start_dag(settings, dag_id) for dag_id in ("refresh_views", "maintain_partitions")]
        refresh_log, maintenance_log = (run.succeed(seconds=TIMEOUT_SECONDS) for run in runs)
        assert re.search(r"mart_daily_kpis: [1-9]\d* rows published in", refresh_log)
        assert "Every view is up to date." in refresh_log
        assert "partitions created in advance" in maintenance_log
        quality_log = start_dag(settings, "check_quality").succeed(seconds=TIMEOUT_SECONDS)
        assert re.search(r"events \(shop.events\): \d+ checks in .* 0 critical failures", quality_log)

        second = _successor_of(first, ops)
        # The worker has restarted it under the same id, and the task continues to watch it.
        assert second.driver_id == first.driver_id
        assert _alerts(ops) == []

        assert second.driver_id is not None
        rest_port = json.dumps({"rest-port": settings.ports["spark-rest"]})
        spark = Connection(conn_id="spark", conn_type="spark", host="127.0.0.1", extra=rest_port)
        cluster_of(spark, settings).kill(second.driver_id)
        third = _successor_of(second, ops)
        assert third.driver_id != second.driver_id
        _check_failed_try(stream, second, ops)
        set_desired_state(ops, "drain")
        log = stream.succeed(seconds=60)
        assert "The stream ended as requested." in log
        assert re.search(
            r"Epoch \d+ \(continuous\).*: \d+ batches, [\d,]+ rows accepted, .* lag \d+\.\d\d s; backlog", log
        )
        assert _links(stream) == {"_link_SparkUiLink", "_link_DriverLogLink"}


def _wait_for_manifests(settings: Settings) -> None:
    """Wait until PostgreSQL has as many rows as the manifests list."""
    manifests = [read_manifest(path) for path in settings.manifest_dir.iterdir()]
    expected = (sum(manifest.valid for manifest in manifests), sum(manifest.duplicates for manifest in manifests))

    def loaded_rows() -> tuple[int, int]:
        with transaction(settings.dsn("ops")) as cursor:
            cursor.execute("SELECT coalesce(sum(accepted), 0), coalesce(sum(duplicate), 0) FROM shop.files")
            return cursor.fetchone()

    wait_until(lambda: loaded_rows() == expected, seconds=30, what=f"{expected} accepted and duplicate rows")


def _kill_driver(settings: Settings) -> None:
    with transaction(settings.dsn("ops")) as cursor:
        cursor.execute("SELECT pid FROM shop.runs ORDER BY epoch DESC LIMIT 1")
        os.kill(cursor.fetchone()[0], signal.SIGKILL)


def _successor_of(run: StreamStatus, ops: str) -> StreamStatus:
    wait_until(
        lambda: stream_status(ops).epoch != run.epoch,
        seconds=TIMEOUT_SECONDS,
        what=f"a successor of epoch {run.epoch}",
    )
    return stream_status(ops)


def _check_failed_try(stream: DagTest, run: StreamStatus, ops: str) -> None:
    assert "The stream's driver ended as KILLED." in stream.log
    assert f"Last lines of stdout of {run.driver_id}" in stream.log
    assert _alerts(ops) == [
        ("warning", "stream_events.run_stream", "run_stream failed: The stream's driver ended as KILLED.")
    ]


def _alerts(ops: str) -> list[tuple[str, str, str]]:
    with transaction(ops) as cursor:
        cursor.execute("SELECT severity, source, title FROM shop.alerts")
        return list(cursor.fetchall())


def _links(run: DagTest) -> set[str]:
    with sqlite3.connect(run.metadata) as connection:
        return {
            key for (key,) in connection.execute("SELECT key FROM xcom WHERE key LIKE '_link_%' AND value != '\"\"'")
        }
