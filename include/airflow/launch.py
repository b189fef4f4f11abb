"""How a driver is launched on a Spark standalone cluster: its environment, a first look at the master."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from include.airflow.connections import SPARK_CONN_ID
from include.errors import PlatformError
from include.platform.environment import PROGRAM_VARIABLE
from include.platform.spark import check_version
from include.settings import Settings


def submit_environment(environ: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """The environment for ``spark-submit``, which the master copies to the driver and keeps in its recovery files.

    Airflow's variables hold passwords and keys that the job has no use for. Paths are made absolute, since the driver
    runs in a directory of its own.
    """
    # The driver is marked as the worker's: with the scheduler's mark, a restarted scheduler would end it as a leftover.
    dropped = ("AIRFLOW", "_AIRFLOW", PROGRAM_VARIABLE)
    kept = {name: value for name, value in environ.items() if not name.startswith(dropped)}
    kept["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)])
    kept["SHOPSTREAM_HOME"] = str(settings.root)
    kept["SHOPSTREAM_LANDING"] = str(settings.landing_dir)
    return kept


def check_reachable(hosts: str | None, port: int | None, rest_port: int | str) -> None:
    """Refuse before ``spark-submit`` spends a minute on retries of its own."""
    first, *_ = str(hosts).removeprefix("spark://").split(",")
    host = first.split(":")[0]
    for name, number in (("port", port or 7077), ("REST port", rest_port)):
        try:
            socket.create_connection((host, int(number)), timeout=5).close()
        except OSError as error:
            raise PlatformError(
                f"the Spark master cannot be reached at {host}, {name} {number}: {error}",
                f"See `make status` and the Airflow connection {SPARK_CONN_ID}; `make up` starts what is down",
            ) from error
    check_version(host, int(rest_port))
