"""What the Spark master says of itself."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from include.settings import Settings


def alive_workers(settings: Settings) -> int:
    """The workers that the master can use; 0 while it does not answer or is still recovering."""
    return _alive_workers(settings) or 0


def has_lost_its_workers(settings: Settings) -> bool:
    """Whether the master is ready and knows no worker.

    A worker that registers while its master begins to recover can be forgotten: it goes on as if it were known, and the
    master ignores it (seen with Spark 4.2 after both had been killed).
    """
    return _alive_workers(settings) == 0


def _alive_workers(settings: Settings) -> int | None:
    url = f"http://127.0.0.1:{settings.ports['spark-master-ui']}/json/"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as answer:
            state: dict[str, Any] = json.load(answer)
    except (OSError, ValueError):
        return None
    return int(state["aliveworkers"]) if state["status"] == "ALIVE" else None
