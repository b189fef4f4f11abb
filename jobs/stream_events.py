"""Streams delivered event files into PostgreSQL: ``spark-submit jobs/stream_events.py [--mode continuous|drain]``.

Continuous mode runs until it is wished or told to stop; drain mode ends when nothing waits any more. A query that fails
is started anew by the same process, after a wait when Postgres or the disk is to blame. Whatever ends the process, the
next one goes on where the last committed batch ended: the state of the stream is in Postgres.

Exit status 0 means that there is nothing to go on with: it ended as wished, or another driver has taken over. Anything
else asks whoever supervises the driver to start it again.
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
from include.platform.spark_metrics import DRIVER_PROMETHEUS
from include.settings import Settings
from include.stream.epoch import Driver
from include.stream.landing import Landing
from jobs.runner import QueryRunner

# From linux/prctl.h.
_PR_SET_PDEATHSIG = 1

_log = logging.getLogger("stream_events")


def build_session(settings: Settings) -> SparkSession:
    """The Spark session with the SQL settings that the job relies on; where it runs is the submitter's choice."""
    return (
        SparkSession.builder.appName("shopstream-stream-events")
        .config(map=DRIVER_PROMETHEUS)
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
        # A task's result comes with its status, not as a block that the driver has to fetch and to drop.
        .config("spark.task.maxDirectResultSize", "64m")
        # The old part of the heap would else fill up for an hour before Java looks through it.
        .config("spark.cleaner.periodicGC.interval", "5min")
        .config("spark.ui.port", str(settings.ports["spark-driver-ui"]))
        .config("spark.ui.retainedJobs", "100")
        .config("spark.ui.retainedStages", "100")
        .config("spark.sql.ui.retainedExecutions", "50")
        .config("spark.ui.showConsoleProgress", "false")
        .getOrCreate()
    )


def die_with_the_jvm() -> None:
    """Ask Linux to kill this process when the JVM that started it is gone.

    Without its JVM it can do nothing but hold its locks, and a process that is stopped cannot even notice. One that was
    started by hand has no JVM above it.
    """
    if "PYSPARK_GATEWAY_PORT" in os.environ:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stream; 0 when there is nothing to go on with, 1 with the reason in the log when there is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mode", choices=["continuous", "drain"], default="continuous")
    mode = parser.parse_args(argv).mode
    start_logging("text")
    logging.getLogger("py4j").setLevel(logging.WARNING)
    die_with_the_jvm()
    told_to_stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told_to_stop.set())
    signal.signal(signal.SIGINT, lambda *_: told_to_stop.set())
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
        # A Spark worker starts each driver in a directory of its own, which gets its output.
        log_path=str(Path.cwd()),
    )
    try:
        QueryRunner(spark, settings, driver, told_to_stop).run()
    except Exception:
        # Whatever still hangs, or has lost its JVM, must not keep the process: the next driver goes on.
        _log.exception("the driver gives up")
        logging.shutdown()
        os._exit(1)
    spark.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
