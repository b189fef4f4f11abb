"""Test the extra of the Spark connection, and the command for each kind of cluster."""

from __future__ import annotations

import itertools
import json
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowException

from include.airflow.connections import SPARK_CONN_ID
from include.airflow.spark import operators, reference
from include.airflow.spark.clusters import cluster_of
from include.airflow.spark.connection_extra import SparkExtra
from include.airflow.spark.operators import StreamSubmitOperator
from include.errors import PlatformError, SettingsError
from include.settings import Settings
from tests.support.kubernetes import Pods, with_pods

KUBERNETES = {
    "conn_type": "spark",
    "host": "k8s://https://kubernetes.default.svc",
    "port": 443,
    "extra": {
        "deploy-mode": "cluster",
        "namespace": "shopstream",
        "job-home": "/opt/shopstream",
        "driver-memory": "2g",
        "driver-environment": {"SHOPSTREAM_HOME": "/var/lib/shopstream"},
        "conf": {"spark.executor.instances": 2, "spark.kubernetes.container.image": "shopstream:1"},
    },
}


@pytest.mark.parametrize(
    ("extra", "fault"),
    [
        ({"deploy-mode": "client"}, "deploy-mode='client': input should be 'cluster'"),
        ({"jobmaster": "local"}, "jobmaster is not a key; did you mean job-master?"),
        ({"driver-memory": "much"}, "driver-memory='much'"),
        ({"conf": {"spark.driver.memory": "4g"}}, r"have their own keys: spark.driver.memory \(use driver-memory\)"),
    ],
)
def test_a_wrong_extra_is_refused(extra: dict[str, Any], fault: str) -> None:
    with pytest.raises(SettingsError, match=f"the Airflow connection spark is wrong:\n  - .*{fault}"):
        SparkExtra.of("spark", extra)


def test_all_faults_of_an_extra_are_reported_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        SparkExtra.of("spark", {"rest-port": 0, "jobmaster": "local"})
    assert str(refused.value).count("\n  - ") == 2


def test_empty_fields_of_airflows_form_are_ignored() -> None:
    assert SparkExtra.of("spark", {"queue": "", "keytab": None, "namespace": ""}) == SparkExtra()


def test_executors_without_a_checkout_receive_the_code_bundle(airflow: Settings) -> None:
    extra = json.dumps({"job-master": "spark://m:7077", "bundle": "/shared/code.zip", "pyspark-home": "/opt/spark"})
    spark = Connection(conn_id="spark", conn_type="spark", host="spark://m", extra=extra)
    submission = cluster_of(spark, airflow).submission(airflow, "jobs/stream_events.py", [])
    assert submission.conf["spark.archives"] == "/shared/code.zip#shopstream"
    assert submission.conf["spark.executorEnv.PYTHONPATH"] == "shopstream"
    assert submission.application.startswith("file:///opt/spark/jars/spark-core_")


def test_kubernetes_needs_a_namespace(airflow: Settings) -> None:
    spark = Connection(conn_id="spark", conn_type="spark", host="k8s://https://api", extra='{"job-home": "/x"}')
    with pytest.raises(SettingsError, match="names no namespace"):
        cluster_of(spark, airflow)


@pytest.fixture
def pods(airflow: Settings, monkeypatch: pytest.MonkeyPatch) -> Pods:
    """Return a cluster without pods, and make Airflow's Spark connection point to it."""
    monkeypatch.setenv(f"AIRFLOW_CONN_{SPARK_CONN_ID.upper()}", json.dumps(KUBERNETES))
    monkeypatch.setenv("SHOPSTREAM_TRIGGER_SECONDS", "1")
    monkeypatch.setattr(operators, "_POLL_SECONDS", 0.01)
    return with_pods(monkeypatch, "shopstream")


@pytest.fixture
def operator(pods: Pods, airflow: Settings, monkeypatch: pytest.MonkeyPatch) -> StreamSubmitOperator:
    """Return a prepared operator whose spark-submit only creates the requested pod."""
    operator = StreamSubmitOperator(task_id="run", job="jobs/stream_events.py", application_args=["--mode", "drain"])
    spark = {**KUBERNETES, "extra": json.dumps(KUBERNETES["extra"])}
    operator._prepare(airflow, cluster_of(Connection(conn_id=SPARK_CONN_ID, **spark), airflow))
    operator._hook = operator._get_hook()

    def submit(application: str, *, env: dict[str, str]) -> None:
        pods.phases[operator._hook._conf["spark.kubernetes.driver.pod.name"]] = "Pending"

    monkeypatch.setattr(operator._hook, "submit", submit)
    return operator


