"""Test the values for Airflow's chart: the chart knows every key, and they agree with the rest of docker/kubernetes.

Helm checks the values against the chart's own schema at every installation; here only the names are compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from include.airflow.spark.connection_extra import SparkExtra
from include.errors import SettingsError
from include.settings import REPOSITORY, Settings
from tests.support.manifests import of_kind, pod_specs, values

# The keys that the values file uses, taken from the values.yaml of the chart for Airflow 3.1.3. `*` matches all keys
# below.
_KEYS = """
airflowVersion defaultAirflowRepository defaultAirflowTag images.airflow.pullPolicy executor uid gid
securityContexts.pod.* securityContexts.containers.* networkPolicies.enabled postgresql.enabled statsd.enabled
migrateDatabaseJob.enabled createUserJob.enabled data.metadataSecretName fernetKeySecretName apiSecretKeySecretName
jwtSecretName secret extraEnvFrom env volumes volumeMounts config.*
workers.logGroomerSidecar.enabled workers.serviceAccount.create workers.serviceAccount.name workers.resources.*
workers.extraVolumes workers.extraVolumeMounts
scheduler.logGroomerSidecar.enabled scheduler.replicas scheduler.podDisruptionBudget.enabled
scheduler.podDisruptionBudget.config.maxUnavailable scheduler.resources.*
apiServer.replicas apiServer.hpa.enabled apiServer.hpa.minReplicaCount apiServer.hpa.maxReplicaCount
apiServer.podDisruptionBudget.enabled apiServer.podDisruptionBudget.config.maxUnavailable apiServer.resources.*
dagProcessor.enabled dagProcessor.logGroomerSidecar.enabled dagProcessor.resources.*
triggerer.logGroomerSidecar.enabled triggerer.replicas triggerer.persistence.enabled triggerer.resources.*
cleanup.enabled dags.gitSync.enabled dags.persistence.enabled
logs.persistence.enabled logs.persistence.size logs.persistence.storageClassName
ingress.apiServer.enabled ingress.apiServer.ingressClassName ingress.apiServer.hosts
"""


def _paths(value: Any, prefix: str = "") -> Iterator[str]:
    for name, inner in value.items():
        path = f"{prefix}{name}"
        if isinstance(inner, dict) and inner:
            yield from _paths(inner, f"{path}.")
        else:
            yield path


def test_every_key_is_one_of_the_chart() -> None:
    used = set(_paths(values()))
    known = _KEYS.split()
    whole = tuple(key.removesuffix("*") for key in known if key.endswith("*"))
    exact = {key for key in known if not key.endswith("*")}
    assert {path for path in used if not path.startswith(whole)} == exact


def test_the_settings_are_accepted() -> None:
    (data,) = (one["data"] for one in of_kind("ConfigMap") if one["metadata"]["name"] == "shopstream-settings")
    settings = Settings.from_env(data)
    assert settings.database_sslmode == "verify-full"
    with pytest.raises(SettingsError, match="SHOPSTREAM_LANDNIG"):
        Settings.from_env(data | {"SHOPSTREAM_LANDNIG": "/data/landing"})


@pytest.fixture
def spark() -> dict[str, Any]:
    (text,) = (one["value"] for one in values()["env"] if one["name"] == "AIRFLOW_CONN_SPARK_CLUSTER")
    connection: dict[str, Any] = json.loads(text)
    return connection


def test_the_operator_accepts_the_spark_connection(spark: dict[str, Any]) -> None:
    extra = SparkExtra.of("spark_cluster", spark["extra"])
    (namespace,) = of_kind("Namespace")
    assert spark["host"].startswith("k8s://")
    assert extra.namespace == namespace["metadata"]["name"]
    assert (REPOSITORY / "jobs" / "stream_events.py").exists()
    assert extra.conf["spark.kubernetes.container.image"] == (
        f"{values()['defaultAirflowRepository']}:{values()['defaultAirflowTag']}"
    )
    accounts = {one["metadata"]["name"] for one in of_kind("ServiceAccount")}
    used = {value for name, value in extra.conf.items() if name.endswith("serviceAccountName")}
    assert used | {values()["workers"]["serviceAccount"]["name"]} == accounts


def test_tasks_find_the_templates_of_the_pods_that_they_start(spark: dict[str, Any]) -> None:
    (mount,) = values()["workers"]["extraVolumeMounts"]
    (kustomization,) = of_kind("Kustomization")
    (generated,) = kustomization["configMapGenerator"]
    assert values()["workers"]["extraVolumes"] == [{"name": mount["name"], "configMap": {"name": generated["name"]}}]
    templates = {value for name, value in spark["extra"]["conf"].items() if name.endswith("podTemplateFile")}
    assert templates == {f"{mount['mountPath']}/{name}" for name in generated["files"]}


def test_the_driver_writes_only_where_it_may(spark: dict[str, Any]) -> None:
    """Check its volumes: the root file system is read-only, and the state must not be on the shared storage."""
    volumes = {one["name"]: one for one in pod_specs()["driver-pod.yaml"]["spec"]["volumes"]}
    mounts = {one["mountPath"]: one for one in pod_specs()["driver-pod.yaml"]["spec"]["containers"][0]["volumeMounts"]}
    home = spark["extra"]["driver-environment"]["SHOPSTREAM_HOME"]
    assert "emptyDir" in volumes[mounts[home]["name"]]
    (settings,) = of_kind("ConfigMap")
    assert settings["data"]["SHOPSTREAM_SECRETS"].startswith("/tmp/")
    assert settings["data"]["SHOPSTREAM_LANDING"].startswith("/data/")


def test_executors_have_as_many_tasks_as_cores(spark: dict[str, Any]) -> None:
    conf = spark["extra"]["conf"]
    cores = int(conf["spark.executor.instances"]) * int(conf["spark.executor.cores"])
    assert conf["spark.default.parallelism"] == str(cores)
