"""Call Airflow's REST API as the administrator, as far as the lifecycle commands need it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from include.errors import PlatformError
from include.platform.instance.secrets import ADMIN, admin_password, admin_password_file
from include.settings import Settings

COMPONENTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")


class AirflowApi:
    """A session with the API server of one instance; the first call that needs it logs in."""

    def __init__(self, settings: Settings, *, timeout_seconds: float = 10.0) -> None:
        self._settings = settings
        self._base = settings.airflow_url
        self._timeout = timeout_seconds
        self._token: str | None = None

    def unhealthy(self) -> list[str]:
        """Return the unhealthy components, or ``["api-server"]`` while the API server does not answer."""
        try:
            health = self._send("GET", "/api/v2/monitor/health", None, {})
        except (OSError, ValueError):
            return ["api-server"]
        return [name for name in COMPONENTS if (health.get(name) or {}).get("status") != "healthy"]

    def dags(self) -> dict[str, bool]:
        """Return whether each DAG is paused, by its id."""
        found = self._call("GET", "/api/v2/dags?limit=100&exclude_stale=true")["dags"]
        return {dag["dag_id"]: dag["is_paused"] for dag in found}

    def import_errors(self) -> dict[str, str]:
        """Return the traceback of every DAG file that cannot be imported, by file."""
        found = self._call("GET", "/api/v2/importErrors?limit=100")["import_errors"]
        return {one["filename"]: one["stack_trace"] for one in found}

    def task_ids(self, dag_id: str) -> list[str]:
        """Return the ids of a DAG's tasks."""
        return [task["task_id"] for task in self._call("GET", f"/api/v2/dags/{dag_id}/tasks")["tasks"]]

    def set_paused(self, dag_id: str, is_paused: bool) -> None:
        """Pause or unpause a DAG."""
        self._call("PATCH", f"/api/v2/dags/{dag_id}?update_mask=is_paused", {"is_paused": is_paused})

    def trigger(self, dag_id: str, conf: dict[str, Any], note: str) -> str:
        """Start a run with the params ``conf`` and return its id."""
        # Set a logical date: runs without one are missing from some pages of the UI.
        now = datetime.now(UTC).isoformat()
        body = {"logical_date": now, "conf": conf, "note": note}
        return str(self._call("POST", f"/api/v2/dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def is_due(self, dag_id: str) -> bool:
        """Return whether the scheduler is about to start a run: the time of the next run has come."""
        due_at = self._call("GET", f"/api/v2/dags/{dag_id}")["next_dagrun_run_after"]
        return due_at is not None and datetime.fromisoformat(due_at) <= datetime.now(UTC)

    def active_runs(self, dag_id: str) -> list[str]:
        """Return the ids of the queued and running runs."""
        path = f"/api/v2/dags/{dag_id}/dagRuns?state=queued&state=running&limit=100"
        return [run["dag_run_id"] for run in self._call("GET", path)["dag_runs"]]

    def task_pids(self, dag_id: str, run_id: str) -> list[int]:
        """Return the process ids of the run's running tasks."""
        return [task["pid"] for task in self.tasks(dag_id, run_id) if task["state"] == "running"]

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the task instances of a run, as the API describes them."""
        answer = self._call("GET", _run_path(dag_id, run_id) + "/taskInstances?limit=100")
        found: list[dict[str, Any]] = answer["task_instances"]
        return found

    def failed_tasks(self, since: datetime) -> list[dict[str, Any]]:
        """Return the task instances that finally failed since then, as the API describes them."""
        path = f"/api/v2/dags/~/dagRuns/~/taskInstances?state=failed&end_date_gte={quote(since.isoformat())}&limit=100"
        found: list[dict[str, Any]] = self._call("GET", path)["task_instances"]
        return found

    def connections(self, prefix: str) -> list[dict[str, Any]]:
        """Return the Connections whose ids begin with ``prefix``, without their secrets."""
        path = f"/api/v2/connections?connection_id_prefix_pattern={quote(prefix)}&order_by=connection_id&limit=100"
        found: list[dict[str, Any]] = self._call("GET", path)["connections"]
        return found

    def end_run(self, dag_id: str, run_id: str, note: str) -> None:
        """Mark a run as success, which ends its tasks, and record the reason in its note."""
        self._call("PATCH", _run_path(dag_id, run_id), {"state": "success", "note": note})

    def delete_runs(self, ended_before: datetime) -> int:
        """Delete the runs of all DAGs that ended before then, with all their records.

        Returns
        -------
        int
            The number of deleted runs.

        Raises
        ------
        PlatformError
            When Airflow does not delete one of them; earlier deletions remain in effect.
        """
        limit = quote(ended_before.isoformat(), safe="")
        path = f"/api/v2/dags/~/dagRuns?state=success&state=failed&end_date_lt={limit}&order_by=id&limit=100"
        deleted = 0
        while runs := self._call("GET", path)["dag_runs"]:
            entities = [{name: run[name] for name in ("dag_id", "dag_run_id")} for run in runs]
            action = {"action": "delete", "entities": entities, "action_on_non_existence": "skip"}
            answer = self._call("PATCH", "/api/v2/dags/~/dagRuns", {"actions": [action]})["delete"]
            if answer["errors"]:
                raise PlatformError(f"Airflow did not delete a finished run: {answer['errors'][0]['error']}")
            deleted += len(runs)
        return deleted

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        try:
            if self._token is not None:
                try:
                    return self._send(method, path, body, {"Authorization": f"Bearer {self._token}"})
                except urllib.error.HTTPError as error:
                    # A token expires after a day, but a process of the platform runs for longer.
                    if error.code != 401:
                        raise
            credentials = {"username": ADMIN, "password": admin_password(self._settings)}
            self._token = self._send("POST", "/auth/token", credentials, {})["access_token"]
            return self._send(method, path, body, {"Authorization": f"Bearer {self._token}"})
        except urllib.error.HTTPError as error:
            if error.code == 401:
                raise PlatformError(
                    f"Airflow refuses the password of {ADMIN!r} in {admin_password_file(self._settings)}",
                    "Write the password that you set in the UI into that file",
                ) from error
            detail = error.read().decode("utf-8", "replace")[:300]
            raise PlatformError(f"Airflow answered {error.code} to {method} {path}: {detail}") from error
        except OSError as error:
            raise PlatformError(
                f"Airflow's API server does not answer: {error}", "Read its log with `make logs NAME=api-server`"
            ) from error

    def _send(self, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str]) -> Any:
        request = urllib.request.Request(  # noqa: S310 - always this machine's http
            self._base + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Accept": "application/json", **headers},
        )
        # Bypass the proxy of the user's environment, which is not meant for this machine's own services.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=self._timeout) as answer:
            text = answer.read()
        return json.loads(text) if text else None


def _run_path(dag_id: str, run_id: str) -> str:
    return f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"
