"""The programs of the platform: what each runs, in which environment, and how it is asked to stop."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from include.platform import postgres
from include.platform.environment import airflow_environment, base_environment, spark_environment
from include.platform.java import java_home
from include.platform.packages import package_directory
from include.platform.spark_metrics import PROMETHEUS
from include.settings import ANY_ADDRESS, Settings

_WORKER_TIMEOUT_SECONDS = 20


@dataclass(frozen=True)
class Program:
    """One supervised process.

    Attributes
    ----------
    name:
        As ``make status`` and ``make logs`` show it.
    group:
        ``postgres``, ``spark``, ``airflow`` or ``metrics``.
    command, environment:
        Of the settings.
    ports:
        The names in ``Settings.ports`` that it listens on.
    stop_signal, stop_seconds:
        The signal that asks it to stop, and when it is killed instead.
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
    """A Spark daemon from the jars of the pyspark wheel."""
    java = str(java_home(settings) / "bin" / "java")
    definitions = [f"-D{name}={value}" for name, value in options.items()]
    # A daemon that waits: a small heap, one collector thread, the quick compiler only.
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
        # A master that died finds its drivers again.
        "spark.deploy.recoveryMode": "FILESYSTEM",
        "spark.deploy.recoveryDirectory": settings.root / "spark" / "recovery",
        # Also how long a restarted master waits for workers that are gone, before it takes submissions.
        "spark.worker.timeout": _WORKER_TIMEOUT_SECONDS,
        **PROMETHEUS,
    }
    return _spark(settings, "org.apache.spark.deploy.master.Master", *listen, options=options)


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
    # Slots, not a limit that anything enforces: room for a drain job beside the stream.
    cores = settings.spark_worker_cores or max(4, os.cpu_count() or 1)
    listen += ["--cores", str(cores), "--memory", settings.spark_worker_memory]
    options = {
        "spark.worker.timeout": _WORKER_TIMEOUT_SECONDS,
        "spark.worker.cleanup.enabled": "true",
        "spark.worker.cleanup.appDataTtl": 86400,
        **PROMETHEUS,
    }
    work = ["--work-dir", str(settings.root / "spark" / "work")]
    master = f"spark://{settings.spark_host}:{ports['spark-master']}"
    return _spark(settings, "org.apache.spark.deploy.worker.Worker", *listen, *work, master, options=options)


def own_host(settings: Settings) -> str:
    """The name by which others reach what this machine runs."""
    return socket.gethostname() if settings.bind_host == ANY_ADDRESS else settings.bind_host


def _watchdog(settings: Settings) -> list[str]:
    return [sys.executable, "-m", "include.platform.watchdog"]


def _metrics(settings: Settings) -> list[str]:
    return [sys.executable, "-m", "include.metrics", "--host", settings.bind_host]


PROGRAMS = {
    program.name: program
    for program in (
        # SIGINT is PostgreSQL's fast shutdown: end the sessions, write a checkpoint.
        Program("postgres", "postgres", postgres.server_command, base_environment, (), "INT", 8),
        Program(
            "spark-master",
            "spark",
            _spark_master,
            spark_environment,
            ("spark-master", "spark-rest", "spark-master-ui"),
        ),
        Program("spark-worker", "spark", _spark_worker, spark_environment, ("spark-worker", "spark-worker-ui")),
        Program("api-server", "airflow", _api_server, airflow_environment, ("airflow",)),
        # Without their log servers: the API server reads the files of this machine.
        Program("scheduler", "airflow", _airflow("scheduler", "--skip-serve-logs"), airflow_environment),
        Program("dag-processor", "airflow", _airflow("dag-processor"), airflow_environment),
        Program("triggerer", "airflow", _airflow("triggerer", "--skip-serve-logs"), airflow_environment),
        Program("watchdog", "airflow", _watchdog, base_environment),
        Program("metrics", "metrics", _metrics, base_environment, ("metrics",)),
    )
}


def expected_programs(settings: Settings) -> list[Program]:
    """The programs of this instance in the order of their start; without PostgreSQL when the user brings one."""
    return [one for one in PROGRAMS.values() if one.name != "postgres" or postgres.is_embedded(settings)]
