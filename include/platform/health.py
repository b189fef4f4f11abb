"""Whether a program of a container works, not only runs: ``python -m include.platform.health NAME``.

The engine of the containers calls it; exit status 0 is healthy. Engines show an unhealthy container, but do not start
it again. So when it has been unhealthy for ``--end-after`` seconds the container is asked to stop, half a minute later
it is killed, and the restart policy does the rest: what the watchdog does on a laptop. Seconds, not failures: engines
look more often while a container starts.
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

from include.platform.environment import airflow_environment
from include.platform.programs import own_host
from include.platform.rest import AirflowApi
from include.platform.spark import known_hosts
from include.platform.watchdog import pulse_file
from include.settings import Settings

_FIRST_PROCESS = 1
# From being asked to being killed.
_GRACE_SECONDS = 30.0
# As kill(2) has it: every process but the first and the caller. Without them the first one, an init, ends too.
_ALL_OTHERS = -1
_TIMEOUT_SECONDS = 5.0
# It imports all of Airflow first.
_PING_SECONDS = 40.0
# A look of the watchdog waits for servers that do not answer.
_SILENCE_SECONDS = 120.0


def _component(name: str) -> Callable[[Settings], bool]:
    def is_healthy(settings: Settings) -> bool:
        unhealthy = AirflowApi(settings, timeout_seconds=_TIMEOUT_SECONDS).unhealthy()
        # Without the API server or the database nothing can be told of it, and it is not to blame.
        return not {"api-server", "metadatabase"}.isdisjoint(unhealthy) or name not in unhealthy

    return is_healthy


def _api_server(settings: Settings) -> bool:
    unhealthy = AirflowApi(settings, timeout_seconds=_TIMEOUT_SECONDS).unhealthy()
    return {"api-server", "metadatabase"}.isdisjoint(unhealthy)


def _spark_worker(settings: Settings) -> bool:
    hosts = known_hosts(settings)
    # A master that is away says nothing about the worker.
    return hosts is None or own_host(settings) in hosts


def _metrics(settings: Settings) -> bool:
    url = f"http://{own_host(settings)}:{settings.ports['metrics']}/metrics"
    with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:
        return bool(answer.status == 200)


def _celery_worker(settings: Settings) -> bool:
    application = "airflow.providers.celery.executors.celery_executor.app"
    command = [sys.executable, "-m", "celery", "--app", application, "inspect", "ping", "--timeout", "5"]
    command += ["--destination", f"celery@{socket.gethostname()}"]
    done = subprocess.run(command, env=airflow_environment(settings), capture_output=True, timeout=_PING_SECONDS)
    return done.returncode == 0


def _watchdog(settings: Settings) -> bool:
    return time.time() - pulse_file(settings).stat().st_mtime < _SILENCE_SECONDS


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
    """Whether the program works; what fails to tell counts as no."""
    try:
        return CHECKS[name](settings)
    except (OSError, subprocess.TimeoutExpired):
        return False


def unhealthy_seconds(name: str, healthy: bool, directory: Path) -> float:
    """For how long each look has failed; ``directory`` must not outlive the processes of the container."""
    since = directory / f"unhealthy-{name}"
    if healthy:
        since.unlink(missing_ok=True)
        return 0.0
    if not since.exists():
        since.touch()
    return time.time() - since.stat().st_mtime


def main(argv: list[str] | None = None) -> int:
    """Look once; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m include.platform.health", description=__doc__)
    parser.add_argument("name", choices=sorted(CHECKS))
    parser.add_argument("--end-after", type=float, metavar="SECONDS", help="stop a container that is unhealthy so long")
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
