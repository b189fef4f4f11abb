"""Run the real job on its own database, in its own process, until nothing waits."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from include.db import transaction
from include.platform.installation.java import prepare_java
from include.platform.installation.packages import package_directory
from include.platform.instance.environment import spark_environment
from include.platform.programs.driver_jvm import MEMORY, driver_options
from include.settings import REPOSITORY, Settings
from include.stream.intake.landing import Landing
from tests.programs.soak.memory import MemoryWatch
from tests.support.postgres import cloned_database, running_cluster
from tests.support.spark import with_spark_ports

_LEDGER = """
SELECT coalesce(sum(accepted), 0)::bigint, coalesce(sum(rejected), 0)::bigint, count(*),
       coalesce(extract(epoch FROM max(committed_at) - min(started_at)), 0)::float8
FROM shop.batches
"""


@dataclass(frozen=True)
class Drained:
    """What one drain did. ``stream_seconds`` is the time from the first batch to the last commit, ``seconds`` that of
    the process, its start and end included; memory is the peak, in bytes.
    """

    accepted: int
    rejected: int
    loaded: int
    faults: tuple[str, ...]
    batches: int
    seconds: float
    stream_seconds: float
    memory: MemoryWatch


@contextmanager
def database(directory: Path) -> Iterator[Settings]:
    """Yield settings of a new database and of empty folders below ``directory``."""
    with running_cluster() as cluster, cloned_database(cluster, directory) as cloned:
        settings = with_spark_ports(cloned)
        prepare_java(settings)
        Landing.of(settings).make()
        yield settings


def drain(settings: Settings, *, timeout_seconds: float) -> Drained:
    """Run the job until nothing waits, and measure it.

    Raises
    ------
    subprocess.CalledProcessError
        When it fails; its log is in the folder of the logs.
    """
    command = [
        str(package_directory("pyspark") / "bin" / "spark-submit"),
        *("--master", "local[2]", "--driver-memory", MEMORY),
        *("--driver-java-options", " ".join(driver_options())),
        *(str(REPOSITORY / "jobs" / "stream_events.py"), "--mode", "drain"),
    ]
    log = settings.log_dir / "job.log"
    began = time.monotonic()
    with log.open("w") as output:
        process = subprocess.Popen(
            command, env=dict(spark_environment(settings)), stdout=output, stderr=subprocess.STDOUT, process_group=0
        )
        try:
            with MemoryWatch(process.pid) as memory:
                status = process.wait(timeout_seconds)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, 9)
                process.wait()
    if status:
        raise subprocess.CalledProcessError(status, command, log.read_text(errors="replace")[-4000:])
    seconds = time.monotonic() - began
    with transaction(settings.dsn("owner")) as cursor:
        cursor.execute(_LEDGER)
        accepted, rejected, batches, stream_seconds = cursor.fetchone()
        cursor.execute("SELECT count(*) FROM shop.files WHERE state = 'loaded'")
        (loaded,) = cursor.fetchone()
        cursor.execute("SELECT fault FROM shop.files WHERE state = 'quarantined' ORDER BY file_id")
        faults = tuple(fault for (fault,) in cursor.fetchall())
    return Drained(accepted, rejected, loaded, faults, batches, seconds, stream_seconds, memory)
