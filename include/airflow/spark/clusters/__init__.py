"""Support the kinds of Spark cluster that can run the stream's driver; the Spark connection selects one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.airflow.spark.clusters.base import Cluster, Submission
from include.airflow.spark.clusters.kubernetes import KubernetesCluster
from include.airflow.spark.clusters.standalone import StandaloneCluster
from include.airflow.spark.connection_extra import SparkExtra
from include.settings import Settings

if TYPE_CHECKING:
    from airflow.sdk import Connection

__all__ = ["Cluster", "Submission", "cluster_of"]


def cluster_of(connection: Connection, settings: Settings) -> Cluster:
    """Return the cluster that a Spark connection points to.

    Raises
    ------
    SettingsError
        When the extra of the connection is invalid.
    """
    extra = SparkExtra.of(str(connection.conn_id), connection.extra_dejson)
    host = str(connection.host)
    if host.startswith("k8s://") or connection.conn_type == "k8s":
        return KubernetesCluster(str(connection.conn_id), extra)
    return StandaloneCluster(host, connection.port, extra, settings)
