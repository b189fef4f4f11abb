"""What the Spark master says of itself."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from include.settings import Settings


def alive_workers(settings: Settings) -> int:
    """The workers that the master can use; 0 while it does not answer or is still recovering."""
    url = f"http://127.0.0.1:{settings.ports['spark-master-ui']}/json/"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as answer:
            state: dict[str, Any] = json.load(answer)
    except (OSError, ValueError):
        return 0
    return int(state["aliveworkers"]) if state["status"] == "ALIVE" else 0
