"""Check that the monitoring DAGs work: a DAG that is paused or cannot be imported fails no run and misses no deadline.

This module also resolves alerts about DAGs and tasks that no longer exist, since nothing else would resolve them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from include.alerts import Alert, sync_alerts
from include.alerts.state import open_keys, resolve_alert
from include.db import load_queries, one_row, transaction
from include.platform.services.airflow_api import AirflowApi

KEY_PREFIX = "watcher: "
WATCHERS = ("watch_stream", "evaluate_objectives", "stream_events", "refresh_views", "check_quality")
# After a start `make up` unpauses the DAGs one after the other, and a file that is being edited may be broken briefly.
GRACE = timedelta(minutes=3)
# Normally each minute is evaluated within a minute or two.
_EVALUATED_WITHIN = timedelta(minutes=10)
# The DAG processor may need some time for a file that was moved.
_GONE_FOR = timedelta(minutes=15)

_FAILED = re.compile(r"failed: (?P<dag>[^.\[]+)(\.(?P<task>[^\[]+))?")
_SQL = load_queries("objectives")


class Watchers:
    """Check the monitoring DAGs repeatedly, and raise alerts only for problems that persist.

    Parameters
    ----------
    api:
        API client that lists the DAGs.
    dsn:
        Connection of the role ops.
    clock:
        Returns the current time.
    """

    def __init__(self, api: AirflowApi, dsn: str, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._api = api
        self._dsn = dsn
        self._clock = clock
        self._since: dict[str, datetime] = {}

    def look(self) -> list[Alert]:
        """Raise and resolve alerts to match the problems that persist now, and return these alerts."""
        now = self._clock()
        dags, errors = self._api.dags(), self._api.import_errors()
        found = [*_unreadable(errors), *_missing(dags, errors), *_paused(dags), *self._not_evaluated(dags, now)]
        gone = set() if errors else self._gone(dags)
        self._since = {
            name: self._since.get(name, now) for name in (*(one.parameters()["key"] for one in found), *gone)
        }
        lasting = [one for one in found if now - self._since[one.parameters()["key"]] >= GRACE]
        sync_alerts(self._dsn, KEY_PREFIX, lasting)
        for key in gone:
            if now - self._since[key] >= _GONE_FOR:
                resolve_alert(self._dsn, key, "the DAG or the task does not exist any more")
        return lasting

    def _not_evaluated(self, dags: dict[str, bool], now: datetime) -> Iterable[Alert]:
        """Yield an alert when no objective was evaluated lately, unless evaluation is paused or work is planned."""
        if dags.get("evaluate_objectives", True):
            return
        with transaction(self._dsn) as cursor:
            cursor.execute(_SQL["newest_evaluated"])
            newest, is_planned = one_row(cursor)
        if newest is not None and not is_planned and now - newest > _EVALUATED_WITHIN:
            yield _alert(
                "objectives are evaluated",
                "No objective is evaluated",
                f"The last evaluated minute is {newest:%Y-%m-%d %H:%M} UTC; evaluate_objectives should run each "
                "minute. Look at its runs, and at the log of the scheduler (`make logs NAME=scheduler`).",
                "/dags/evaluate_objectives",
            )

    def _gone(self, dags: dict[str, bool]) -> set[str]:
        """Return the keys of open alerts about DAGs or tasks that Airflow does not know."""
        gone = set()
        tasks: dict[str, set[str]] = {}
        with transaction(self._dsn) as cursor:
            keys = open_keys(cursor, "failed: ")
        for key in keys:
            about = _FAILED.match(key)
            if about is None:
                continue
            dag_id, task_id = about["dag"], about["task"]
            if dag_id not in dags:
                gone.add(key)
            elif task_id is not None:
                if dag_id not in tasks:
                    tasks[dag_id] = set(self._api.task_ids(dag_id))
                if task_id not in tasks[dag_id]:
                    gone.add(key)
        return gone


def _unreadable(errors: dict[str, str]) -> Iterable[Alert]:
    for file, traceback in sorted(errors.items()):
        yield _alert(
            f"import {file}",
            f"{file} cannot be imported: its DAGs do not run",
            f"{traceback.strip()[-2000:]}\nCorrect the file; Airflow reads it again within a minute.",
            "/dags",
        )


def _missing(dags: dict[str, bool], errors: dict[str, str]) -> Iterable[Alert]:
    # With import errors, the alert about the file covers its missing DAGs.
    for dag_id in WATCHERS:
        if dag_id not in dags and not errors:
            yield _alert(
                dag_id,
                f"The DAG {dag_id} is missing",
                f"Airflow knows no DAG {dag_id}: is its file still in dags/, and does the DAG processor work?",
                "/dags",
            )


def _paused(dags: dict[str, bool]) -> Iterable[Alert]:
    for dag_id in WATCHERS:
        if dags.get(dag_id):
            yield _alert(
                dag_id,
                f"The DAG {dag_id} is paused",
                f"While {dag_id} is paused it monitors nothing and raises no alerts. Unpause it on its page, or "
                "acknowledge this alert if the pause is intended.",
                f"/dags/{dag_id}",
                is_critical=False,
            )


def _alert(name: str, title: str, detail: str, url: str, *, is_critical: bool = True) -> Alert:
    return Alert(
        severity="critical" if is_critical else "warning",
        source="watchdog",
        key=KEY_PREFIX + name,
        title=title,
        detail=detail,
        url=url,
    )
