"""The streaming query: the landing source reads and validates, and each batch is one transaction."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming import StreamingQuery

from include.settings import Settings
from include.stream.storage.load import BatchResult
from include.stream.validation.task_results import unpack
from jobs.landing_source import FORMAT, LandingSource, source_options
from jobs.pyspark_internals import collect_by_task

_MOST_IDS = 200
_LOCK_LOOK_SECONDS = 0.1

_log = logging.getLogger(__name__)


class Sink(Protocol):
    """Stores the batches of a query: see :class:`include.stream.storage.sink.BatchSink`."""

    @property
    def query(self) -> str: ...

    @property
    def epoch(self) -> int: ...

    def write(self, parts: Iterable[pa.Table], *, spark_batch_id: int) -> BatchResult | None: ...


def build_query(
    spark: SparkSession,
    settings: Settings,
    *,
    sink: Sink,
    checkpoint: Path,
    batch_lock: threading.Lock,
    stopping: threading.Event,
    on_commit: Callable[[], None] = lambda: None,
    source: type[LandingSource] = LandingSource,
) -> StreamingQuery:
    """Start the query.

    Parameters
    ----------
    spark, settings:
        The session to run in, and the limits.
    sink:
        Stores the batches.
    checkpoint:
        A directory used only by this query.
    batch_lock:
        Held while a batch is being written, so that a stop does not interrupt it.
    stopping:
        Set before the query is stopped under the lock: a batch that has not begun by then is dropped. Its files stay
        admitted, and the next query loads them.
    on_commit:
        Called after each batch.
    source:
        The source of the files.
    """
    spark.dataSource.register(source)
    events = (
        spark.readStream.format(FORMAT)
        .options(
            **source_options(settings, query=sink.query, epoch=sink.epoch, cores=spark.sparkContext.defaultParallelism)
        )
        .load()
    )

    def write(batch: DataFrame, spark_batch_id: int) -> None:
        # Spark cannot interrupt its thread while this function waits. A plain wait for the lock would deadlock: the
        # thread that holds the lock to stop the query waits for this thread.
        while not batch_lock.acquire(timeout=_LOCK_LOOK_SECONDS):
            if stopping.is_set():
                return
        try:
            if stopping.is_set():
                return
            result = sink.write(unpack(collect_by_task(batch)), spark_batch_id=spark_batch_id)
            on_commit()
            if result is not None:
                _log.info("batch %s committed", result.batch_id, extra={"data": _ids(result, spark_batch_id)})
        finally:
            batch_lock.release()

    return (
        events.writeStream.queryName(sink.query)
        .foreachBatch(write)
        .option("checkpointLocation", str(checkpoint))
        .trigger(processingTime=f"{round(settings.trigger_seconds * 1000)} milliseconds")
        .start()
    )


def _ids(result: BatchResult, spark_batch_id: int) -> dict[str, Any]:
    """Return the log fields of a batch, with at most ``_MOST_IDS`` file ids; ``shop.files`` has all of them."""
    return {**asdict(result), "file_ids": result.file_ids[:_MOST_IDS], "spark_batch_id": spark_batch_id}
