"""How a driver is launched on a Spark standalone cluster: its environment, a first look at the master."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from include.airflow.connections import SPARK_CONN_ID
from include.errors import PlatformError
from include.platform.environment import PROGRAM_VARIABLE
from include.platform.spark import check_version
from include.settings import Settings

# What describes the machine of Airflow: the worker that runs the driver has its own Spark and addresses. JAVA_HOME is
# not among them: Spark's launcher needs it here, and hands its whole environment over.
_OF_THIS_MACHINE = frozenset(
    {"SPARK_HOME", "SPARK_CONF_DIR", "SPARK_LOCAL_IP", "SPARK_LOCAL_HOSTNAME", "SPARK_PUBLIC_DNS"}
)


def submit_environment(
    environ: Mapping[str, str],
    settings: Settings,
    *,
    job_home: str | None = None,
    changes: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """The environment for ``spark-submit``, which the master copies to the driver and keeps in its recovery files.

    Airflow's variables hold passwords and keys that the job has no use for. Paths are made absolute, since the driver
    runs in a directory of its own.

    Parameters
    ----------
    environ, settings:
        Of Airflow's side.
    job_home:
        The checkout on the driver's machine, for its imports; that of Airflow's side unless given.
    changes:
        What is different on the driver's machine.
    """
    # The driver is marked as the worker's: with the scheduler's mark, a restarted scheduler would end it as a leftover.
    dropped = ("AIRFLOW", "_AIRFLOW", PROGRAM_VARIABLE)
    kept = {
        name: value for name, value in environ.items() if not name.startswith(dropped) and name not in _OF_THIS_MACHINE
    }
    kept["PATH"] = search_path(environ)
    if job_home is not None:
        kept["PYTHONPATH"] = job_home
    kept["SHOPSTREAM_HOME"] = str(settings.root)
    kept["SHOPSTREAM_LANDING"] = str(settings.landing_dir)
    return {**kept, **changes}


def search_path(environ: Mapping[str, str]) -> str:
    """The ``PATH`` on which ``spark-submit`` is found: it is installed beside this interpreter."""
    return os.pathsep.join([str(Path(sys.executable).parent), environ.get("PATH", os.defpath)])


def check_reachable(host: str, port: int | None, rest_port: int) -> None:
    """Refuse before ``spark-submit`` spends a minute on retries of its own."""
    for name, number in (("port", port or 7077), ("REST port", rest_port)):
        try:
            socket.create_connection((host, number), timeout=5).close()
        except OSError as error:
            raise PlatformError(
                f"the Spark master cannot be reached at {host}, {name} {number}: {error}",
                f"See `make status` and the Airflow connection {SPARK_CONN_ID}; `make up` starts what is down",
            ) from error
    check_version(host, int(rest_port))
