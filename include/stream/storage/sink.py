"""The batch transaction, which stores ledger, events, rejects, rollups and the balance of every file, all or nothing.

Postgres alone makes it exactly-once. The writer epoch fences older drivers. A slice of a file is loaded only while the
file's row in ``shop.files`` is ``admitted`` and says that this slice is the next. The primary key of ``shop.events``
rules out a second event with the same id.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta

import pyarrow as pa

from include.db import connect, load_queries, transaction
from include.db.reconnecting import ReconnectingConnection
from include.stream.intake.arrivals import has_arrivals
from include.stream.intake.landing import Landing
from include.stream.intake.put_away import put_away_files
from include.stream.storage.load import BatchLoad, BatchResult, Stopwatch
from include.stream.storage.prefetch import prefetch
from include.stream.storage.prepare import Preparer
from include.stream.supervision.epoch import hold_epoch

_SQL = load_queries("sink")
_log = logging.getLogger(__name__)


@dataclass
class BatchSink:
    """Write the micro-batches of one driver.

    Parameters
    ----------
    dsn:
        Connection of the role ingest.
    landing:
        The folders, from which rejected rows are fetched and loaded files are archived.
    query, epoch:
        The query and the epoch that this driver holds.
    """

    dsn: str
    landing: Landing
    query: str
    epoch: int
    _known_days: set[int] = field(default_factory=set)
    _timed_batch_id: int | None = None

    def __post_init__(self) -> None:
        self._connection = ReconnectingConnection(self.dsn)
        # Runs lookups while the other connection is copying.
        self._reader = ReconnectingConnection(self.dsn, autocommit=True)

    def write(self, parts: Iterable[pa.Table], *, spark_batch_id: int) -> BatchResult | None:
        """Store one batch, each slice as it arrives, so that the next ones can be read meanwhile.

        Parameters
        ----------
        parts:
            Tables with VALIDATED_SCHEMA, in the order of file and line. Each holds whole files, or whole slices of
            files, each with its footer.
        spark_batch_id:
            Spark's number of the batch. It counts from 0 in each run, so it is unique only with the epoch.

        Returns
        -------
        BatchResult or None
            None when everything in the batch was loaded before: a replay, which changes nothing.

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
                    with prefetch(map(preparer.prepare, parts)) as prepared:
                        for part in watch.waiting("wait", prepared):
                            load.add(part)
                result = load.close()
            if result is None:
                connection.rollback()
                _log.info("batch %s stores nothing: no file was waiting, or all were loaded before", spark_batch_id)
                return None
            connection.commit()
        except Exception:
            # The state of the connection is unknown, and retention may have dropped a partition meanwhile, so the next
            # attempt starts with new connections and no known partitions.
            self.close()
            self._known_days.clear()
            raise
        with connection, connection.cursor() as cursor:
            # After a crash here, recover() does this.
            put_away_files(cursor, self.landing, self.epoch, load.footers.keys())
        return result

    def record_durations(self, spark_batch_id: int, durations_ms: dict[str, float]) -> None:
        """Add the durations that Spark measured to the ledger row of a batch; another thread may be writing meanwhile.

        Spark reports the newest batch again until the next one comes; that is recorded only once.
        """
        if spark_batch_id == self._timed_batch_id:
            return
        with transaction(self.dsn) as cursor:
            cursor.execute(
                _SQL["record_durations"],
                {
                    "epoch": self.epoch,
                    "spark_batch_id": spark_batch_id,
                    "durations": json.dumps(durations_ms),
                },
            )
        self._timed_batch_id = spark_batch_id

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()
        self._reader.close()

    def _ensure_partitions(self, days: set[int]) -> None:
        """Create missing partitions in a separate transaction, so that their lock is not held as long as the batch."""
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
    """Return whether nothing waits, neither complete in the landing folder nor admitted: the end of a drain."""
    if has_arrivals(landing):
        return False
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["any_admitted"])
        return cursor.fetchone() is None