def test_on_kubernetes_the_job_itself_is_submitted(operator: StreamSubmitOperator) -> None:
    command = operator._hook._build_spark_submit_command(operator.application)
    assert command[:3] == ["spark-submit", "--master", "k8s://https://kubernetes.default.svc:443"]
    assert "--supervise" not in command
    assert "--class" not in command
    assert command[command.index("--deploy-mode") + 1] == "cluster"
    assert command[command.index("--driver-memory") + 1] == "2g"
    # The arguments of the job follow the job's path.
    application = command.index("local:///opt/shopstream/jobs/stream_events.py")
    assert command[application + 1 :] == ["--mode", "drain"]
    confs = dict(value.split("=", 1) for option, value in itertools.pairwise(command) if option == "--conf")
    assert confs["spark.kubernetes.namespace"] == "shopstream"
    assert confs["spark.kubernetes.submission.waitAppCompletion"] == "false"
    assert confs["spark.kubernetes.container.image"] == "shopstream:1"
    assert confs["spark.kubernetes.driver.pod.name"] == operator._pod
    assert confs["spark.kubernetes.driverEnv.SHOPSTREAM_HOME"] == "/var/lib/shopstream"
    assert confs["spark.kubernetes.driverEnv.SHOPSTREAM_TRIGGER_SECONDS"] == "1"
    assert confs["spark.kubernetes.driverEnv.PYTHONPATH"] == "/opt/shopstream"
    assert confs["spark.executorEnv.PYTHONPATH"] == "/opt/shopstream"
    assert confs["spark.pyspark.python"] == sys.executable
    assert not any("AIRFLOW" in name for name in confs)


def test_a_driver_pod_is_watched_until_it_ends(operator: StreamSubmitOperator, pods: Pods) -> None:
    context = {"ti": SimpleNamespace(xcom_push=lambda **_: None)}
    external_id = operator.submit_job(context)
    assert external_id == f"shopstream:{operator._pod}"
    assert operator.is_job_active(operator.get_job_status(external_id, context))
    pods.phases[operator._pod] = "Failed"
    pods.logs[operator._pod] = "line\nSettingsError: what is wrong"
    with pytest.raises(AirflowException, match=r"driver ended as Failed.\nIt ended before it could take"):
        operator.poll_until_complete(external_id, context)
    assert operator._cluster.log_tails(external_id) == {"the log": "line\nSettingsError: what is wrong"}
    # A retry finds no driver to attach to, and starts the next one.
    pods.phases.clear()
    assert not operator.is_job_active(operator.get_job_status(external_id, context))


def test_a_short_outage_of_the_api_server_is_tolerated(
    operator: StreamSubmitOperator, pods: Pods, monkeypatch: pytest.MonkeyPatch
) -> None:
    external_id = operator.submit_job({})
    pods.is_away = True
    monkeypatch.setattr(operators.time, "sleep", lambda _: setattr(pods, "is_away", False))
    assert operator._status_within_timeout(external_id, {}) == "Pending"
    pods.is_away = True
    monkeypatch.setattr(operators.time, "sleep", lambda _: None)
    monkeypatch.setattr(operators, "_MASTER_TIMEOUT_SECONDS", 0)
    with pytest.raises(PlatformError, match=r"gave no state of shopstream:.* \(503\)"):
        operator._status_within_timeout(external_id, {})


def test_a_stopped_task_deletes_the_driver_pod(operator: StreamSubmitOperator, pods: Pods) -> None:
    operator.submit_job({})
    with pytest.raises(AirflowException, match="told to stop"):
        operator.on_kill()
    assert pods.deleted == [operator._pod]
    with pytest.raises(PlatformError, match=f"cannot be deleted.*kubectl delete pod -n shopstream {operator._pod}"):
        operator._cluster.kill(str(operator._pod))


def test_a_namespace_that_cannot_be_listed_is_reported_at_once(operator: StreamSubmitOperator, pods: Pods) -> None:
    pods.namespace = "another"
    with pytest.raises(PlatformError, match=r"the namespace shopstream cannot be listed: \(403\).*rbac.yaml"):
        operator._cluster.check_reachable()


def test_the_documentation_of_the_keys_is_up_to_date() -> None:
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page(), "run `make docs` and commit docs/cluster.md"
