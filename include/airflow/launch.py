"""How a driver is launched on a Spark standalone cluster: JVM options, environment, a first look at the master."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from include.airflow.connections import SPARK_CONN_ID
from include.errors import PlatformError
from include.platform.environment import PROGRAM_VARIABLE
from include.settings import Settings

# What Spark's own launcher gives to every JVM (org.apache.spark.launcher.JavaModuleOptions), but a standalone worker
# does not give to a driver: Arrow needs them. Left out is the vector module, which a small Java runtime lacks.
JAVA_MODULE_OPTIONS = (
    "-XX:+IgnoreUnrecognizedVMOptions",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--add-opens=java.base/java.lang.invoke=ALL-UNNAMED",
    "--add-opens=java.base/java.lang.reflect=ALL-UNNAMED",
    "--add-opens=java.base/java.io=ALL-UNNAMED",
    "--add-opens=java.base/java.net=ALL-UNNAMED",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/java.util=ALL-UNNAMED",
    "--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
    "--add-opens=java.base/java.util.concurrent.atomic=ALL-UNNAMED",
    "--add-opens=java.base/jdk.internal.ref=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.cs=ALL-UNNAMED",
    "--add-opens=java.base/sun.security.action=ALL-UNNAMED",
    "--add-opens=java.base/sun.util.calendar=ALL-UNNAMED",
    "--add-opens=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
    "-Dio.netty.tryReflectionSetAccessible=true",
    "-Dio.netty.allocator.type=pooled",
    "-Dio.netty.handler.ssl.defaultEndpointVerificationAlgorithm=NONE",
    "--sun-misc-unsafe-memory-access=allow",
    "--enable-native-access=ALL-UNNAMED",
)

JAVA_OPTIONS = (
    # Spark's threads survive an OutOfMemoryError, and the job would then wait for ever for a result that was lost. A
    # driver that ends is started again.
    "-XX:+ExitOnOutOfMemoryError",
    # A driver whose Python process has died waits half a minute for it in its shutdown hooks unless it is told not to.
    "-Dspark.shutdown.timeout=2s",
    # The flags of all rules make one generated method, longer than what Java compiles by default. Compiled, it halves
    # the time of a large batch.
    "-XX:-DontCompileHugeMethods",
)


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
