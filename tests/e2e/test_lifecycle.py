"""Test the life of a platform through the commands that users run: up, load, reconcile, down, and up again."""

from __future__ import annotations

import csv
import gzip
import json
import os
import signal
import socket
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

from include.db import transaction
from include.platform.programs.driver_jvm import cache_path
from include.platform.services.airflow_api import AirflowApi
from include.platform.services.postgres import AIRFLOW_DATABASE
from tests.support.platform import Platform
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(900)


def count(platform: Platform, query: str) -> int:
    """Run a query as the owner, and return the single number of its result."""
    with transaction(platform.settings.dsn("owner")) as cursor:
        cursor.execute(query)
        (number,) = cursor.fetchone()
    return int(number)


def generated_file(platform: Platform, directory: Path) -> Path:
    """Return one generated file with valid, bad and duplicate rows, outside the landing folder."""
    # Because of another seed and an old start, the feed has none of these events.
    options = ["--no-pace", "--rate", "100", "--duration", "10", "--seed", "7", "--start", "2026-03-01T12:00:00Z"]
    folders = ["--landing", str(directory), "--manifests", str(directory / "manifests")]
    platform.succeed("include.generator", *options, *folders)
    (path,) = directory.glob("*.csv")
    return path


def test_the_first_up_loads_publishes_and_checks_events(platform: Platform) -> None:
    status = platform.status()
    assert {process["name"]: process["state"] for process in status["processes"]} == dict.fromkeys(
        (
            "postgres",
            "spark-master",
            "spark-worker",
            "api-server",
            "scheduler",
            "dag-processor",
            "triggerer",
            "watchdog",
            "metrics",
        ),
        "RUNNING",
    )
    assert status["stream"]["is_alive"]
    assert status["totals"]["accepted"] > 0
    assert status["totals"]["read"] == sum(status["totals"][kind] for kind in ("accepted", "duplicate", "rejected"))
    assert any(refresh["error"] is None for refresh in status["refreshes"])
    assert status["quality"]


def driver_jvm(platform: Platform) -> psutil.Process:
    """Return the JVM of the stream's driver."""
    jvm = psutil.Process(count(platform, "SELECT pid FROM shop.runs ORDER BY epoch DESC LIMIT 1")).parent()
    assert jvm is not None
    return jvm


def test_airflow_runs_at_a_lower_priority_than_the_stream(platform: Platform) -> None:
    niceness = {process["name"]: psutil.Process(process["pid"]).nice() for process in platform.status()["processes"]}
    assert {name for name, nice in niceness.items() if nice > niceness["spark-worker"]} == {
        "api-server",
        "scheduler",
        "dag-processor",
        "triggerer",
        "watchdog",
    }
    assert driver_jvm(platform).nice() == niceness["postgres"] == niceness["spark-worker"]


def test_the_driver_loads_its_classes_from_the_cache(platform: Platform) -> None:
    # Java maps the cache only if it was made for this Java, these options and this class path. The kernel lists the
    # resolved path of the file, not that of a link.
    assert str(cache_path().resolve()) in {mapped.path for mapped in driver_jvm(platform).memory_maps()}


def test_every_port_is_bound_to_loopback_only(platform: Platform) -> None:
    pids = set(platform.pids())
    addresses = {
        connection.laddr.ip
        for connection in psutil.net_connections(kind="inet")
        if connection.pid in pids and connection.status == psutil.CONN_LISTEN
    }
    assert {address.removeprefix("::ffff:") for address in addresses} == {"127.0.0.1"}
    for port in (platform.settings.ports["airflow"], platform.settings.ports["spark-rest"]):
        socket.create_connection(("127.0.0.1", port), timeout=5).close()


def test_a_second_up_restarts_nothing(platform: Platform) -> None:
    before = {process["name"]: process["pid"] for process in platform.status()["processes"]}
    began = time.monotonic()
    output = platform.up()
    assert time.monotonic() - began < 30
    assert "9 processes run already" in output
    assert {process["name"]: process["pid"] for process in platform.status()["processes"]} == before


def test_the_rows_of_a_users_file_are_loaded_only_once(platform: Platform, tmp_path: Path) -> None:
    path = generated_file(platform, tmp_path)
    compressed = tmp_path / "again.csv.gz"
    compressed.write_bytes(gzip.compress(path.read_bytes()))
    with path.open(encoding="utf-8", newline="", errors="surrogateescape") as file:
        rows = sum(1 for _ in csv.reader(file)) - 1

    first = platform.succeed("include.platform", "load", str(path))
    assert f"{path.name}: {rows:,} rows read" in first
    events = count(platform, "SELECT count(*) FROM shop.events WHERE event_time < '2026-04-01'")
    assert events > rows / 2
    # The same rows come under another name, so every row that was accepted is now a duplicate.
    assert "= 0 accepted" in platform.succeed("include.platform", "load", str(compressed))
    assert count(platform, "SELECT count(*) FROM shop.events WHERE event_time < '2026-04-01'") == events


def test_a_file_without_a_header_is_quarantined_and_the_stream_continues(platform: Platform, tmp_path: Path) -> None:
    broken = tmp_path / "broken.csv"
    broken.write_text("1,2,3\n")
    completed = platform.run("include.platform", "load", str(broken))
    assert completed.returncode == 1
    assert "broken.csv is in quarantine" in completed.stdout
    assert platform.status()["stream"]["is_alive"]


