"""Query PostgreSQL at each scrape, through one persistent connection with a short timeout."""

from __future__ import annotations

import logging
import select
import shutil
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg2
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.process_collector import ProcessCollector
from psycopg2.extensions import POLL_OK, POLL_READ
from psycopg2.extensions import connection as Connection

from include.db import connect, load_queries
from include.db.views import view_names
from include.errors import PlatformError
from include.metrics.families import PREFIX, SOURCES, Family
from include.metrics.ledger import Ledger
from include.objectives.catalog import objectives_of
from include.quality.required import known_suites
from include.settings import Settings
from include.stream.intake.backlog import count_landed, sees_landing
from include.stream.supervision.status import ALIVE_WITHIN_SECONDS, QUERY_NAME

# Timeout for PostgreSQL. Prometheus itself waits ten seconds for a scrape unless configured otherwise.
TIMEOUT_SECONDS = 3.0
# The endpoint never writes, so its sessions are read-only even if its role may write.
_OPTIONS = f"-c timezone=UTC -c default_transaction_read_only=on -c statement_timeout={round(1000 * TIMEOUT_SECONDS)}"

_SQL = load_queries("metrics")
_log = logging.getLogger(__name__)

Rows = dict[str, list[dict[str, Any]]]


class Exporter:
    """All metrics of an installation.

    Parameters
    ----------
    settings:
        The settings of the installation.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._dsn = settings.dsn("ops")
        self._connection: Connection | None = None
        self._lock = threading.Lock()
        self._rows: Rows = {}
        self._seconds = 0.0
        self._was_up = True
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        self._ledger = Ledger(self._registry)
        objectives = objectives_of(settings)
        self._parameters = {
            "query": QUERY_NAME,
            "alive_seconds": ALIVE_WITHIN_SECONDS,
            "views": list(view_names()),
            "suites": sorted(known_suites()),
            "objectives": [one.name for one in objectives],
            "bounds": [one.bound for one in objectives],
            "targets": [one.target for one in objectives],
        }

    def scrape(self) -> bytes:
        """Return all metrics in Prometheus' text format, without those of PostgreSQL while it does not answer."""
        with self._lock:
            start = time.perf_counter()
            try:
                self._rows = self._ask(self._read)
                self._was_up = True
            except (psycopg2.Error, PlatformError) as error:
                self._rows = {}
                # Log the start of an outage, not every failed scrape.
                if self._was_up:
                    _log.warning("PostgreSQL cannot be queried: %s", str(error).strip())
                self._was_up = False
            self._seconds = time.perf_counter() - start
            return generate_latest(self._registry)

    def readiness(self) -> dict[str, str]:
        """Return what keeps the platform from serving fresh numbers, by component; empty when it is ready."""
        with self._lock:
            try:
                desired_state, is_alive = self._ask(self._read_readiness)
            except (psycopg2.Error, PlatformError) as error:
                return {"database": str(error).strip().splitlines()[0]}
        if desired_state != "run":
            return {"stream": f"its desired state is {desired_state}"}
        return {} if is_alive else {"stream": "no driver sends a heartbeat"}

    def families(self) -> list[Metric]:
        """Return every metric without querying PostgreSQL for values."""
        return list(self._registry.collect())

    def describe(self) -> list[Metric]:
        """Return nothing, so that registering this collector does not query the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics read from PostgreSQL and those of the disks; called by the registry."""
        yield GaugeMetricFamily(
            f"{PREFIX}database_up", "Whether PostgreSQL answered this scrape: 1 or 0.", value=bool(self._rows)
        )
        yield GaugeMetricFamily(
            f"{PREFIX}scrape_seconds", "How long PostgreSQL took to answer this scrape.", value=self._seconds
        )
        yield self._free_bytes()
        for source in SOURCES:
            for family in source.families:
                yield _metric(family, source.labels, self._rows.get(source.query, []))

    def _read(self, cursor: Any) -> Rows:
        rows = {}
        for source in SOURCES:
            cursor.execute(_SQL[source.query], self._parameters)
            columns = [column.name for column in cursor.description]
            rows[source.query] = [dict(zip(columns, row, strict=True)) for row in cursor]
        rows["stream"] = [self._of_now(row) for row in rows["stream"]]
        self._ledger.advance(cursor)
        return rows

    def _of_now(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return the row with the current backlog and lag; without a driver, count the waiting files here."""
        if not row["is_up"]:
            landed = count_landed(self._settings) if sees_landing(self._settings, row["epoch"]) else None
            if landed is None:
                # The stored numbers are outdated, so report none.
                row |= {"backlog_files": None, "backlog_bytes": None}
            else:
                row |= {
                    "backlog_files": landed.files + row["admitted_files"],
                    "backlog_bytes": landed.size_bytes + row["admitted_bytes"],
                }
                if landed.oldest_at is not None:
                    age = time.time() - landed.oldest_at.timestamp()
                    row["waiting_seconds"] = max(float(row["waiting_seconds"]), age)
        if row["lag_seconds"] is not None or row["waiting_seconds"]:
            row["lag_seconds"] = max(float(row["lag_seconds"] or 0), float(row["waiting_seconds"]))
        return row

    def _read_readiness(self, cursor: Any) -> Any:
        cursor.execute(_SQL["readiness"], self._parameters)
        return cursor.fetchone()

    def _ask(self, read: Any) -> Any:
        """Read in one transaction; reconnect and retry once if the open connection was lost."""
        is_kept = self._connection is not None
        try:
            if self._connection is None:
                self._connection = connect(self._dsn, connect_timeout=round(TIMEOUT_SECONDS), options=_OPTIONS)
            with self._connection, self._connection.cursor() as cursor:
                return read(cursor)
        except (psycopg2.Error, PlatformError) as error:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            if is_kept and isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError):
                return self._ask(read)
            raise

    def _free_bytes(self) -> Metric:
        family = GaugeMetricFamily(f"{PREFIX}disk_free_bytes", "Free disk space, by directory.", labels=["directory"])
        for name, path in (("home", self._settings.root), ("landing", self._settings.landing_dir)):
            if path.exists():
                family.add_metric([name], shutil.disk_usage(path).free)
        return family


def _metric(family: Family, labels: tuple[str, ...], rows: list[dict[str, Any]]) -> Metric:
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(PREFIX + family.name, family.help, labels=labels)
    for row in rows:
        if row[family.column] is not None:
            metric.add_metric([row[label] for label in labels], float(row[family.column]))
    return metric


def wait_with_timeout(connection: Any) -> None:
    """Wait for PostgreSQL with a timeout, as a callback for ``psycopg2.extensions.set_wait_callback``.

    Without it, a server that accepts connections and then hangs would block this program.

    Raises
    ------
    psycopg2.OperationalError
        When the server does not answer in time.
    """
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while (state := connection.poll()) != POLL_OK:
        waiting = ([connection.fileno()], []) if state == POLL_READ else ([], [connection.fileno()])
        left = deadline - time.monotonic()
        if left <= 0 or not any(select.select(*waiting, [], left)):
            raise psycopg2.OperationalError(f"PostgreSQL did not answer within {TIMEOUT_SECONDS:g} s")
