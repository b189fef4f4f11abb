"""A Spark standalone cluster: the driver is a ``spark-submit`` on a worker, kept alive by that worker."""

from __future__ import annotations

import os
from collections.abc import Sequence

import requests

from include.airflow.clusters.base import Submission
from include.airflow.connections import SPARK_CONN_ID
from include.airflow.launch import check_reachable, submit_environment
from include.airflow.spark_extra import SparkExtra
from include.airflow.spark_ui import DriverPages, kill_driver
from include.errors import PlatformError
from include.platform.driver_jvm import driver_options
from include.platform.packages import package_directory
from include.settings import Settings

_MAIN_CLASS = "org.apache.spark.deploy.SparkSubmit"
# Where an executor finds the bundle that Spark has unpacked for it: in its working directory.
_BUNDLE = "shopstream"


class StandaloneCluster:
    """See :class:`include.airflow.clusters.base.Cluster`.

    Spark refuses Python applications in cluster mode on a standalone cluster. It takes Java ones, and ``spark-submit``
    is one: so the driver on the worker is a ``spark-submit`` of its own, which runs the job.

    Parameters
    ----------
    host, port:
        Of the Airflow connection: ``spark://master`` and the master's RPC port.
    extra:
        Of the Airflow connection.
    settings:
        Of Airflow's side.
    """

    passing_errors = (requests.RequestException, RuntimeError)

    def __init__(self, host: str, port: int | None, extra: SparkExtra, settings: Settings) -> None:
        self._port = port
        self._extra = extra
        self._host = host.removeprefix("spark://").split(",")[0].split(":")[0]
        self._pages = DriverPages(extra.master_ui or f"http://{self._host}:{settings.ports['spark-master-ui']}")

    def check_reachable(self) -> None:
        """Refuse a master that is away."""
        check_reachable(self._host, self._port, self._extra.rest_port)

    def submission(self, settings: Settings, job: str, arguments: Sequence[str]) -> Submission:
        """How a driver is launched."""
        extra = self._extra
        is_local = extra.job_master.startswith("local")
        driver_host = extra.driver_host or ("127.0.0.1" if is_local else None)
        (jar,) = (package_directory("pyspark") / "jars").glob("spark-core_*.jar")
        pyspark_home = extra.pyspark_home or str(package_directory("pyspark"))
        return Submission(
            application=f"file://{pyspark_home}/jars/{jar.name}",
            arguments=["--master", extra.job_master, f"{extra.job_home}/{job}", *arguments],
            java_class=_MAIN_CLASS,
            conf={
                # spark-submit hands the driver over and ends: the driver must not depend on a process of this task.
                "spark.standalone.submit.waitAppCompletion": "false",
                "spark.driver.cores": "1",
                "spark.driver.extraJavaOptions": " ".join((*driver_options(), *extra.driver_java_options.split())),
                "spark.pyspark.python": extra.driver_python,
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
            # Without, an executor whose JVM is out of memory lives on and loses what it was doing.
            "spark.executor.extraJavaOptions": "-XX:+UseParallelGC -XX:+ExitOnOutOfMemoryError",
            "spark.executorEnv.PYTHONPATH": _BUNDLE if bundle else self._extra.job_home,
            **({"spark.archives": f"{bundle}#{_BUNDLE}"} if bundle else {}),
        }

    def log_page(self, driver_id: str) -> str | None:
        """The page of the worker that runs the driver."""
        return self._pages.log_page(driver_id)

    def log_tails(self, driver_id: str) -> dict[str, str]:
        """As that worker tells them."""
        return self._pages.log_tails(driver_id)

    def kill(self, driver_id: str) -> str:
        """Tell the master to end a driver."""
        address = f"{self._extra.rest_scheme}://{self._host}:{self._extra.rest_port}"
        try:
            return kill_driver(address, driver_id)
        except requests.RequestException as error:
            raise PlatformError(
                f"the Spark master at {address} cannot be told to end {driver_id}: {error}",
                f"See `make status` and the Airflow connection {SPARK_CONN_ID}; `make up` starts what is down",
            ) from error