def test_load_refuses_files_that_would_never_be_read(platform: Platform, tmp_path: Path) -> None:
    (tmp_path / "events.txt").touch()
    completed = platform.run("include.platform", "load", str(tmp_path / "events.txt"), str(tmp_path / "missing.csv"))
    assert completed.returncode == 1
    assert "events.txt is not named *.csv" in completed.stderr
    assert "missing.csv is not a file" in completed.stderr


def test_manifests_and_postgres_agree(platform: Platform) -> None:
    def is_reconciled() -> bool:
        # While a file of the feed is being loaded, the two differ for a moment.
        return platform.run("include.reconcile").returncode == 0

    wait_until(is_reconciled, seconds=120, what="the manifests and PostgreSQL to agree")


def test_dsn_prints_only_the_connection_string(platform: Platform) -> None:
    output = platform.succeed("include.platform", "dsn", "--role", "analyst")
    assert output == platform.settings.dsn("analyst") + "\n"


def test_psql_runs_a_statement(platform: Platform) -> None:
    output = platform.succeed("include.platform", "psql", "--", "-Atc", "SELECT current_user")
    assert output == "shop_owner\n"


def test_a_killed_process_is_restarted(platform: Platform) -> None:
    (before,) = (process for process in platform.status()["processes"] if process["name"] == "triggerer")
    psutil.Process(before["pid"]).send_signal(signal.SIGKILL)

    def is_back() -> bool:
        (now,) = (process for process in platform.status()["processes"] if process["name"] == "triggerer")
        return now["state"] == "RUNNING" and now["pid"] != before["pid"]

    wait_until(is_back, seconds=60, what="a new triggerer")
    wait_until(lambda: not AirflowApi(platform.settings).unhealthy(), seconds=120, what="Airflow to be healthy")


def test_old_records_of_airflow_are_removed_but_not_the_running_stream(platform: Platform) -> None:
    api = AirflowApi(platform.settings)
    run_id = api.trigger("evaluate_objectives", {}, "a test of retention")
    wait_until(lambda: run_id not in api.active_runs("evaluate_objectives"), seconds=120, what="the run to end")
    (stream,) = api.active_runs("stream_events")
    with transaction(platform.settings.dsn("airflow", AIRFLOW_DATABASE)) as cursor:
        for table in ("dag_run", "task_instance"):
            cursor.execute(
                f"UPDATE {table} SET start_date = start_date - interval '400 days',"
                " end_date = end_date - interval '400 days' WHERE run_id IN %s",
                ((run_id, stream),),
            )
        cursor.execute("UPDATE log SET dttm = dttm - interval '400 days'")
        assert cursor.rowcount > 0

    assert "1 runs" in platform.succeed("include.platform.services.airflow_records")

    with transaction(platform.settings.dsn("airflow", AIRFLOW_DATABASE)) as cursor:
        for table in ("dag_run", "task_instance"):
            cursor.execute(f"SELECT DISTINCT run_id FROM {table} WHERE run_id IN %s", ((run_id, stream),))
            assert cursor.fetchall() == [(stream,)]
        cursor.execute("SELECT count(*) FROM log WHERE dttm < now() - interval '300 days'")
        assert cursor.fetchall() == [(0,)]
    assert api.active_runs("stream_events") == [stream]
    assert platform.status()["stream"]["is_alive"]


def test_the_driver_is_closed_to_other_users(platform: Platform) -> None:
    applications = f"http://127.0.0.1:{platform.settings.ports['spark-driver-ui']}/api/v1/applications"
    with urllib.request.urlopen(applications) as response:
        (application,) = json.load(response)
    with urllib.request.urlopen(f"{applications}/{application['id']}/environment") as response:
        properties = dict(json.load(response)["sparkProperties"])
    assert properties["spark.authenticate"] == "true"
    assert properties["spark.ui.killEnabled"] == "false"
    secrets = [path.read_text().strip() for path in platform.settings.secrets_dir.glob("spark-r*")]
    assert len(secrets) == 2
    assert not [name for name, value in properties.items() if any(secret in value for secret in secrets)]


def test_the_state_directory_is_closed_to_other_users(platform: Platform) -> None:
    root = platform.settings.root
    # If root runs the platform, PostgreSQL's user must be able to traverse the directory.
    assert root.stat().st_mode & 0o777 == (0o711 if os.geteuid() == 0 else 0o700)
    open_entries = [path.name for path in root.iterdir() if path.stat().st_mode & 0o077]
    assert open_entries == []


def test_clean_refuses_to_remove_a_running_platform(platform: Platform) -> None:
    completed = platform.run("include.platform", "clean", "--yes")
    assert completed.returncode == 1
    assert "Stop it with `make down` first" in completed.stderr
    assert platform.settings.root.exists()


def test_down_stops_everything_in_time_and_up_resumes_the_stream(platform: Platform) -> None:
    api = AirflowApi(platform.settings)
    api.set_paused("generate_events", True)

    began = time.monotonic()
    platform.succeed("include.platform", "down")
    assert time.monotonic() - began < 30
    assert platform.pids() == []
    down = platform.run("include.platform", "status")
    assert down.returncode == 3
    assert "is down" in down.stdout

    output = platform.up()
    assert output.count("generate_events stays paused") == 1
    status = platform.status()
    assert status["stream"]["is_alive"]
    assert status["stream"]["desired_state"] == "run"
    assert api.dags() == {**dict.fromkeys(api.dags(), False), "generate_events": True}
    api.set_paused("generate_events", False)
    doubled_events = "SELECT count(*) FROM (SELECT FROM shop.events GROUP BY event_id HAVING count(*) > 1) AS doubled"
    assert count(platform, doubled_events) == 0
