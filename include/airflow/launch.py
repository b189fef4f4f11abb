"""Prepare the launch of a driver on a Spark standalone cluster: build its environment and check the master."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from include.airflow.connections import SPARK_CONN_ID
from include.errors import PlatformError
from include.platform.instance.environment import INSTANCE_VARIABLE, is_of_the_machine
from include.platform.services.spark import check_version
from include.settings import PREFIX, Settings

# Variables that the platform itself sets.
_GIVEN = frozenset({INSTANCE_VARIABLE, "JAVA_HOME", "PYTHONPATH", "PYTHONUNBUFFERED"})


def submit_environment(
    environ: Mapping[str, str],
    settings: Settings,
    *,
    job_home: str | None = None,
    changes: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """Return the environment for ``spark-submit``, which the master copies to the driver and to its recovery files.

    It holds only what the job needs, and none of the keys and tokens of the user or of Airflow. Paths are absolute,
    since the driver runs in a directory of its own. The worker that runs the driver has its own Spark and addresses.
    JAVA_HOME is included because Spark's launcher needs it on this machine.

    Parameters
    ----------
    environ, settings:
        Environment and settings of the machine that runs Airflow.
    job_home:
        The checkout on the driver's machine, for its imports; default that of Airflow's machine.
    changes:
        Variables that differ on the driver's machine.
    """
    # Leave out the variable that marks a process as belonging to a program of the platform. The driver gets the mark of
    # its worker. With the mark of the scheduler, a restarted scheduler would end the driver as a leftover.
    kept = {
        name: value
        for name, value in environ.items()
        if name in _GIVEN or name.startswith(PREFIX) or is_of_the_machine(name)
    }
    kept["PATH"] = search_path(environ)
    if job_home is not None:
        kept["PYTHONPATH"] = job_home
    kept["SHOPSTREAM_HOME"] = str(settings.root)
    kept["SHOPSTREAM_LANDING"] = str(settings.landing_dir)
    return {**kept, **changes}


def search_path(environ: Mapping[str, str]) -> str:
    """Return a ``PATH`` that contains ``spark-submit``, which is installed next to this interpreter."""
    return os.pathsep.join([str(Path(sys.executable).parent), environ.get("PATH", os.defpath)])


def check_reachable(
    host: str, port: int | None, rest_port: int, headers: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Raise PlatformError if the master is unreachable, before ``spark-submit`` retries for a minute."""
    for name, number in (("port", port or 7077), ("REST port", rest_port)):
        try:
            socket.create_connection((host, number), timeout=5).close()
        except OSError as error:
            raise PlatformError(
                f"the Spark master cannot be reached at {host}, {name} {number}: {error}",
                f"See `make status` and the Airflow connection {SPARK_CONN_ID}; `make up` starts what is down",
            ) from error
    check_version(host, int(rest_port), headers)
