"""Test how the stream's driver is launched and monitored. Whole runs are in test_whole_dags.py."""

from __future__ import annotations

import itertools
import json
import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowException

from include.airflow.connections import SPARK_CONN_ID
from include.airflow.launch import check_reachable, submit_environment
from include.airflow.spark.clusters import cluster_of
from include.airflow.spark.links import DriverLogLink
from include.airflow.spark.operators import StreamSubmitOperator, describe
from include.db import transaction
from include.errors import PlatformError
from include.platform.installation.packages import package_directory
from include.platform.programs.driver_jvm import MEMORY
from include.settings import REPOSITORY, Settings
from include.stream.supervision.epoch import Driver, take_epoch
from include.stream.supervision.status import StreamStatus
from tests.support.postgres import cut_connections, database_away
from tests.support.sockets import free_ports
from tests.support.validated import query
from tests.support.waiting import wait_until


@pytest.fixture
def operator(airflow: Settings) -> StreamSubmitOperator:
    return StreamSubmitOperator(task_id="run", job="jobs/stream_events.py", application_args=["--mode", "drain"])


def _prepare(operator: StreamSubmitOperator, settings: Settings, **extra: Any) -> None:
    spark = Connection(conn_id=SPARK_CONN_ID, conn_type="spark", host="spark://127.0.0.1", extra=json.dumps(extra))
    operator._prepare(settings, cluster_of(spark, settings))


def _command(operator: StreamSubmitOperator, settings: Settings, extra: dict[str, Any]) -> list[str]:
    _prepare(operator, settings, **extra)
    return operator._get_hook()._build_spark_submit_command(operator.application)


def test_the_job_is_submitted_to_the_cluster_with_spark_submit(
    operator: StreamSubmitOperator, airflow: Settings
) -> None:
    command = _command(operator, airflow, {})
    (jar,) = (package_directory("pyspark") / "jars").glob("spark-core_*.jar")
    master = f"spark://127.0.0.1:{airflow.ports['spark-master']}"
    assert command[:4] == ["spark-submit", "--supervise", "--master", master]
    assert command[command.index("--class") + 1] == "org.apache.spark.deploy.SparkSubmit"
    assert command[command.index("--deploy-mode") + 1] == "cluster"
    assert command[command.index("--driver-memory") + 1] == MEMORY
    assert command[command.index(jar.as_uri()) + 1 :] == [
        "--master",
        "local[*,4]",
        str(REPOSITORY / "jobs" / "stream_events.py"),
        "--mode",
        "drain",
    ]
    confs = _confs(command)
    assert confs["spark.standalone.submit.waitAppCompletion"] == "false"
    assert confs["spark.pyspark.python"] == sys.executable
    assert confs["spark.driver.host"] == confs["spark.driver.bindAddress"] == "127.0.0.1"


def test_the_connection_decides_where_the_job_runs(operator: StreamSubmitOperator, airflow: Settings) -> None:
    extra = {
        "job-master": "spark://cluster:7077",
        "driver-memory": "4g",
        "driver-python": "/opt/python",
        "driver-java-options": "-XX:+UseZGC",
        "conf": {"spark.cores.max": 8},
    }
    command = _command(operator, airflow, extra)
    confs = _confs(command)
    assert "spark://cluster:7077" in command
    assert command[command.index("--driver-memory") + 1] == "4g"
    assert confs["spark.pyspark.python"] == "/opt/python"
    assert confs["spark.driver.extraJavaOptions"].endswith(" -XX:+UseZGC")
    assert confs["spark.cores.max"] == "8"
    # Executors on other machines must reach the driver, so Spark chooses its address.
    assert "spark.driver.host" not in confs
    assert "SPARK_LOCAL_IP" not in operator._submit_env
    assert confs["spark.executorEnv.PYTHONPATH"] == str(REPOSITORY)


def _confs(command: list[str]) -> dict[str, str]:
    pairs = itertools.pairwise(command)
    return dict(value.split("=", 1) for option, value in pairs if option == "--conf")


