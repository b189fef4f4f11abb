"""Run Spark on a standalone cluster, where a worker runs the driver and restarts it when it dies."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import requests

from include.airflow.connections import SPARK_CONN_ID
from include.airflow.launch import check_reachable, submit_environment
from include.airflow.spark.clusters.base import Submission
from include.airflow.spark.connection_extra import SparkExtra
from include.airflow.spark.ui import DriverPages, kill_driver
from include.errors import PlatformError
from include.platform.installation.packages import package_directory
from include.platform.programs.driver_jvm import driver_options, joined
from include.platform.services.spark_security import rest_headers, rpc_properties
from include.settings import Settings

_MAIN_CLASS = "org.apache.spark.deploy.SparkSubmit"
# Spark unpacks the bundle into this directory, relative to the working directory of the executor.
_BUNDLE = "shopstream"


class StandaloneCluster:
    """Implement :class:`include.airflow.spark.clusters.base.Cluster` for a standalone cluster.

    On a standalone cluster, Spark refuses Python applications in cluster mode but accepts Java ones. ``spark-submit``
    is a Java application, so the driver on the worker is another ``spark-submit``, which runs the job.

    Parameters
    ----------
    host, port:
        Host and port of the Airflow connection: ``spark://master`` and the master's RPC port.
    extra:
        Extra of the Airflow connection.
    settings:
        Settings of the machine that runs Airflow.
    """

    passing_errors = (requests.RequestException, RuntimeError)

    def __init__(self, host: str, port: int | None, extra: SparkExtra, settings: Settings) -> None:
        self._settings = settings
        self._port = port
        self._extra = extra
        self._host = host.removeprefix("spark://").split(",")[0].split(":")[0]
        self._pages = DriverPages(extra.master_ui or f"http://{self._host}:{settings.ports['spark-master-ui']}")

    @property
    def headers(self) -> dict[str, str]:
        """A signed token if the master belongs to this instance; nothing for other clusters."""
        settings = self._settings
        ours = (settings.spark_host, settings.ports["spark-rest"])
        return rest_headers(settings) if (self._host, self._extra.rest_port) == ours else {}

    @property
    def _is_ours(self) -> bool:
        """Whether the connection points to the master of this instance and not to another cluster."""
        settings = self._settings
        return self._host == settings.spark_host and self._port == settings.ports["spark-master"]

    def check_reachable(self) -> None:
        """Raise PlatformError if the master cannot be reached."""
        check_reachable(self._host, self._port, self._extra.rest_port, self.headers)

    def submission(self, settings: Settings, job: str, arguments: Sequence[str]) -> Submission:
        """Return how to launch a driver."""
        extra = self._extra
        is_local = extra.job_master.startswith("local")
        driver_host = extra.driver_host or ("127.0.0.1" if is_local else None)
        (jar,) = (package_directory("pyspark") / "jars").glob("spark-core_*.jar")
        pyspark_home = Path(extra.pyspark_home or package_directory("pyspark"))
        properties = rpc_properties(settings) if self._is_ours else None
        # A driver with separate executors uses RPC and needs the secret. A local driver generates its own.
        secured = ["--properties-file", str(properties)] if properties and not is_local else []
        return Submission(
            application=(pyspark_home / "jars" / jar.name).as_uri(),
            arguments=[*secured, "--master", extra.job_master, f"{extra.job_home}/{job}", *arguments],
            java_class=_MAIN_CLASS,
            properties_file=str(properties) if properties else None,
            conf={
                # spark-submit hands the driver over and exits, so the driver does not depend on a process of this task.
                # This is Spark's default, stated because a spark-defaults.conf on this machine could change it.
                "spark.standalone.submit.waitAppCompletion": "false",
                # A worker gives a driver none of the options that Arrow needs; the cache makes the start quick.
                "spark.driver.extraJavaOptions": joined(driver_options(), extra.driver_java_options),
                # The Python of the driver, and through the driver that of the executors.
                "spark.pyspark.python": extra.driver_python,
                # By default the driver binds to the address of the machine's name, which other machines may reach.
                **({"spark.driver.host": driver_host, "spark.driver.bindAddress": driver_host} if driver_host else {}),
                **({} if is_local else self._confs_of_executors()),
                **extra.conf,
            },
            driver_memory=extra.driver_memory,
            environment=submit_environment(
                os.environ,
                settings,
                job_home=extra.job_home,
                changes={**({"SPARK_LOCAL_IP": driver_host} if driver_host else {}), **extra.driver_environment},
            ),
        )

    def _confs_of_executors(self) -> dict[str, str]:
        bundle = self._extra.bundle
        return {
            # Without ExitOnOutOfMemoryError, an executor whose JVM ran out of memory stays alive and loses its task.
            "spark.executor.extraJavaOptions": "-XX:+UseParallelGC -XX:+ExitOnOutOfMemoryError",
            # Python workers import the modules of this repository.
            "spark.executorEnv.PYTHONPATH": _BUNDLE if bundle else self._extra.job_home,
            **({"spark.archives": f"{bundle}#{_BUNDLE}"} if bundle else {}),
        }

    def log_page(self, driver_id: str) -> str | None:
        """Return the log page of the worker that runs the driver."""
        return self._pages.log_page(driver_id)

    def log_tails(self, driver_id: str) -> dict[str, str]:
        """Read the ends of the driver's logs from the worker that runs it."""
        return self._pages.log_tails(driver_id)

    def kill(self, driver_id: str) -> str:
        """Ask the master to end a driver."""
        address = f"{self._extra.rest_scheme}://{self._host}:{self._extra.rest_port}"
        try:
            return kill_driver(address, driver_id, self.headers)
        except requests.RequestException as error:
            raise PlatformError(
                f"the Spark master at {address} cannot be asked to end {driver_id}: {error}",
                f"See `make status` and the Airflow connection {SPARK_CONN_ID}; `make up` starts what is down",
            ) from error
