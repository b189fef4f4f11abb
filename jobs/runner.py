"""Runs the query of one driver process, and starts it anew after each fault that the process can survive."""

from __future__ import annotations

import logging
import shutil
import threading
from pathlib import Path

import psycopg2
from pyspark.errors import StreamingQueryException
from pyspark.sql import SparkSession
from pyspark.sql.streaming import StreamingQuery

from include.errors import FencedError, PlatformError
from include.logs import bind
from include.settings import Settings
from include.stream.admission import note_failure
from include.stream.epoch import Driver, end_run, renew_epoch, take_epoch
from include.stream.landing import Landing
from include.stream.pulse import Pulse
from include.stream.sink import BatchSink, backlog_is_empty
from include.stream.status import QUERY_NAME
from jobs.progress import spark_durations
from jobs.query import build_query
from jobs.recovery import Backoff, Cause, cause_of, reason_of

POLL_SECONDS = 1

_log = logging.getLogger(__name__)


class QueryRunner:
    """The query of one driver process, started anew after each fault that it can survive."""

    def __init__(self, spark: SparkSession, settings: Settings, driver: Driver, told_to_stop: threading.Event) -> None:
        self._spark = spark
        self._settings = settings
        self._driver = driver
        self._told_to_stop = told_to_stop
        self._dsn = settings.dsn("ingest")
        self._backoff = Backoff()

    def run(self) -> None:
        """Run until the end that was asked for, or until another driver takes over.

        Raises
        ------
        StalledError
            When the query hangs, which only a new process can mend.
        """
        epoch = self._start(None, "")
        while epoch is not None:
            bind(epoch=epoch)
            _log.info("epoch %s taken", epoch, extra={"data": {"mode": self._driver.mode}})
            failure = self._run_query(epoch)
            if failure is None:
                end_run(self._dsn, epoch, None)
                return
            epoch = self._start(epoch, failure)

    def _run_query(self, epoch: int) -> str | None:
        """Run the query of one epoch; returns the text of its failure, or None when it ended as asked."""
        sink = BatchSink(self._dsn, Landing.of(self._settings), QUERY_NAME, epoch)
        batch_lock = threading.Lock()
        query: StreamingQuery | None = None
        try:
            checkpoint = fresh_checkpoint(self._settings.checkpoint_dir, epoch)
            query = build_query(
                self._spark,
                self._settings,
                sink=sink,
                checkpoint=checkpoint,
                batch_lock=batch_lock,
                on_commit=self._backoff.reset,
            )
            await_end(query, self._settings, sink, mode=self._driver.mode, told_to_stop=self._told_to_stop)
            with batch_lock:
                query.stop()
        except StreamingQueryException as failure:
            return str(failure)
        except (PlatformError, psycopg2.Error, OSError) as failure:
            _log.warning("the query is stopped: %s", failure)
            if query is not None:
                query.stop()
            return f"Traceback (most recent call last):\n{type(failure).__name__}: {failure}"
        finally:
            sink.close()
        return None

    def _start(self, epoch: int | None, failure: str) -> int | None:
        """The epoch for the next query, once Postgres gives one; None when there is to be no next query."""
        reason = reason_of(failure)
        if epoch is not None:
            cause = cause_of(failure)
            _log.error("the query failed: %s", reason, extra={"data": {"cause": cause.value}})
            if cause is Cause.FENCED:
                return None
            self._backoff.wait(self._told_to_stop)
        while not self._told_to_stop.is_set():
            try:
                if epoch is None:
                    return take_epoch(self._dsn, QUERY_NAME, self._driver)
                if cause is Cause.BATCH:
                    note_failure(self._dsn, QUERY_NAME, epoch, reason)
                    cause = Cause.SURROUNDINGS
                return renew_epoch(self._dsn, QUERY_NAME, epoch, self._driver, reason)
            except FencedError as error:
                _log.warning("%s", error)
                return None
            except (PlatformError, psycopg2.Error) as error:
                seconds = self._backoff.wait(self._told_to_stop)
                _log.warning("waited %.1f s for Postgres: %s", seconds, str(error).strip())
        return None


def await_end(
    query: StreamingQuery,
    settings: Settings,
    sink: BatchSink,
    *,
    mode: str,
    told_to_stop: threading.Event,
) -> None:
    """Wait until the query fails, the process is told to stop, the wish is not ``run``, or a drain has nothing left.

    Meanwhile, beat, and put Spark's durations of a batch a poll into the ledger.

    Raises
    ------
    pyspark.errors.StreamingQueryException
        When the query failed.
    StalledError
        When it hangs.
    """
    pulse = Pulse(sink.dsn, sink.epoch, settings.stall_seconds)
    try:
        while not query.awaitTermination(POLL_SECONDS):
            if told_to_stop.is_set():
                _log.info("told to stop")
                return
            wish = pulse.beat()
            if wish is None:
                continue
            measured = spark_durations(query)
            if measured is not None:
                sink.record_durations(*measured)
            if wish == "stop":
                _log.info("wished to stop")
                return
            if (mode == "drain" or wish == "drain") and backlog_is_empty(sink.dsn, sink.landing):
                _log.info("drained")
                return
    finally:
        pulse.close()


def fresh_checkpoint(root: Path, epoch: int) -> Path:
    """A checkpoint directory of this run's own; those of earlier runs are removed.

    Postgres knows which files are loaded, so a run never needs its predecessor's checkpoint: it cannot be stale,
    damaged or lost, and its logs never grow past one run.
    """
    found = sorted(path.name for path in root.glob("*"))
    if found:
        _log.info("checkpoints of earlier runs are discarded, Postgres has the state: %s", ", ".join(found))
    shutil.rmtree(root, ignore_errors=True)
    checkpoint = root / str(epoch)
    checkpoint.mkdir(parents=True)
    return checkpoint
