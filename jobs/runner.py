"""Run the query of one driver process, and restart it after each failure that the process can survive."""

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
from include.stream.intake.admission import excuse_attempt, note_failure
from include.stream.intake.landing import Landing
from include.stream.storage.sink import BatchSink, backlog_is_empty
from include.stream.supervision.epoch import Driver, end_run, renew_epoch, take_epoch
from include.stream.supervision.heartbeat import Heartbeat
from include.stream.supervision.status import QUERY_NAME
from jobs.progress import spark_durations
from jobs.query import build_query
from jobs.recovery import Backoff, Cause, cause_of, reason_of

POLL_SECONDS = 1

_log = logging.getLogger(__name__)


class QueryRunner:
    """The query of one driver process, restarted after each failure that the process can survive."""

    def __init__(
        self, spark: SparkSession, settings: Settings, driver: Driver, stop_requested: threading.Event
    ) -> None:
        self._spark = spark
        self._settings = settings
        self._driver = driver
        self._stop_requested = stop_requested
        self._dsn = settings.dsn("ingest")
        self._backoff = Backoff()

    def run(self) -> None:
        """Run until the requested end, or until another driver takes over.

        Raises
        ------
        StalledError
            When the query hangs, which only a new process can fix.
        """
        epoch = self._start(None, "")
        while epoch is not None:
            bind(epoch=epoch)
            _log.info("took epoch %s", epoch, extra={"data": {"mode": self._driver.mode}})
            failure = self._run_query(epoch)
            if failure is None:
                end_run(self._dsn, epoch, None)
                return
            epoch = self._start(epoch, failure)

    def _run_query(self, epoch: int) -> str | None:
        """Run the query of one epoch; return the text of its failure, or None when it ended as requested."""
        sink = BatchSink(self._dsn, Landing.of(self._settings), QUERY_NAME, epoch)
        batch_lock, stopping = threading.Lock(), threading.Event()
        query: StreamingQuery | None = None
        try:
            checkpoint = fresh_checkpoint(self._settings.checkpoint_dir, epoch)
            query = build_query(
                self._spark,
                self._settings,
                sink=sink,
                checkpoint=checkpoint,
                batch_lock=batch_lock,
                stopping=stopping,
                on_commit=self._backoff.reset,
            )
            await_end(query, self._settings, sink, mode=self._driver.mode, stop_requested=self._stop_requested)
            # Set the event first: a batch that waits for the lock must see why it will not get it.
            stopping.set()
            with batch_lock:
                query.stop()
        except StreamingQueryException as failure:
            return str(failure)
        except (PlatformError, psycopg2.Error, OSError) as failure:
            _log.warning("stopping the query: %s", failure)
            if query is not None:
                stopping.set()
                query.stop()
            return f"Traceback (most recent call last):\n{type(failure).__name__}: {failure}"
        finally:
            sink.close()
        return None

    def _start(self, epoch: int | None, failure: str) -> int | None:
        """Record a failure, if any, and return the epoch of the next query; None when there is to be no next query."""
        reason = reason_of(failure)
        if epoch is not None:
            cause = cause_of(failure)
            _log.error("the query failed: %s", reason, extra={"data": {"cause": cause.value}})
            if cause is Cause.FENCED:
                return None
            self._backoff.wait(self._stop_requested)
        is_noted = False
        while not self._stop_requested.is_set():
            try:
                if epoch is None:
                    return take_epoch(self._dsn, QUERY_NAME, self._driver)
                if not is_noted:
                    note = note_failure if cause is Cause.BATCH else excuse_attempt
                    note(self._dsn, QUERY_NAME, epoch, reason)
                    is_noted = True
                return renew_epoch(self._dsn, QUERY_NAME, epoch, self._driver, reason)
            except FencedError as error:
                _log.warning("%s", error)
                return None
            except (PlatformError, psycopg2.Error) as error:
                seconds = self._backoff.wait(self._stop_requested)
                _log.warning("waited %.1f s for Postgres: %s", seconds, str(error).strip())
        return None


def await_end(
    query: StreamingQuery,
    settings: Settings,
    sink: BatchSink,
    *,
    mode: str,
    stop_requested: threading.Event,
) -> None:
    """Wait until the query fails or has to stop.

    It has to stop when the process was told to, when the desired state is ``stop``, or when a drain has nothing left.
    Meanwhile, write the heartbeat, and with each poll store Spark's durations of the newest batch in the ledger.

    Raises
    ------
    pyspark.errors.StreamingQueryException
        When the query failed.
    StalledError
        When it hangs.
    """
    heartbeat = Heartbeat(sink.dsn, sink.epoch, settings.stall_seconds)
    try:
        while not query.awaitTermination(POLL_SECONDS):
            if stop_requested.is_set():
                _log.info("stopping: the process was told to")
                return
            desired_state = heartbeat.beat()
            if desired_state is None:
                continue
            measured = spark_durations(query)
            if measured is not None:
                sink.record_durations(*measured)
            if desired_state == "stop":
                _log.info("stopping: the desired state is stop")
                return
            if (mode == "drain" or desired_state == "drain") and backlog_is_empty(sink.dsn, sink.landing):
                _log.info("stopping: the stream is drained")
                return
    finally:
        heartbeat.close()


def fresh_checkpoint(root: Path, epoch: int) -> Path:
    """Create a checkpoint directory for this run only, and remove those of earlier runs.

    Postgres knows which files are loaded, so a run never needs an earlier checkpoint. A fresh one cannot be stale,
    damaged or lost, and its logs never grow beyond one run.
    """
    found = sorted(path.name for path in root.glob("*"))
    if found:
        _log.info("discarding the checkpoints of earlier runs, Postgres has the state: %s", ", ".join(found))
    shutil.rmtree(root, ignore_errors=True)
    checkpoint = root / str(epoch)
    checkpoint.mkdir(parents=True)
    return checkpoint
