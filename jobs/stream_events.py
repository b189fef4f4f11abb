"""Stream delivered event files into PostgreSQL: ``spark-submit jobs/stream_events.py [--mode continuous|drain]``.

Continuous mode runs until the desired state is no longer ``run`` or the process is told to stop; drain mode ends when
nothing waits any more. The same process restarts a query that fails, after a pause when Postgres or the disk is the
cause. The state of the stream is in Postgres, so the next process continues after the last committed batch, however
this one ended.

Exit status 0 means that there is nothing to continue: the stream ended as requested, or another driver has taken over.
Any other status asks the supervisor of the driver to start it again.
"""

from __future__ import annotations

import argparse
import ctypes
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from pyspark.sql import SparkSession

from include.errors import ShopstreamError
from include.logs import start_logging
from include.platform.services.spark_metrics import DRIVER_PROMETHEUS
from include.settings import Settings
from include.stream.intake.landing import Landing
from include.stream.supervision.epoch import Driver
from jobs.callbacks import guard_callbacks
from jobs.runner import QueryRunner

# Longer than any batch takes to notice that the query is being stopped; a batch that is being stored is awaited first.
STOP_SECONDS = 60
# From linux/prctl.h.
_PR_SET_PDEATHSIG = 1

_log = logging.getLogger("stream_events")


def build_session(settings: Settings) -> SparkSession:
    """Return the Spark session with the settings of the job; the submitter decides where it runs.

    Spark SQL has no settings here, because the job uses no SQL: its plan is a scan whose rows are collected, one row
    of two columns per task.
    """
    session = (
        SparkSession.builder.appName("shopstream-stream-events")
        .config(map=DRIVER_PROMETHEUS)
        # By default the JVM waits 15 s for Python to connect, be it a worker or the collecting driver. Under load this
        # is too short.
        .config("spark.python.authenticate.socketTimeout", "120s")
        # Only the newest progress is read; the default of 100 would stay in memory.
        .config("spark.sql.streaming.numRecentProgressUpdates", "10")
        # Each batch adds two files to the checkpoint; the default is to keep those of 100 batches.
        .config("spark.sql.streaming.minBatchesToRetain", "10")
        # A stop that takes longer fails, and the process ends. By default it could hang for ever.
        .config("spark.sql.streaming.stopTimeout", f"{STOP_SECONDS}s")
        # Results come with the task's status, not as a block that the driver must fetch and drop.
        .config("spark.task.maxDirectResultSize", "64m")
        # The old generation of the heap would otherwise fill up for an hour before Java collects it.
        .config("spark.cleaner.periodicGC.interval", "5min")
        .config("spark.ui.port", str(settings.ports["spark-driver-ui"]))
        # The UI keeps finished work in the driver's heap, by default 1000 of each kind.
        .config("spark.ui.retainedJobs", "100")
        .config("spark.ui.retainedStages", "100")
        .config("spark.sql.ui.retainedExecutions", "50")
        .getOrCreate()
    )
    guard_callbacks(session)
    return session


def die_with_the_jvm() -> None:
    """Ask Linux to kill this process when the JVM that started it is gone.

    Without its JVM the process can only hold its locks, and a suspended process could not even notice. A process that
    was started by hand has no JVM above it.
    """
    if "PYSPARK_GATEWAY_PORT" in os.environ:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stream; return 0 when there is nothing to continue, 1 otherwise, with the reason in the log."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mode", choices=["continuous", "drain"], default="continuous")
    mode = parser.parse_args(argv).mode
    start_logging("text")
    logging.getLogger("py4j").setLevel(logging.WARNING)
    die_with_the_jvm()
    stop_requested = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop_requested.set())
    signal.signal(signal.SIGINT, lambda *_: stop_requested.set())
    try:
        settings = Settings.from_env()
        start_logging(settings.log_format)
        Landing.of(settings).make()
    except (ShopstreamError, OSError) as error:
        _log.error("%s", error)
        return 1
    spark = build_session(settings)
    spark.sparkContext.setLogLevel("WARN")
    driver = Driver(
        mode=mode,
        host=socket.gethostname(),
        pid=os.getpid(),
        ui_url=spark.sparkContext.uiWebUrl,
        # A Spark worker starts each driver in its own directory, where it writes the driver's output.
        log_path=str(Path.cwd()),
    )
    try:
        QueryRunner(spark, settings, driver, stop_requested).run()
    except Exception:
        # A thread that hangs or has lost its JVM must not keep the process alive: the next driver continues.
        _log.exception("the driver gives up")
        logging.shutdown()
        os._exit(1)
    spark.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
