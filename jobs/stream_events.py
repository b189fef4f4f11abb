"""Streams delivered event files into PostgreSQL: ``spark-submit jobs/stream_events.py [--mode continuous|drain]``.

Continuous mode runs until it is wished or told to stop; drain mode ends when nothing waits any more. Whatever ends it,
the next run goes on where the last committed batch ended: the state of the stream is in Postgres.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming import StreamingQuery

from include.errors import ShopstreamError
from include.settings import Settings
from include.stream.epoch import end_run, take_epoch
from include.stream.landing import Landing
from include.stream.sink import BatchSink, backlog_is_empty
from include.stream.status import QUERY_NAME, stream_status
from jobs.landing_source import FORMAT, LandingSource, source_options
from jobs.progress import log_as_json, spark_durations
from jobs.transforms import flag, typed

POLL_SECONDS = 1

_log = logging.getLogger("stream_events")


def build_session(settings: Settings) -> SparkSession:
    """The Spark session with the SQL settings that the job relies on; where it runs is the submitter's choice."""
    return (
        SparkSession.builder.appName("shopstream-stream-events")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.ansi.enabled", "true")
        # Nothing is shuffled; one partition keeps Spark from planning for more.
        .config("spark.sql.shuffle.partitions", "1")
        .config("spark.sql.adaptive.enabled", "false")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", "50000")
        # Under load a Python worker may need longer than the default 15 s to report.
        .config("spark.python.authenticate.socketTimeout", "120s")
        .config("spark.sql.streaming.numRecentProgressUpdates", "10")
        .config("spark.sql.streaming.minBatchesToRetain", "10")
        .config("spark.ui.port", str(settings.ports["spark-driver-ui"]))
        .config("spark.ui.retainedJobs", "100")
        .config("spark.ui.retainedStages", "100")
        .config("spark.sql.ui.retainedExecutions", "50")
        .config("spark.ui.showConsoleProgress", "false")
        .getOrCreate()
    )


def build_query(
    spark: SparkSession,
    settings: Settings,
    *,
    sink: BatchSink,
    checkpoint: Path,
    batch_lock: threading.Lock,
) -> StreamingQuery:
    """Start the query: landing source → flag → typed → one transaction a batch.

    ``batch_lock`` is held while a batch is being written, so that a stop does not cut it in two.
    """
    spark.dataSource.register(LandingSource)
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


def await_end(
    query: StreamingQuery, settings: Settings, sink: BatchSink, *, mode: str, told_to_stop: threading.Event
) -> None:
    """Wait until the query fails, the process is told to stop, the wish is not ``run``, or a drain has nothing left.

    Meanwhile, put Spark's durations of a batch a poll into the ledger.

    Raises
    ------
    pyspark.errors.StreamingQueryException
        When the query failed.
    """
    dsn = settings.dsn("ingest")
    while not query.awaitTermination(POLL_SECONDS):
        if told_to_stop.is_set():
            _log.info("told to stop")
            return
        measured = spark_durations(query)
        if measured is not None:
            sink.record_durations(*measured)
        wish = stream_status(dsn).wish
        if wish == "stop":
            _log.info("wished to stop")
            return
        if (mode == "drain" or wish == "drain") and backlog_is_empty(dsn, sink.landing):
            _log.info("drained")
            return


def fresh_checkpoint(root: Path, epoch: int) -> Path:
    """A checkpoint directory of this run's own; those of earlier runs are removed.

    Postgres knows which files are loaded, so a run never needs its predecessor's checkpoint: it cannot be stale,
    damaged or lost, and its logs never grow past one run.
    """
    shutil.rmtree(root, ignore_errors=True)
    checkpoint = root / str(epoch)
    checkpoint.mkdir(parents=True)
    return checkpoint


def reason_of(failure: Exception) -> str:
    """The part of an error that a person needs: Spark wraps it in stack traces and the whole query plan."""
    text = str(failure).partition("=== Streaming Query ===")[0].strip()
    _, found, traceback = text.rpartition("Traceback (most recent call last):")
    if not found:
        return text
    # The message of a Python traceback begins at its first line that is not indented.
    lines = traceback.strip("\n").splitlines()
    return "\n".join(line for line in lines if not line.startswith((" ", "\t"))).strip() or text


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stream; 0 when it ended as asked, 1 with the reason in the log and in ``shop.runs`` when not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mode", choices=["continuous", "drain"], default="continuous")
    mode = parser.parse_args(argv).mode
    log_as_json()
    try:
        settings = Settings.from_env()
        landing = Landing.of(settings)
        landing.make()
        spark = build_session(settings)
        spark.sparkContext.setLogLevel("WARN")
        epoch = take_epoch(
            settings.dsn("ingest"),
            QUERY_NAME,
            mode=mode,
            host=socket.gethostname(),
            pid=os.getpid(),
            ui_url=spark.sparkContext.uiWebUrl,
            # A Spark worker starts each driver in a directory of its own, which gets its output.
            log_path=str(Path.cwd()),
        )
    except ShopstreamError as error:
        _log.error("%s", error)
        return 1
    _log.info("epoch %s taken", epoch, extra={"data": {"epoch": epoch, "mode": mode}})
    return _run(spark, settings, landing, epoch, mode)


def _run(spark: SparkSession, settings: Settings, landing: Landing, epoch: int, mode: str) -> int:
    told_to_stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told_to_stop.set())
    signal.signal(signal.SIGINT, lambda *_: told_to_stop.set())
    dsn = settings.dsn("ingest")
    sink = BatchSink(dsn, landing, QUERY_NAME, epoch)
    batch_lock = threading.Lock()
    error: str | None = None
    try:
        checkpoint = fresh_checkpoint(settings.checkpoint_dir, epoch)
        query = build_query(spark, settings, sink=sink, checkpoint=checkpoint, batch_lock=batch_lock)
        await_end(query, settings, sink, mode=mode, told_to_stop=told_to_stop)
        with batch_lock:
            query.stop()
    except Exception as failure:
        # Not swallowed: it is written where people look, and the exit status says it too.
        _log.exception("the stream failed")
        error = reason_of(failure)
    finally:
        end_run(dsn, epoch, error)
        sink.close()
        spark.stop()
    return 0 if error is None else 1


if __name__ == "__main__":
    sys.exit(main())
