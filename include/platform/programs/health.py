"""Check whether a container's program works, not only runs: ``python -m include.platform.programs.health NAME``.

The container engine calls this check; exit status 0 means healthy. Engines show an unhealthy container but do not
restart it. Therefore a container that has been unhealthy for ``--end-after`` seconds is asked to stop and half a minute
later killed, and its restart policy starts it again. On a laptop the watchdog does the same. The limit is in seconds
and not in failed checks because engines check more often while a container starts.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from include.platform.instance.environment import airflow_environment
from include.platform.programs.catalog import own_host
from include.platform.services.airflow_api import AirflowApi
from include.platform.services.spark import known_hosts
from include.settings import Settings

_FIRST_PROCESS = 1
# Time from SIGTERM to SIGKILL.
_GRACE_SECONDS = 30.0
# In kill(2), -1 means every process except the first and the caller. The first one, an init, exits once the others are
# gone.
_ALL_OTHERS = -1
_TIMEOUT_SECONDS = 5.0
# The ping imports all of Airflow first.
_PING_SECONDS = 40.0
# A round of the watchdog may wait for servers that do not answer.
_SILENCE_SECONDS = 120.0


def heartbeat_file(settings: Settings) -> Path:
    """Return the heartbeat file, which the watchdog touches every second or so while it works."""
    return settings.root / "watchdog.heartbeat"


def _component(name: str) -> Callable[[Settings], bool]:
    def is_healthy(settings: Settings) -> bool:
        unhealthy = AirflowApi(settings, timeout_seconds=_TIMEOUT_SECONDS).unhealthy()
        # Without the API server or the database its health is unknown, and a restart would not help.
        return not {"api-server", "metadatabase"}.isdisjoint(unhealthy) or name not in unhealthy

    return is_healthy


def _api_server(settings: Settings) -> bool:
    unhealthy = AirflowApi(settings, timeout_seconds=_TIMEOUT_SECONDS).unhealthy()
    return {"api-server", "metadatabase"}.isdisjoint(unhealthy)


def _spark_worker(settings: Settings) -> bool:
    hosts = known_hosts(settings)
    # An unreachable master is no evidence against the worker.
    return hosts is None or own_host(settings) in hosts


def _metrics(settings: Settings) -> bool:
    url = f"http://{own_host(settings)}:{settings.ports['metrics']}/metrics"
    # The metrics are served on this host, which no proxy of the environment can reach.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=_TIMEOUT_SECONDS) as answer:
        return bool(answer.status == 200)


def _celery_worker(settings: Settings) -> bool:
    application = "airflow.providers.celery.executors.celery_executor.app"
    command = [sys.executable, "-m", "celery", "--app", application, "inspect", "ping", "--timeout", "5"]
    command += ["--destination", f"celery@{socket.gethostname()}"]
    done = subprocess.run(command, env=airflow_environment(settings), capture_output=True, timeout=_PING_SECONDS)
    return done.returncode == 0


def _watchdog(settings: Settings) -> bool:
    return time.time() - heartbeat_file(settings).stat().st_mtime < _SILENCE_SECONDS


CHECKS: dict[str, Callable[[Settings], bool]] = {
    "api-server": _api_server,
    "scheduler": _component("scheduler"),
    "dag-processor": _component("dag_processor"),
    "triggerer": _component("triggerer"),
    "spark-master": lambda settings: known_hosts(settings) is not None,
    "spark-worker": _spark_worker,
    "metrics": _metrics,
    "celery-worker": _celery_worker,
    "watchdog": _watchdog,
}


def is_healthy(settings: Settings, name: str) -> bool:
    """Return whether the program works; a check that fails to run counts as unhealthy."""
    try:
        return CHECKS[name](settings)
    except (OSError, subprocess.TimeoutExpired):
        return False


def unhealthy_seconds(name: str, healthy: bool, directory: Path) -> float:
    """Return for how many seconds every check has failed; ``directory`` must not outlive the container's processes."""
    since = directory / f"unhealthy-{name}"
    if healthy:
        since.unlink(missing_ok=True)
        return 0.0
    if not since.exists():
        since.touch()
    return time.time() - since.stat().st_mtime


def main(argv: list[str] | None = None) -> int:
    """Check once and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m include.platform.programs.health", description=__doc__)
    parser.add_argument("name", choices=sorted(CHECKS))
    parser.add_argument("--end-after", type=float, metavar="SECONDS", help="stop the container after that time")
    arguments = parser.parse_args(argv)
    healthy = is_healthy(Settings.from_env(), arguments.name)
    seconds = unhealthy_seconds(arguments.name, healthy, Path(tempfile.gettempdir()))
    print(f"{arguments.name}: {'healthy' if healthy else f'unhealthy for {seconds:.0f} s'}")
    if arguments.end_after and seconds >= arguments.end_after + _GRACE_SECONDS:
        os.kill(_ALL_OTHERS, signal.SIGKILL)
    elif arguments.end_after and seconds >= arguments.end_after:
        os.kill(_FIRST_PROCESS, signal.SIGTERM)
    return 0 if healthy else 1


if __name__ == "__main__":
    sys.exit(main())
