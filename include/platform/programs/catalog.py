"""Define the programs of the platform: the command, environment and stop signal of each."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from include.platform.installation.java import java_home
from include.platform.installation.packages import package_directory
from include.platform.instance.environment import airflow_environment, base_environment, spark_environment
from include.platform.services import postgres
from include.platform.services.spark_metrics import PROMETHEUS
from include.platform.services.spark_security import master_properties, rpc_properties
from include.settings import ANY_ADDRESS, Settings

_WORKER_TIMEOUT_SECONDS = 20


@dataclass(frozen=True)
class Program:
    """One supervised process.

    Attributes
    ----------
    name:
        Its name in ``make status`` and ``make logs``.
    group:
        ``postgres``, ``spark``, ``airflow`` or ``metrics``.
    command, environment:
        Functions that build them from the settings.
    ports:
        The names in ``Settings.ports`` of the ports it listens on.
    stop_signal, stop_seconds:
        The signal that asks it to stop, and the seconds after which it is killed.
    """

    name: str
    group: str
    command: Callable[[Settings], list[str]]
    environment: Callable[[Settings], Mapping[str, str]]
    ports: tuple[str, ...] = ()
    stop_signal: str = "TERM"
    stop_seconds: int = 4


def _airflow(*arguments: str) -> Callable[[Settings], list[str]]:
    return lambda settings: [str(Path(sys.executable).with_name("airflow")), *arguments]


def _api_server(settings: Settings) -> list[str]:
    return _airflow("api-server", "--host", settings.bind_host, "--port", str(settings.ports["airflow"]))(settings)


def _spark(settings: Settings, *arguments: str, options: Mapping[str, object]) -> list[str]:
    """Return the command of a Spark daemon that runs from the jars of the pyspark wheel."""
    java = str(java_home(settings) / "bin" / "java")
    definitions = [f"-D{name}={value}" for name, value in options.items()]
    # The daemons are mostly idle, so they get a small heap, one collector thread and only the quick compiler.
    jvm = ["-Xms32m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    jvm += ["--enable-native-access=ALL-UNNAMED", *definitions]
    return [java, *jvm, "-cp", str(package_directory("pyspark") / "jars" / "*"), *arguments]


def _spark_master(settings: Settings) -> list[str]:
    ports = settings.ports
    listen = [
        "--host",
        settings.spark_host,
        "--port",
        str(ports["spark-master"]),
        "--webui-port",
        str(ports["spark-master-ui"]),
    ]
    options = {
        "spark.master.rest.enabled": "true",
        "spark.master.rest.host": settings.bind_host,
        "spark.master.rest.port": ports["spark-rest"],
        # A restarted master finds its drivers again.
        "spark.deploy.recoveryMode": "FILESYSTEM",
        "spark.deploy.recoveryDirectory": settings.root / "spark" / "recovery",
        # This is also how long a restarted master waits for lost workers before it accepts submissions.
        "spark.worker.timeout": _WORKER_TIMEOUT_SECONDS,
        **PROMETHEUS,
    }
    secured = _properties(master_properties(settings))
    return _spark(settings, "org.apache.spark.deploy.master.Master", *listen, *secured, options=options)


def _spark_worker(settings: Settings) -> list[str]:
    ports = settings.ports
    listen = [
        "--host",
        own_host(settings),
        "--port",
        str(ports["spark-worker"]),
        "--webui-port",
        str(ports["spark-worker-ui"]),
    ]
    # Cores are slots and not an enforced limit. At least four leave room for a drain job beside the stream.
    cores = settings.spark_worker_cores or max(4, os.cpu_count() or 1)
    listen += ["--cores", str(cores), "--memory", settings.spark_worker_memory]
    options = {
        "spark.worker.timeout": _WORKER_TIMEOUT_SECONDS,
        "spark.worker.cleanup.enabled": "true",
        # Keep driver logs as long as other logs; operators need them to find out why a driver ended.
        "spark.worker.cleanup.appDataTtl": settings.retention_days * 86400,
        **PROMETHEUS,
    }
    work = ["--work-dir", str(settings.root / "spark" / "work")]
    master = f"spark://{settings.spark_host}:{ports['spark-master']}"
    secured = _properties(rpc_properties(settings))
    return _spark(settings, "org.apache.spark.deploy.worker.Worker", *listen, *work, *secured, master, options=options)


def _properties(file: Path | None) -> list[str]:
    """Return the option that reads properties from a file; secrets must not appear on the command line."""
    return ["--properties-file", str(file)] if file else []


def own_host(settings: Settings) -> str:
    """Return the host name by which other machines reach the programs of this one."""
    return socket.gethostname() if settings.bind_host == ANY_ADDRESS else settings.bind_host


def _watchdog(settings: Settings) -> list[str]:
    return [sys.executable, "-m", "include.platform.watching.watchdog"]


def _metrics(settings: Settings) -> list[str]:
    return [sys.executable, "-m", "include.metrics", "--host", settings.bind_host]


PROGRAMS = {
    program.name: program
    for program in (
        # SIGINT is PostgreSQL's fast shutdown: it ends the sessions and writes a checkpoint.
        Program("postgres", "postgres", postgres.server_command, base_environment, (), "INT", 60),
        Program(
            "spark-master",
            "spark",
            _spark_master,
            spark_environment,
            ("spark-master", "spark-rest", "spark-master-ui"),
        ),
        Program("spark-worker", "spark", _spark_worker, spark_environment, ("spark-worker", "spark-worker-ui")),
        Program("api-server", "airflow", _api_server, airflow_environment, ("airflow",)),
        # No log servers are needed, since the API server reads the log files on this machine.
        Program("scheduler", "airflow", _airflow("scheduler", "--skip-serve-logs"), airflow_environment),
        Program("dag-processor", "airflow", _airflow("dag-processor"), airflow_environment),
        Program("triggerer", "airflow", _airflow("triggerer", "--skip-serve-logs"), airflow_environment),
        Program("watchdog", "airflow", _watchdog, base_environment),
        Program("metrics", "metrics", _metrics, base_environment, ("metrics",)),
    )
}


def expected_programs(settings: Settings) -> list[Program]:
    """Return this instance's programs in starting order, without PostgreSQL when the user provides the server."""
    return [one for one in PROGRAMS.values() if one.name != "postgres" or postgres.is_embedded(settings)]
