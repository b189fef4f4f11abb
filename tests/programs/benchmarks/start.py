"""Measure starts: ``make up`` to the first event, and a dead driver to the next commit."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.programs.benchmarks.bench import Bench
from tests.programs.benchmarks.figures import Figure, Measured, Reach
from tests.programs.chaos.instance import Instance, kill
from tests.programs.chaos.waiting import wait_for
from tests.support.platform import Platform

_FIRST_COMMIT = "SELECT extract(epoch FROM min(committed_at))::float8 FROM shop.batches WHERE accepted > 0"
_PLAIN_SPARK = """
from pyspark.sql import SparkSession
spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
spark.range(10).write.format("noop").mode("overwrite").save()
spark.stop()
"""
_KILL_RATE = 2000


def start(instance: Instance) -> tuple[float, float]:
    """Run ``make up`` of an instance without data; return the seconds until it returned and until the first event."""
    began = time.time()
    instance.platform.up()
    returned = time.time() - began
    committed = wait_for(lambda: instance.value(_FIRST_COMMIT), seconds=120, what="the first event")
    return returned, committed - began


def starts(count: int) -> Measured:
    """Measure ``make up`` of new instances, by turns with a bare Spark session."""
    first_events, returns, plain = [], [], []
    for _ in range(count):
        home = Path(tempfile.mkdtemp(prefix="shopstream-start-"))
        home.chmod(0o711)
        instance = Instance(Platform(home))
        try:
            returned, first_event = start(instance)
        finally:
            instance.platform.run("include.platform", "down")
            shutil.rmtree(home, ignore_errors=True)
        returns.append(returned)
        first_events.append(first_event)
        plain.append(_plain_spark())
    return Measured(
        [
            Figure(
                "start/first-event",
                "`make up`, installed, to the first event in Postgres",
                "s",
                first_events,
                "a bare PySpark session, from nothing to its end",
                plain,
                Reach("value", at_most=45),
            ),
            Figure("start/up", "`make up`, installed, until it returns", "s", returns, "as above", plain),
        ]
    )


def kills(bench: Bench) -> Measured:
    """Measure kill -9 of the driver's JVM at 2,000 events/s, by turns with a bare Spark session."""
    seconds, plain = [], []
    for _ in range(bench.sizes.kills):
        with bench.feed(_KILL_RATE):
            bench.instance.wait_for_calm(seconds=180)
            began = time.time()
            kill(bench.instance.driver_jvms())
            committed = wait_for(
                lambda since=began: bench.instance.first_commit_after(since),  # type: ignore[misc]
                seconds=120,
                what="events to flow again",
            )
            seconds.append(committed - began)
        plain.append(_plain_spark())
        bench.say(f"the driver was killed: events again after {seconds[-1]:.1f} s")
    return Measured(
        [
            Figure(
                "start/driver-kill",
                "kill -9 of the driver to the next commit of new events, 2,000 events/s",
                "s",
                seconds,
                "a bare PySpark session, from nothing to its end",
                plain,
                Reach("value", at_most=12),
            )
        ]
    )


def _plain_spark() -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", _PLAIN_SPARK], check=True, capture_output=True, timeout=120)
    return time.monotonic() - began
