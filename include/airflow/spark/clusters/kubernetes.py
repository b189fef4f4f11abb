"""Run Spark on Kubernetes, where the driver is a pod that starts the pods of its executors.

This needs the provider ``cncf.kubernetes``, which only the image in docker/kubernetes installs.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from typing import Any

from include.airflow.launch import search_path
from include.airflow.spark.clusters.base import Submission
from include.airflow.spark.connection_extra import SparkExtra
from include.errors import PlatformError, SettingsError
from include.platform.programs.driver_jvm import driver_options, joined
from include.settings import PREFIX, Settings

_CONTAINER = "spark-kubernetes-driver"
_TAIL_LINES = 100


class KubernetesCluster:
    """Implement :class:`include.airflow.spark.clusters.base.Cluster` for Kubernetes.

    A driver's id is ``namespace:pod``, or the pod alone. Only Airflow replaces a driver whose pod has ended, because
    Spark creates the pod with the restart policy ``Never``.

    Parameters
    ----------
    conn_id, extra:
        Id and extra of the Airflow connection.
    """

    def __init__(self, conn_id: str, extra: SparkExtra) -> None:
        if not extra.namespace:
            raise SettingsError(
                f"the Airflow connection {conn_id} points to Kubernetes but names no namespace",
                'Add it to the extra, for example {"namespace": "shopstream"}',
            )
        self._namespace: str = extra.namespace
        self._extra = extra

    @property
    def passing_errors(self) -> tuple[type[Exception], ...]:
        """The errors that the Kubernetes client raises."""
        import urllib3
        from kubernetes.client import ApiException

        return ApiException, urllib3.exceptions.HTTPError, RuntimeError

    @property
    def headers(self) -> dict[str, str]:
        """No headers: the Kubernetes client sets its own."""
        return {}

    def check_reachable(self) -> None:
        """List the pods, which fails if the API server is down or the service account lacks the permission."""
        try:
            self._client().list_namespaced_pod(self._namespace, limit=1, _request_timeout=5)
        except self.passing_errors as error:
            raise PlatformError(
                f"the pods of the namespace {self._namespace} cannot be listed: {error}",
                "Check the service account of Airflow's workers and its Role in docker/kubernetes/rbac.yaml",
            ) from error

    def submission(self, settings: Settings, job: str, arguments: Sequence[str]) -> Submission:
        """Return how to launch a driver; name its pod, since the stock hook finds pods only in the namespace spark."""
        extra = self._extra
        pod = f"shopstream-{uuid.uuid4().hex[:12]}-driver"
        ours = {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
        environment = {"PYTHONPATH": extra.job_home, **ours, **extra.driver_environment}
        return Submission(
            application=f"local://{extra.job_home}/{job}",
            arguments=list(arguments),
            pod=pod,
            conf={
                "spark.kubernetes.driver.pod.name": pod,
                "spark.driver.extraJavaOptions": joined(driver_options(), extra.driver_java_options),
                # Without ExitOnOutOfMemoryError, an executor whose JVM ran out of memory stays alive without its task.
                "spark.executor.extraJavaOptions": "-XX:+UseParallelGC -XX:+ExitOnOutOfMemoryError",
                "spark.pyspark.python": extra.driver_python,
                # Executors get no other variable of the environment; they need no settings.
                "spark.executorEnv.PYTHONPATH": extra.job_home,
                **{f"spark.kubernetes.driverEnv.{name}": value for name, value in environment.items()},
                **extra.conf,
            },
            driver_memory=extra.driver_memory,
            environment={**os.environ, "PATH": search_path(os.environ)},
        )

    def log_page(self, driver_id: str) -> str | None:
        """Return None, since Kubernetes has no page for a log."""
        return None

    def log_tails(self, driver_id: str) -> dict[str, str]:
        """Return the last lines of the driver's container, or nothing when its pod no longer exists."""
        try:
            tail = self._client().read_namespaced_pod_log(
                _pod(driver_id), self._namespace, container=_CONTAINER, tail_lines=_TAIL_LINES
            )
        except self.passing_errors:
            return {}
        return {"the log": tail.strip()} if tail.strip() else {}

    def kill(self, driver_id: str) -> str:
        """Delete the driver's pod, and with it the pods of its executors, which it owns."""
        try:
            self._client().delete_namespaced_pod(_pod(driver_id), self._namespace)
        except self.passing_errors as error:
            raise PlatformError(
                f"the pod {driver_id} cannot be deleted: {error}",
                f"kubectl delete pod -n {self._namespace} {_pod(driver_id)}",
            ) from error
        return "its pod is being deleted"

    def _client(self) -> Any:
        from airflow.providers.cncf.kubernetes import kube_client

        return kube_client.get_kube_client()


def _pod(driver_id: str) -> str:
    return driver_id.rpartition(":")[2]
