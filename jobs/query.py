"""The streaming query: the landing source reads and judges, and each batch is one transaction."""

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
from include.stream.load import BatchResult
from include.stream.parcels import unpack
from jobs.collect import arriving
from jobs.landing_source import FORMAT, LandingSource, source_options

_MOST_IDS = 200

_log = logging.getLogger(__name__)


class Sink(Protocol):
    """What stores the batches of a query: see :class:`include.stream.sink.BatchSink`."""

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
    on_commit: Callable[[], None] = lambda: None,
    source: type[LandingSource] = LandingSource,
) -> StreamingQuery:
    """Start the query.

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
            **source_options(settings, query=sink.query, epoch=sink.epoch, cores=spark.sparkContext.defaultParallelism)
        )
        .load()
    )

    def write(batch: DataFrame, spark_batch_id: int) -> None:
        with batch_lock:
            result = sink.write(unpack(arriving(batch)), spark_batch_id=spark_batch_id)
            on_commit()
            if result is not None:
                _log.info("batch %s committed", result.batch_id, extra={"data": _ids(result, spark_batch_id)})

    return (
        events.writeStream.queryName(sink.query)
        .foreachBatch(write)
        .option("checkpointLocation", str(checkpoint))
        .trigger(processingTime=f"{round(settings.trigger_seconds * 1000)} milliseconds")
        .start()
    )


def _ids(result: BatchResult, spark_batch_id: int) -> dict[str, Any]:
    """What the log says of a batch; not the ids of a hundred thousand files, which ``shop.files`` has."""
    return {**asdict(result), "file_ids": result.file_ids[:_MOST_IDS], "spark_batch_id": spark_batch_id}
