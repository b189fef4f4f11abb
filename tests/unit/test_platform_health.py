"""Tests of the containers' health checks, and of how they end a program that stays unhealthy."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from include.platform.programs import health
from include.platform.programs.health import heartbeat_file, is_healthy, main
from include.settings import Settings
from tests.support.http import answering
from tests.support.sockets import free_ports

_AIRFLOW = "/api/v2/monitor/health"
_GOOD = {name: {"status": "healthy"} for name in ("metadatabase", "scheduler", "dag_processor", "triggerer")}


def _airflow(**changes: str) -> dict[str, tuple[int, Any]]:
    return {_AIRFLOW: (200, {**_GOOD, **{name: {"status": status} for name, status in changes.items()}})}


def _master(*hosts: str, status: str = "ALIVE") -> dict[str, tuple[int, Any]]:
    workers = [{"host": host, "state": "ALIVE"} for host in hosts]
    return {"/json/": (200, {"status": status, "workers": [*workers, {"host": "old", "state": "DEAD"}]})}


@pytest.mark.parametrize("name", ["api-server", "scheduler", "dag-processor", "triggerer"])
def test_airflow_is_healthy_when_its_api_says_so(name: str) -> None:
    with answering(_airflow()) as port:
        assert is_healthy(Settings(port=port), name)


@pytest.mark.parametrize("name", ["scheduler", "dag-processor", "triggerer"])
def test_a_component_without_a_heartbeat_is_unhealthy(name: str) -> None:
    with answering(_airflow(**{name.replace("-", "_"): "unhealthy"})) as port:
        assert not is_healthy(Settings(port=port), name)
        assert is_healthy(Settings(port=port), "api-server")


def test_only_the_api_server_is_unhealthy_without_the_database() -> None:
    with answering(_airflow(metadatabase="unhealthy", scheduler="unhealthy")) as port:
        assert is_healthy(Settings(port=port), "scheduler")
        assert not is_healthy(Settings(port=port), "api-server")
    (nobody,) = free_ports(1)
    assert is_healthy(Settings(port=nobody), "scheduler")
    assert not is_healthy(Settings(port=nobody), "api-server")


def test_a_worker_is_healthy_when_its_master_knows_it() -> None:
    with answering(_master("127.0.0.1")) as port:
        assert is_healthy(Settings(spark_master_ui_port=port), "spark-worker")
        assert is_healthy(Settings(spark_master_ui_port=port), "spark-master")
    with answering(_master("10.0.0.7")) as port:
        assert not is_healthy(Settings(spark_master_ui_port=port), "spark-worker")


def test_a_worker_stays_healthy_while_its_master_is_away() -> None:
    with answering(_master(status="RECOVERING")) as port:
        assert is_healthy(Settings(spark_master_ui_port=port), "spark-worker")
        assert not is_healthy(Settings(spark_master_ui_port=port), "spark-master")
    (nobody,) = free_ports(1)
    assert is_healthy(Settings(spark_master_ui_port=nobody), "spark-worker")


def test_the_watchdog_is_healthy_while_its_heartbeat_is_fresh(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert not is_healthy(settings, "watchdog")
    heartbeat = heartbeat_file(settings)
    heartbeat.touch()
    assert is_healthy(settings, "watchdog")
    long_ago = time.time() - 300
    os.utime(heartbeat, (long_ago, long_ago))
    assert not is_healthy(settings, "watchdog")


def test_a_program_that_stays_unhealthy_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    signals: list[tuple[int, int]] = []
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(health.os, "kill", lambda pid, number: signals.append((pid, number)))

    def look(healthy: bool, *, after_seconds: float = 0) -> int:
        since = tmp_path / "unhealthy-scheduler"
        if since.exists():
            earlier = since.stat().st_mtime - after_seconds
            os.utime(since, (earlier, earlier))
        monkeypatch.setattr(health, "is_healthy", lambda settings, name: healthy)
        return main(["scheduler", "--end-after", "180"])

    # Only the time counts, not the number of checks during the start.
    assert [look(False) for _ in range(50)] == [1] * 50
    assert look(True, after_seconds=170) == 0
    assert look(False, after_seconds=170) == 1
    assert look(False, after_seconds=170) == 1
    assert signals == []
    assert look(False, after_seconds=20) == 1
    assert signals == [(1, signal.SIGTERM)]
    assert "unhealthy for 190 s" in capsys.readouterr().out
    # The program ignored SIGTERM.
    assert look(False, after_seconds=30) == 1
    assert signals[1:] == [(-1, signal.SIGKILL)]
    assert look(True) == 0
    assert len(signals) == 2
