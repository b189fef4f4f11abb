"""The kinds of Spark cluster on which the stream's driver can live: the Spark connection says which one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.airflow.clusters.base import Cluster, Submission
from include.airflow.clusters.kubernetes import KubernetesCluster
from include.airflow.clusters.standalone import StandaloneCluster
from include.airflow.spark_extra import SparkExtra
from include.settings import Settings

if TYPE_CHECKING:
    from airflow.sdk import Connection

__all__ = ["Cluster", "Submission", "cluster_of"]


def cluster_of(connection: Connection, settings: Settings) -> Cluster:
    """The cluster that a Spark connection leads to.

    Raises
    ------
    SettingsError
        When the extra of the connection cannot be used as it is.
    """
    extra = SparkExtra.of(str(connection.conn_id), connection.extra_dejson)
    host = str(connection.host)
    if host.startswith("k8s://") or connection.conn_type == "k8s":
        return KubernetesCluster(str(connection.conn_id), extra)
    return StandaloneCluster(host, connection.port, extra, settings)
