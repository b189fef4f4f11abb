"""Test the profile celery: tasks run on a Celery worker, through a Redis with a password."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.parity.conftest import TIMEOUT_SECONDS, Deployment, deployment
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(1800)

SERVICES = ["postgres", "prepare", "redis", "api-server", "scheduler", "dag-processor", "celery-worker"]
DAG = "maintain_partitions"


@pytest.fixture(scope="module")
def platform() -> Iterator[Deployment]:
    knobs = {"EXECUTOR": "CeleryExecutor", "COMPOSE_PROFILES": "celery", "PARALLELISM": "2"}
    with deployment(SERVICES, knobs) as running:
        yield running


def test_a_task_runs_on_the_worker(platform: Deployment) -> None:
    wait_until(lambda: platform.api.dags().get(DAG) is False, seconds=TIMEOUT_SECONDS, what="the DAGs to be active")
    platform.api.trigger(DAG, {}, "a test")
    logs = platform.engine.directory / "volumes" / "airflow" / "logs" / "tasks" / f"dag_id={DAG}"
    wait_until(lambda: list(logs.rglob("*.log")), seconds=TIMEOUT_SECONDS, what="the log of a task")
    wait_until(lambda: not platform.api.active_runs(DAG), seconds=TIMEOUT_SECONDS, what="the end of the run")
    worker = platform.engine.containers["celery-worker"].log
    assert "succeeded" in worker.read_text()


def test_redis_requires_its_password(platform: Deployment) -> None:
    refused = platform.engine.execute("redis", "redis-cli", "ping")
    assert "NOAUTH" in refused.stdout + refused.stderr


def test_other_networks_cannot_reach_the_broker(platform: Deployment) -> None:
    reached = platform.engine.execute("postgres", "timeout", "5", "bash", "-c", "exec 3<>/dev/tcp/redis/6379")
    assert reached.returncode != 0


def test_the_broker_password_is_not_in_arguments_or_environment(platform: Deployment) -> None:
    password = Path(platform.secrets / "redis-password").read_text().strip()
    first = platform.engine.containers["redis"].first
    assert first is not None
    assert password not in " ".join([*first.cmdline(), *first.environ().values()])
