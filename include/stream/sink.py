"""The batch transaction: ledger, events, rejects, rollups and the balance of every file, all or nothing.

What makes it exactly once is in Postgres alone: the writer epoch fences older drivers, a part of a file is loaded only
while the file's row in ``shop.files`` says ``admitted`` and that this part is the next, and the primary key of
``shop.events`` rules out a second event of an id.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta

import pyarrow as pa

from include.db import connect, load_queries, transaction
from include.db.lasting import LastingConnection
from include.stream.ahead import ahead
from include.stream.arrivals import has_arrivals
from include.stream.epoch import hold_epoch
from include.stream.landing import Landing
from include.stream.load import BatchLoad, BatchResult, Stopwatch
from include.stream.prepare import Preparer
from include.stream.settle import settle_files

_SQL = load_queries("sink")
_log = logging.getLogger(__name__)


@dataclass
class BatchSink:
    """Writes the micro-batches of one driver.

    Parameters
    ----------
    dsn:
        Connection of the role ingest.
    landing:
        The folders, to fetch rejected rows and to settle files.
    query, epoch:
        The query and the epoch that this driver holds.
    """

    dsn: str
    landing: Landing
    query: str
    epoch: int
    _known_days: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._connection = LastingConnection(self.dsn)
        # Looks things up while the other one is copying.
        self._reader = LastingConnection(self.dsn, autocommit=True)

    def write(self, parts: Iterable[pa.Table], *, spark_batch_id: int) -> BatchResult | None:
        """Store one batch, each part as it comes: the next ones can be read meanwhile.

        Parameters
        ----------
        parts:
            With the schema of :func:`include.stream.judge.judge`. A part holds whole files, or whole parts of files,
            each with its footer, in the order of file and line.
        spark_batch_id:
            Spark's number of the batch; it counts from 0 in each run, whose epoch makes it unique.

        Returns
        -------
        BatchResult or None
            None when all that the batch holds was loaded before: a replay, which changes nothing.

        Raises
        ------
        FencedError
            When a newer driver has taken over; nothing was written.
        BalanceError
            When the rows of a file do not add up; nothing was written.
        """
        watch = Stopwatch()
        connection, reader = self._connection.get(), self._reader.get()
        try:
            with connection.cursor() as cursor:
                hold_epoch(cursor, self.query, self.epoch)
                load = BatchLoad(
                    cursor,
                    self.landing,
                    query=self.query,
                    epoch=self.epoch,
                    spark_batch_id=spark_batch_id,
                    ensure_partitions=self._ensure_partitions,
                    watch=watch,
                )
                with reader.cursor() as looks:
                    preparer = Preparer(looks, load.batch_id, load.ingested_at)
                    with ahead(map(preparer.prepare, parts)) as prepared:
                        for part in watch.waiting("wait", prepared):
                            load.add(part)
                result = load.close()
            if result is None:
                connection.rollback()
                _log.warning("batch %s holds only what was loaded before: nothing to do", spark_batch_id)
                return None
            connection.commit()
        except Exception:
            # The state of the connection is unknown, and a partition may have been dropped by retention meanwhile: the
            # next attempt asks anew.
            self.close()
            self._known_days.clear()
            raise
        with connection, connection.cursor() as cursor:
            # recover() does what a crash leaves undone.
            settle_files(cursor, self.landing, load.footers.keys())
        return result

    def record_durations(self, spark_batch_id: int, durations_ms: dict[str, float]) -> None:
        """Add the durations that Spark measured to the ledger row of a batch; safe beside a write in another thread."""
        with transaction(self.dsn) as cursor:
            cursor.execute(
                _SQL["record_durations"],
                {
                    "epoch": self.epoch,
                    "spark_batch_id": spark_batch_id,
                    "durations": json.dumps(durations_ms),
                },
            )

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()
        self._reader.close()

    def _ensure_partitions(self, days: set[int]) -> None:
        """Make missing partitions in a transaction of their own: their lock must not last as long as the batch."""
        missing = days - self._known_days
        if not missing:
            return
        dates = [date(1970, 1, 1) + timedelta(days=day) for day in sorted(missing)]
        side = connect(self.dsn, autocommit=True)
        try:
            with side.cursor() as cursor:
                cursor.execute(_SQL["ensure_partitions"], {"days": dates})
        finally:
            side.close()
        self._known_days |= missing


def backlog_is_empty(dsn: str, landing: Landing) -> bool:
    """Whether nothing waits, whole in the landing folder or admitted: the end of a drain."""
    if has_arrivals(landing):
        return False
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["any_admitted"])
        return cursor.fetchone() is None
