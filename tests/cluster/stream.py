"""Run the stream on the cluster by its DAG, feed it, and read its state."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

from include.airflow.connections import SPARK_CONN_ID
from include.db import transaction
from include.generator.options import GeneratorOptions
from include.generator.run import generate
from include.reconcile.report import Report
from include.reconcile.run import reconcile
from include.settings import Settings
from include.stream.intake.landing import Landing
from include.stream.storage.sink import backlog_is_empty
from include.stream.supervision.status import StreamStatus, stream_status
from tests.cluster.nodes import executors_at_work
from tests.support.airflow import DagTest
from tests.support.waiting import wait_until

# One executor with one core on each machine, so that both are needed; a failed task is retried on the other.
CONFS = {
    "spark.cores.max": "2",
    "spark.executor.cores": "1",
    "spark.executor.memory": "600m",
    "spark.excludeOnFailure.enabled": "true",
    # Otherwise the driver's pages may show an ended task for ten seconds.
    "spark.ui.liveUpdate.period": "0",
}
_seeds = itertools.count(1)


def spark_connection(settings: Settings, **changes: Any) -> dict[str, str]:
    """Return the variable with the Spark connection that puts the executors on the cluster; nothing else changes."""
    extra = {
        "deploy-mode": "cluster",
        "rest-port": settings.ports["spark-rest"],
        "job-master": f"spark://127.0.0.1:{settings.ports['spark-master']}",
        "conf": CONFS,
        **changes,
    }
    connection = {"conn_type": "spark", "host": "spark://127.0.0.1", "port": settings.ports["spark-master"]}
    return {f"AIRFLOW_CONN_{SPARK_CONN_ID.upper()}": json.dumps({**connection, "extra": extra})}


def deliver(settings: Settings, *, rows: int, rows_per_file: int) -> list[str]:
    """Deliver files with manifests, with bad and duplicate rows, and return their names."""
    names: list[str] = []
    options = GeneratorOptions(
        seed=next(_seeds),
        start=datetime.now(UTC) - timedelta(minutes=10),
        events_per_second=1000.0,
        duration_seconds=rows / 1000,
        rows_per_file=rows_per_file,
        bad_share=0.01,
        duplicate_share=0.01,
        late_share=0.005,
        is_paced=False,
    )
    generate(options, settings.landing_dir, settings.manifest_dir, lambda manifest: names.append(manifest.file))
    return names


@dataclass
class ClusterStream:
    """A run of ``stream_events``."""

    settings: Settings
    dag: DagTest

    @classmethod
    def start(
        cls,
        settings: Settings,
        *,
        metadata: Path,
        home: Path,
        mode: str = "continuous",
        changes: Mapping[str, Any] = MappingProxyType({}),
    ) -> ClusterStream:
        """Start the DAG with the Connection of the cluster."""
        Landing.of(settings).make()
        variables = spark_connection(settings, **changes)
        dag = DagTest(settings, "stream_events", {"mode": mode}, metadata=metadata, home=home, variables=variables)
        return cls(settings, dag)

    def close(self) -> None:
        """End the DAG's process; the driver belongs to the cluster."""
        self.dag.stop()

    @property
    def status(self) -> StreamStatus:
        """Return its state in Postgres."""
        return stream_status(self.settings.dsn("ops"))

    def driver(self) -> tuple[int, int] | None:
        """Return process id and epoch of the newest driver."""
        rows = self.rows("SELECT pid, epoch FROM shop.runs ORDER BY epoch DESC LIMIT 1")
        return rows[0] if rows else None

    def at_work(self) -> dict[str, int]:
        """Return the running tasks of each executor by address; nothing while there is no driver to ask."""
        url = self.status.ui_url
        try:
            return executors_at_work(url) if url else {}
        except (OSError, ValueError):
            return {}

    def rows(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query, run as the owner."""
        with transaction(self.settings.dsn("owner")) as cursor:
            cursor.execute(query, parameters)
            return list(cursor.fetchall())

    def is_idle(self) -> bool:
        """Return whether it is alive and has loaded all that was delivered."""
        return self.status.is_alive and backlog_is_empty(self.settings.dsn("ingest"), Landing.of(self.settings))

    def wait_until_idle(self, *, seconds: float = 400) -> None:
        """Wait until nothing waits."""
        wait_until(self.is_idle, seconds=seconds, what=f"the stream to have loaded all:\n{self.dag.log[-3000:]}")

    def committed_at(self, name: str) -> float | None:
        """Return when a file was loaded, Unix seconds."""
        rows = self.rows(
            "SELECT extract(epoch FROM committed_at)::float8 FROM shop.files JOIN shop.batches USING (batch_id)"
            " WHERE name = %(name)s AND state = 'loaded'",
            name=name,
        )
        return rows[0][0] if rows else None

    def seconds_to_commit_after(self, since: float) -> float:
        """Deliver a file now, and return how long after ``since`` it was stored."""
        (name,) = deliver(self.settings, rows=100, rows_per_file=100)
        wait_until(lambda: self.committed_at(name), seconds=400, what="a file that came after the fault")
        return float(self.committed_at(name) or time.time()) - since

    def reconcile(self) -> Report:
        """Compare the manifests with Postgres, to the row and the cent."""
        return reconcile(
            self.settings.dsn("ops"),
            self.settings.manifest_dir,
            wait_seconds=60,
            retention_days=self.settings.retention_days,
        )
