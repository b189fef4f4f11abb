"""Ask the Spark master for its state and version."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from http import HTTPStatus
from importlib.metadata import version
from types import MappingProxyType
from typing import Any

from include.errors import PlatformError
from include.settings import PREFIX, Settings


def alive_workers(settings: Settings) -> int:
    """Return the number of workers that the master can use; 0 while it does not answer or is still recovering."""
    return _alive_workers(settings) or 0


def has_lost_its_workers(settings: Settings) -> bool:
    """Return whether the master is ready and knows no worker.

    A master can forget a worker that registers while the master begins to recover. The worker then carries on as if it
    were registered, and the master ignores it (seen with Spark 4.2 after both had been killed).
    """
    return _alive_workers(settings) == 0


def known_hosts(settings: Settings) -> set[str] | None:
    """Return the hosts of the master's alive workers; None while it does not answer or is still recovering."""
    state = _state(settings)
    return None if state is None else {one["host"] for one in state["workers"] if one["state"] == "ALIVE"}


def check_version(host: str, rest_port: int, headers: Mapping[str, str] = MappingProxyType({})) -> None:
    """Check that the master has the Spark version of the installed ``pyspark``, since others are incompatible.

    Raises
    ------
    PlatformError
        When the version differs, the master refuses the request, or it cannot be reached.
    """
    # Every answer of the REST server includes its version, even an answer about an unknown driver.
    url = f"http://{host}:{rest_port}/v1/submissions/status/none"
    try:
        answer = _get(url, headers)
    except urllib.error.HTTPError as error:
        if error.code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise PlatformError(
                f"the Spark master at {host}, REST port {rest_port}, accepts signed requests only, and not this key",
                "It belongs to another instance, or was started with an earlier key: `make down`, then `make up`",
            ) from error
        answer = json.load(error)
    except (OSError, ValueError) as error:
        raise PlatformError(
            f"the Spark master cannot be reached at {host}, REST port {rest_port}: {error}",
            f"Start it, or correct {PREFIX}SPARK_HOST and {PREFIX}SPARK_REST_PORT",
        ) from error
    theirs, ours = answer.get("serverSparkVersion"), version("pyspark")
    if theirs != ours:
        raise PlatformError(
            f"the Spark master at {host} is version {theirs}, but pyspark {ours} is installed here",
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


def _get(url: str, headers: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
    """Fetch JSON from a daemon, bypassing any configured proxy, which cannot reach it."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.addheaders = [*opener.addheaders, *headers.items()]
    with opener.open(url, timeout=5) as answer:
        found: dict[str, Any] = json.load(answer)
    return found
