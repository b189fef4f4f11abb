"""Ask a Spark standalone cluster over HTTP about one driver: find its log, read the end of it, end the driver."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import requests

_TIMEOUT_SECONDS = 10
_TAIL_BYTES = 6000


class DriverPages:
    """Find the worker of a driver and read the driver's log there.

    The log is only informative, so whatever cannot be reached is left out without an error.

    Parameters
    ----------
    master_ui:
        Address of the master's web UI, for example ``http://127.0.0.1:8083``.
    """

    def __init__(self, master_ui: str) -> None:
        self.master_ui = master_ui.rstrip("/")

    def log_page(self, driver_id: str) -> str | None:
        """Return the address of the page that shows the driver's log."""
        worker_ui = self._worker_ui(driver_id)
        return worker_ui and f"{worker_ui}/logPage/?driverId={driver_id}&logType=stderr"

    def log_tails(self, driver_id: str) -> dict[str, str]:
        """Return the last 6000 bytes each of ``stdout`` with Python's errors and ``stderr`` with Spark's."""
        worker_ui = self._worker_ui(driver_id)
        tails = {}
        for name in ("stdout", "stderr"):
            query = {"driverId": driver_id, "logType": name, "byteLength": str(_TAIL_BYTES)}
            answer = worker_ui and _get(f"{worker_ui}/log/", query)
            if answer and answer.text.strip():
                tails[name] = answer.text.strip()
        return tails

    def _worker_ui(self, driver_id: str) -> str | None:
        answer = _get(f"{self.master_ui}/json/")
        state: dict[str, Any] = answer.json() if answer else {}
        drivers = {
            one["id"]: one["worker"] for kind in ("activedrivers", "completeddrivers") for one in state.get(kind, ())
        }
        workers = {one["id"]: one["webuiaddress"] for one in state.get("workers", ())}
        return workers.get(drivers.get(driver_id))


def kill_driver(address: str, driver_id: str, headers: Mapping[str, str] = MappingProxyType({})) -> str:
    """Ask the master to end a driver permanently; return its answer, for example that the driver is unknown.

    Parameters
    ----------
    address:
        Address of the master's REST port, for example ``http://127.0.0.1:6066``.
    driver_id:
        The master's id of the driver.
    headers:
        HTTP headers that authenticate the request.

    Raises
    ------
    requests.RequestException
        When the master does not answer.
    """
    answer = request("POST", f"{address}/v1/submissions/kill/{driver_id}", headers=headers).json()
    return str(answer["message"])


def request(
    method: str,
    url: str,
    query: dict[str, str] | None = None,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> requests.Response:
    """Send a request to a Spark daemon, bypassing any proxy, since an Internet proxy cannot reach the cluster."""
    with requests.Session() as session:
        session.trust_env = False
        answer = session.request(method, url, params=query, headers=dict(headers), timeout=_TIMEOUT_SECONDS)
    answer.raise_for_status()
    return answer


def _get(url: str, query: dict[str, str] | None = None) -> requests.Response | None:
    try:
        return request("GET", url, query)
    except requests.RequestException:
        return None
