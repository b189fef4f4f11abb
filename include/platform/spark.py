"""What the Spark master says of itself."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from importlib.metadata import version
from typing import Any

from include.errors import PlatformError
from include.settings import PREFIX, Settings


def alive_workers(settings: Settings) -> int:
    """The workers that the master can use; 0 while it does not answer or is still recovering."""
    return _alive_workers(settings) or 0


def has_lost_its_workers(settings: Settings) -> bool:
    """Whether the master is ready and knows no worker.

    A worker that registers while its master begins to recover can be forgotten: it goes on as if it were known, and the
    master ignores it (seen with Spark 4.2 after both had been killed).
    """
    return _alive_workers(settings) == 0


def known_hosts(settings: Settings) -> set[str] | None:
    """The hosts of the workers that the master counts on; None while it does not answer or is still recovering."""
    state = _state(settings)
    return None if state is None else {one["host"] for one in state["workers"] if one["state"] == "ALIVE"}


def check_version(host: str, rest_port: int) -> None:
    """Refuse a master of another Spark version than the installed ``pyspark``: drivers and daemons would not agree.

    Raises
    ------
    PlatformError
        Also when the master cannot be reached.
    """
    # Every answer of the REST server names its version, one about a driver that never was, too.
    url = f"http://{host}:{rest_port}/v1/submissions/status/none"
    try:
        answer = _get(url)
    except urllib.error.HTTPError as error:
        answer = json.load(error)
    except (OSError, ValueError) as error:
        raise PlatformError(
            f"the Spark master cannot be reached at {host}, REST port {rest_port}: {error}",
            f"Start it, or correct {PREFIX}SPARK_HOST and {PREFIX}SPARK_REST_PORT",
        ) from error
    theirs, ours = answer.get("serverSparkVersion"), version("pyspark")
    if theirs != ours:
        raise PlatformError(
            f"the Spark master at {host} is version {theirs}, but here pyspark {ours} is installed",
            "Run both from the same image or the same requirements.txt",
        )


def _alive_workers(settings: Settings) -> int | None:
    state = _state(settings)
    return None if state is None else int(state["aliveworkers"])


def _state(settings: Settings) -> dict[str, Any] | None:
    try:
        state = _get(f"http://{settings.spark_host}:{settings.ports['spark-master-ui']}/json/")
    except (OSError, ValueError):
        return None
    return state if state["status"] == "ALIVE" else None


def _get(url: str) -> dict[str, Any]:
    """Ask a daemon directly: a proxy for the world outside does not know it."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=5) as answer:
        found: dict[str, Any] = json.load(answer)
    return found
