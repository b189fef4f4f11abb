"""Run a real Spark standalone cluster for tests: the platform's master and worker."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from include.platform.installation.java import prepare_java
from include.platform.programs.catalog import PROGRAMS
from include.platform.services.spark import alive_workers
from include.platform.services.spark_security import secure_spark
from include.settings import Settings
from tests.support.sockets import free_ports
from tests.support.waiting import wait_until

_PORTS = ("master", "rest", "master_ui", "worker", "worker_ui", "driver_ui")


def with_spark_ports(settings: Settings) -> Settings:
    """Return the settings with free ports for Spark."""
    ports = {f"spark_{name}_port": port for name, port in zip(_PORTS, free_ports(len(_PORTS)), strict=True)}
    return settings.model_copy(update=ports)


@contextmanager
def running_spark(settings: Settings) -> Iterator[None]:
    """Run a master and a worker, and end them together with the drivers that they still run."""
    prepare_java(settings)
    secure_spark(settings)
    with ExitStack() as stack:
        for name in ("spark-master", "spark-worker"):
            program = PROGRAMS[name]
            log = stack.enter_context((settings.log_dir / f"{name}.log").open("w"))
            process = subprocess.Popen(
                program.command(settings),
                env={**program.environment(settings)},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            stack.callback(_end, process)
        wait_until(lambda: alive_workers(settings) == 1, seconds=60, what="a Spark worker to register")
        yield


def _end(process: subprocess.Popen[bytes]) -> None:
    # A worker that ends on request ends its drivers as well.
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
