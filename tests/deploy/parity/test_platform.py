"""Start on this machine what `make docker-up` would start: it works, and is as restricted as compose.yaml says."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator

import psutil
import pytest

from tests.deploy.parity.conftest import TIMEOUT_SECONDS, Deployment, deployment
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(1800)

SERVICES = [
    *("postgres", "prepare", "spark-master", "spark-worker", "api-server", "scheduler", "dag-processor", "triggerer"),
    *("watchdog", "metrics", "prometheus"),
]
DAG = "generate_events"


@pytest.fixture(scope="module")
def platform() -> Iterator[Deployment]:
    with deployment(SERVICES, scale={"spark-worker": 2}) as running:
        yield running


def test_events_reach_a_view(platform: Deployment) -> None:
    """Follow events from the generator to a view.

    The DAGs start unpaused, the stream's driver starts on a worker, and the generator's files arrive there.
    """
    wait_until(lambda: platform.api.dags().get(DAG) is False, seconds=TIMEOUT_SECONDS, what="the DAGs to be active")
    wait_until(
        lambda: platform.query("SELECT count(*) FROM shop.runs WHERE ended_at IS NULL")[0][0] == 1,
        seconds=TIMEOUT_SECONDS,
        what="the stream",
    )
    platform.api.trigger(DAG, {"duration_seconds": 20}, "a test")
    wait_until(
        lambda: platform.query("SELECT count(*) FROM shop.events")[0][0] > 500,
        seconds=TIMEOUT_SECONDS,
        what="events in Postgres",
    )
    platform.api.trigger("refresh_views", {}, "a test")
    wait_until(
        lambda: platform.query("SELECT count(*) FROM shop.mart_revenue_hourly")[0][0] > 0,
        seconds=TIMEOUT_SECONDS,
        what="a view",
    )


def test_the_driver_runs_on_one_of_two_workers(platform: Deployment) -> None:
    master = platform.engine.containers["spark-master"].address
    with urllib.request.urlopen(f"http://{master}:8083/json/") as answer:
        state = json.load(answer)
    assert state["aliveworkers"] == 2
    assert {one["host"] for one in state["workers"]} == {"spark-worker-1", "spark-worker-2"}
    assert [one["state"] for one in state["activedrivers"]] == ["RUNNING"]


def test_every_connection_over_the_network_is_encrypted(platform: Deployment) -> None:
    statement = (
        "SELECT usename, ssl, version FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE client_addr IS NOT NULL"
    )
    # Only a superuser sees the sessions of other roles.
    sessions = platform.query(statement, user="postgres")
    assert {user for user, _, _ in sessions} >= {"shop_airflow", "shop_ingest"}
    assert {(ssl, version) for _, ssl, version in sessions} == {(True, "TLSv1.3")}


def test_no_process_has_a_secret_in_its_environment_or_arguments(platform: Deployment) -> None:
    words = {
        word
        for path in platform.secrets.iterdir()
        for line in path.read_text().splitlines()
        for word in (line, line.rpartition(":")[2])
    }
    seen = 0
    for container in platform.engine.containers.values():
        if container.first is None:
            continue
        for process in [container.first, *container.first.children(recursive=True)]:
            try:
                text = " ".join([*process.cmdline(), *process.environ().values()])
            except psutil.Error:
                continue
            seen += 1
            assert not [word for word in words if word in text], f"{container.name}: {process.cmdline()}"
    assert seen > 20


def test_containers_are_unprivileged_and_read_only(platform: Deployment) -> None:
    for name, container in platform.engine.containers.items():
        if container.first is None:
            continue
        assert container.first.uids().real not in {0, None}, name
        assert container.first.uids().real == container.first.uids().effective
        written = platform.engine.execute(name, "touch", "/usr/written")
        assert "Read-only file system" in written.stderr, name
        capabilities = platform.engine.execute(name, "grep", "CapBnd", "/proc/self/status").stdout.split()
        assert capabilities == ["CapBnd:", "0000000000000000"], name


@pytest.mark.parametrize(
    ("one", "other", "port", "is_open"),
    [
        ("scheduler", "postgres", 5432, True),
        ("spark-worker-1", "postgres", 5432, True),
        ("spark-worker-1", "api-server", 8080, False),
        ("dag-processor", "spark-master", 8081, False),
        ("prometheus", "metrics", 8087, True),
        ("prometheus", "api-server", 8080, True),
    ],
)
def test_networks_separate(platform: Deployment, one: str, other: str, port: int, is_open: bool) -> None:
    reached = platform.engine.execute(one, "timeout", "5", "bash", "-c", f"exec 3<>/dev/tcp/{other}/{port}")
    assert (reached.returncode == 0) == is_open, reached.stderr


def test_prometheus_scrapes_the_platform(platform: Deployment) -> None:
    address = platform.engine.containers["prometheus"].addresses["front"]

    def health() -> dict[str, str]:
        with urllib.request.urlopen(f"http://{address}:9090/api/v1/targets") as answer:
            targets = json.load(answer)["data"]["activeTargets"]
        return {one["labels"]["job"]: one["health"] for one in targets}

    # The engine's name server, by which Prometheus finds the workers, does not exist here.
    expected = dict.fromkeys(("shopstream", "spark-master", "prometheus"), "up")
    wait_until(lambda: health() == expected, seconds=60, what=f"the targets, now {health()}")


def test_the_worker_serves_metrics_for_prometheus(platform: Deployment) -> None:
    worker = platform.engine.containers["spark-worker-1"].address
    with urllib.request.urlopen(f"http://{worker}:8085/metrics/prometheus/") as answer:
        assert b"metrics_worker_coresFree_Value" in answer.read()


def test_postgres_comes_back_with_its_data_and_its_authority(platform: Deployment) -> None:
    before = platform.query("SELECT count(*) FROM shop.events")[0][0]
    certificate = (platform.engine.directory / "volumes/ca/ca.crt").read_text()
    assert platform.engine.stop("postgres") == 0
    platform.engine.restart("postgres")
    platform.engine.wait_healthy("postgres", 60)
    assert platform.query("SELECT count(*) FROM shop.events")[0][0] >= before
    assert (platform.engine.directory / "volumes/ca/ca.crt").read_text() == certificate
    platform.deliver()
    wait_until(
        lambda: platform.query("SELECT count(*) FROM shop.events")[0][0] > before,
        seconds=TIMEOUT_SECONDS,
        what="events after the restart of PostgreSQL",
    )


def test_the_stream_survives_the_loss_of_a_worker(platform: Deployment) -> None:
    def driver_host() -> str | None:
        master = platform.engine.containers["spark-master"].address
        with urllib.request.urlopen(f"http://{master}:8083/json/") as answer:
            state = json.load(answer)
        hosts = {one["id"]: one["host"] for one in state["workers"]}
        running = [one for one in state["activedrivers"] if one["state"] == "RUNNING"]
        return hosts.get(running[0]["worker"]) if running else None

    lost = driver_host()
    assert lost is not None
    (epoch,) = platform.query("SELECT max(epoch) FROM shop.runs")[0]
    platform.engine.containers[lost].kill()
    wait_until(
        lambda: driver_host() not in {None, lost}, seconds=TIMEOUT_SECONDS, what="the driver on the other worker"
    )
    wait_until(
        lambda: platform.query("SELECT max(epoch) FROM shop.runs")[0][0] > epoch,
        seconds=TIMEOUT_SECONDS,
        what="the next epoch",
    )
    stored = platform.query("SELECT count(*) FROM shop.events")[0][0]
    platform.deliver()
    wait_until(
        lambda: platform.query("SELECT count(*) FROM shop.events")[0][0] > stored,
        seconds=TIMEOUT_SECONDS,
        what="events by the other worker",
    )
