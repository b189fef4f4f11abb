"""The streaming query: landing source → flag → typed → one transaction a batch."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming import StreamingQuery

from include.settings import Settings
from include.stream.sink import BatchResult
from jobs.landing_source import FORMAT, LandingSource, source_options
from jobs.transforms import flag, typed

_log = logging.getLogger(__name__)


class Sink(Protocol):
    """What stores the batches of a query: see :class:`include.stream.sink.BatchSink`."""

    @property
    def query(self) -> str: ...

    @property
    def epoch(self) -> int: ...

    def write(
        self, flagged: pa.Table, *, spark_batch_id: int, durations_ms: dict[str, float]
    ) -> BatchResult | None: ...


def build_query(
    spark: SparkSession,
    settings: Settings,
    *,
    sink: Sink,
    checkpoint: Path,
    batch_lock: threading.Lock,
    on_commit: Callable[[], None] = lambda: None,
    source: type[LandingSource] = LandingSource,
) -> StreamingQuery:
    """Start the query: landing source → flag → typed → one transaction a batch.

    Parameters
    ----------
    spark, settings:
        Where it runs, and its limits.
    sink:
        What stores the batches.
    checkpoint:
        A directory of this query's own.
    batch_lock:
        Held while a batch is being written, so that a stop does not cut it in two.
    on_commit:
        Called after each batch.
    source:
        Where the files come from.
    """
    spark.dataSource.register(source)
    events = (
        spark.readStream.format(FORMAT)
        .options(
            **source_options(settings, query=sink.query, epoch=sink.epoch, tasks=spark.sparkContext.defaultParallelism)
        )
        .load()
    )

    def write(batch: DataFrame, spark_batch_id: int) -> None:
        with batch_lock:
            started = time.perf_counter()
            flagged = batch.toArrow()
            collected_ms = round(1000 * (time.perf_counter() - started), 1)
            result = sink.write(flagged, spark_batch_id=spark_batch_id, durations_ms={"collect": collected_ms})
            on_commit()
            if result is not None:
                _log.info("batch %s committed", result.batch_id, extra={"data": asdict(result)})

    return (
        typed(flag(events))
        .writeStream.queryName(sink.query)
        .foreachBatch(write)
        .option("checkpointLocation", str(checkpoint))
        .trigger(processingTime=f"{round(settings.trigger_seconds * 1000)} milliseconds")
        .start()
    )
