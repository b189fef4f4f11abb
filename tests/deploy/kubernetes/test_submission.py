"""Test the pod that the real ``spark-submit`` requests with the chart's values; the API server here only records."""

from __future__ import annotations

import json
from typing import Any

import kubernetes_validate
import pytest
from airflow.sdk import Connection

from include.airflow.spark.clusters import cluster_of
from include.airflow.spark.operators import StreamSubmitOperator
from include.platform.installation.java import java_home, prepare_java
from include.settings import Settings
from tests.support.kube_api import RecordingApi, recording_api
from tests.support.kubernetes import with_pods
from tests.support.manifests import FOLDER, VERSIONS, of_kind, values


@pytest.fixture(scope="module")
def submitted(tmp_path_factory: pytest.TempPathFactory) -> RecordingApi:
    """Return the recording API server after one submission."""
    home = tmp_path_factory.mktemp("airflow")
    settings = Settings(home=home)
    prepare_java(settings)
    (text,) = (one["value"] for one in values()["env"] if one["name"] == "AIRFLOW_CONN_SPARK_CLUSTER")
    connection = json.loads(text.replace("/etc/shopstream/pod-templates", str(FOLDER)))
    with pytest.MonkeyPatch.context() as patch, recording_api() as (api, port):
        connection |= {"host": "k8s://http://127.0.0.1", "port": port}
        patch.setenv("JAVA_HOME", str(java_home(settings)))
        patch.setenv("AIRFLOW_CONN_SPARK_CLUSTER", json.dumps(connection))
        patch.setenv("KUBECONFIG", str(home / "none"))
        patch.setenv("SHOPSTREAM_LANDING", "/data/landing")
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            patch.delenv(name, raising=False)
        with_pods(patch, "shopstream")
        operator = StreamSubmitOperator(
            task_id="run", job="jobs/stream_events.py", application_args=["--mode", "drain"]
        )
        spark = Connection(conn_id="spark_cluster", **{**connection, "extra": json.dumps(connection["extra"])})
        operator._prepare(settings, cluster_of(spark, settings))
        operator._hook = operator._get_hook()
        operator._driver_id = str(operator._pod)
        operator._hook.submit(operator.application, env=dict(operator._submit_env))
    return api


@pytest.fixture
def pod(submitted: RecordingApi) -> dict[str, Any]:
    (pod,) = submitted.of_kind("Pod")
    return pod


@pytest.mark.parametrize("version", VERSIONS)
def test_every_requested_object_is_valid_for_kubernetes(submitted: RecordingApi, version: str) -> None:
    assert {one["kind"] for one in submitted.objects.values()} >= {"Pod", "ConfigMap", "Service"}
    for one in submitted.objects.values():
        kubernetes_validate.validate(one, version, strict=True)


def test_the_role_of_the_task_allows_all_its_requests(submitted: RecordingApi) -> None:
    """Compare the requests with the role of the task's service account in rbac.yaml."""
    verbs = {"POST": "create", "GET": "get", "PATCH": "patch", "PUT": "update", "DELETE": "delete"}
    (role,) = (one for one in of_kind("Role") if one["metadata"]["name"] == "shopstream-task")
    allowed = {(verb, resource) for rule in role["rules"] for verb in rule["verbs"] for resource in rule["resources"]}
    done = set()
    for request in submitted.requests:
        method, path = request.split()
        group, _, rest = path.partition("/namespaces/shopstream/")
        # Spark by default creates a NetworkPolicy for its executors. An account with that right could also open the
        # access that our policies deny.
        assert group == "/api/v1", request
        done.add((verbs[method], rest.split("/")[0]))
    assert done <= allowed


def test_the_driver_runs_the_job_of_the_image(pod: dict[str, Any]) -> None:
    (container,) = pod["spec"]["containers"]
    assert container["image"] == f"{values()['defaultAirflowRepository']}:{values()['defaultAirflowTag']}"
    assert container["args"][0] == "driver"
    assert container["args"][-3:] == ["local:///opt/shopstream/jobs/stream_events.py", "--mode", "drain"]
    environment = {one["name"]: one.get("value") for one in container["env"]}
    assert environment["SHOPSTREAM_HOME"] == "/var/lib/shopstream"
    assert environment["SHOPSTREAM_LANDING"] == "/data/landing"
    assert environment["PYTHONPATH"].split(":")[0] == "/opt/shopstream"
    assert not any(name.startswith("AIRFLOW") for name in environment)
    assert container["resources"]["requests"] == {"cpu": "2", "memory": "2524Mi"}


def test_the_driver_pod_keeps_the_settings_of_its_template(pod: dict[str, Any]) -> None:
    spec = pod["spec"]
    assert pod["metadata"]["labels"]["app.kubernetes.io/component"] == "driver"
    assert spec["serviceAccountName"] == "shopstream-driver"
    assert spec["restartPolicy"] == "Never"
    assert spec["securityContext"]["runAsNonRoot"] is True
    (container,) = spec["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    mounts = {one["mountPath"] for one in container["volumeMounts"]}
    assert {"/data", "/var/lib/shopstream", "/etc/shopstream/secrets", "/etc/shopstream/ca", "/tmp"} <= mounts


def test_the_driver_gets_the_template_of_executors(submitted: RecordingApi) -> None:
    templates = [one for one in submitted.of_kind("ConfigMap") if "executor" in str(one["data"])]
    text = "".join(text for one in templates for text in one["data"].values())
    assert "shopstream-executor" in text
    assert "spark.executor.instances=2" in text