def test_the_driver_receives_no_secret_of_airflow(airflow: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {
        "PATH": "/bin",
        "AIRFLOW__CORE__FERNET_KEY": "secret",
        "AIRFLOW_CONN_SHOP_OWNER": "secret",
        "_AIRFLOW_X": "secret",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "GITHUB_TOKEN": "secret",
        "https_proxy": "secret",
        "SHOPSTREAM_HOME": "relative",
        "SHOPSTREAM_TRIGGER_SECONDS": "1",
    }
    environment = submit_environment(variables, airflow)
    assert "secret" not in environment.values()
    assert environment["PATH"] == f"{Path(sys.executable).parent}:/bin"
    assert environment["SHOPSTREAM_TRIGGER_SECONDS"] == "1"
    # The driver has another working directory.
    assert environment["SHOPSTREAM_HOME"] == str(airflow.root)
    assert environment["SHOPSTREAM_LANDING"] == str(airflow.landing_dir)


def test_the_driver_uses_the_spark_and_addresses_of_its_own_machine(airflow: Settings) -> None:
    variables = {
        "PATH": "/bin",
        "JAVA_HOME": "/java",
        "SPARK_HOME": "/spark",
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYTHONPATH": "/a",
    }
    environment = submit_environment(
        variables, airflow, job_home="/opt/shopstream", changes={"SHOPSTREAM_HOME": "/var/lib/shopstream"}
    )
    assert {"SPARK_HOME", "SPARK_LOCAL_IP"}.isdisjoint(environment)
    # Without JAVA_HOME, Spark's launcher would use another Java, which refuses Spark's arguments.
    assert environment["JAVA_HOME"] == "/java"
    assert environment["PYTHONPATH"] == "/opt/shopstream"
    assert environment["SHOPSTREAM_HOME"] == "/var/lib/shopstream"


def test_a_master_that_is_down_is_reported_at_once(operator: StreamSubmitOperator, monkeypatch: Any) -> None:
    port, rest_port = free_ports(2)
    with pytest.raises(PlatformError, match=f"cannot be reached at 127.0.0.1, port {port}: .*make up"):
        check_reachable("127.0.0.1", port, rest_port)
    monkeypatch.setenv(
        "AIRFLOW_CONN_SPARK_CLUSTER", f'{{"conn_type": "spark", "host": "spark://127.0.0.1", "port": {port}}}'
    )
    with pytest.raises(PlatformError, match="the Spark master cannot be reached"):
        operator.execute.__wrapped__(operator, {})


def test_a_task_that_was_stopped_does_not_succeed(operator: StreamSubmitOperator) -> None:
    with pytest.raises(AirflowException, match="told to stop"):
        operator.on_kill()


class _Master(BaseHTTPRequestHandler):
    """Answer requests about drivers like the REST server of a Spark master."""

    states: ClassVar[dict[str, str]] = {}

    def do_GET(self) -> None:
        state = self.states.get(self.path.rsplit("/", 1)[1])
        body = json.dumps({"success": state is not None, "driverState": state}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@pytest.fixture
def master(airflow: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Yield the states of drivers that the Spark master reports; tests change them."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Master)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    variable = f"AIRFLOW_CONN_{SPARK_CONN_ID.upper()}"
    connection = json.loads(os.environ[variable])
    connection["extra"] = json.dumps({**json.loads(connection["extra"]), "rest-port": server.server_port})
    monkeypatch.setenv(variable, json.dumps(connection))
    monkeypatch.setattr(_Master, "states", {})
    yield _Master.states
    server.shutdown()
    server.server_close()


def test_a_relaunched_driver_is_followed_to_its_new_id(
    operator: StreamSubmitOperator, airflow: Settings, master: dict[str, str]
) -> None:
    old, new = "driver-20261124035623-0002", "driver-20261124035728-0003"
    _prepare(operator, airflow)
    operator._driver_id = old
    take_epoch(airflow.dsn("ingest"), "events", Driver("continuous", "worker", 1, None, f"/work/{old}"))
    master[old] = "RELAUNCHING"
    assert operator.get_job_status(old, {}) == "RELAUNCHING"
    assert operator._driver_id == old

    take_epoch(airflow.dsn("ingest"), "events", Driver("continuous", "worker", 2, None, f"/work/{new}"))
    # The next driver was started by a user and does not belong to the cluster.
    take_epoch(airflow.dsn("ingest"), "events", Driver("continuous", "laptop", 3, None, "/home/me"))
    for state in ("RUNNING", "FINISHED"):
        master[new] = state
        assert operator.get_job_status(old, {}) == state
    assert operator._driver_id == new


def test_a_database_outage_during_a_query_does_not_fail_the_try(
    operator: StreamSubmitOperator, airflow: Settings, master: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    driver, dsn = "driver-20261124035623-0002", airflow.dsn("ops")
    _prepare(operator, airflow)
    operator._driver_id = driver
    waiting_queries = "SELECT FROM pg_locks WHERE relation = 'shop.runs'::regclass AND NOT granted"
    with ThreadPoolExecutor(1) as threads, transaction(airflow.dsn("owner")) as cursor:
        cursor.execute("LOCK TABLE shop.runs")
        report = threads.submit(operator._report, dsn, 7, {})
        wait_until(
            lambda: query(airflow, waiting_queries) == [()], seconds=10, what="the query that waits for the lock"
        )
        cut_connections(airflow, "shop_ops")
        assert report.result(10) == 7
    # After a crash of the machine, the driver is being relaunched while PostgreSQL is still down.
    master[driver] = "RELAUNCHING"
    monkeypatch.setattr("include.airflow.spark.operators._MASTER_TIMEOUT_SECONDS", 0)
    with database_away(airflow), pytest.raises(PlatformError, match=f"gave no state of {driver}"):
        operator._status_within_timeout(driver, {})
    assert operator._status_within_timeout(driver, {}) == "RELAUNCHING"


def test_a_link_is_published_only_when_it_changes(operator: StreamSubmitOperator) -> None:
    pushed: list[tuple[str, str]] = []
    context = {"ti": SimpleNamespace(xcom_push=lambda key, value: pushed.append((key, value)))}
    for url in (None, "http://worker/1", "http://worker/1", "http://worker/2"):
        operator._publish(context, DriverLogLink(), url)
    assert pushed == [("_link_DriverLogLink", "http://worker/1"), ("_link_DriverLogLink", "http://worker/2")]
    assert DriverLogLink().get_link(operator, ti_key=None) == "http://worker/2"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"epoch": None}, "The stream is starting."),
        (
            {"heartbeat_age_seconds": 31.0},
            "Epoch 7 (continuous) sent no heartbeat for 31 s: nothing new; backlog 3 files.",
        ),
        (
            {"ended_at": datetime(2026, 3, 4, tzinfo=UTC), "mode": "drain"},
            "Epoch 7 (drain) has ended: nothing new; backlog 3 files.",
        ),
        ({}, "Epoch 7 (continuous): nothing new; backlog 3 files."),
        (
            {"batches": 4, "accepted": 1234, "duplicate": 2, "rejected": 1, "lag_seconds": 0.256},
            "Epoch 7 (continuous): 4 batches, 1,234 rows accepted, 2 duplicate, 1 rejected, lag 0.26 s; "
            "backlog 3 files.",
        ),
    ],
)
def test_the_log_reports_the_state_of_the_stream(changes: dict[str, Any], line: str) -> None:
    empty = {field.name: None for field in fields(StreamStatus)}
    status = {
        "epoch": 7,
        "mode": "continuous",
        "desired_state": "run",
        "heartbeat_age_seconds": 1.0,
        "backlog_files": 3,
    }
    assert describe(StreamStatus(**{**empty, **status, **changes})) == line
