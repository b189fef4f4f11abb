"""Test the manifests of docker/kubernetes against the schemas of Kubernetes, and against one another.

CloudNativePG's Cluster and kustomize's file have no schema here. For the Cluster, a test checks the important fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest

from tests.support.manifests import FOLDER, FOREIGN, VERSIONS, Manifest, manifests, of_kind, pod_specs, values

_ALL = [(f"{name}-{number}", one) for name, all_ in manifests().items() for number, one in enumerate(all_)]
_OWN = [pytest.param(one, id=name) for name, one in _ALL if (one["apiVersion"], one["kind"]) not in FOREIGN]
_NAMESPACE = "shopstream"
_MADE_BY_THE_OPERATOR = {"shopstream-db-ca"}
_CHART_LABELS = [{"tier": "airflow"}]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("manifest", _OWN)
def test_a_manifest_is_valid_for_kubernetes(manifest: Manifest, version: str) -> None:
    kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_schemas_refuse_an_invalid_manifest(version: str) -> None:
    (policy,) = (one for one in of_kind("NetworkPolicy") if one["metadata"]["name"] == "deny-all")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**policy, "spec": {"podSelectors": {}}}, version, strict=True)


def test_kustomize_knows_every_file() -> None:
    (kustomization,) = of_kind("Kustomization")
    templates = {name for one in kustomization["configMapGenerator"] for name in one["files"]}
    assert templates == {"driver-pod.yaml", "executor-pod.yaml"}
    applied_by_hand = {"prepare-job.yaml", "kustomization.yaml"}
    assert set(kustomization["resources"]) | templates | applied_by_hand == set(manifests())


def test_everything_is_in_the_one_namespace() -> None:
    outside = {"Namespace", "Kustomization", "Pod"}
    found = {one["metadata"].get("namespace") for _, one in _ALL if one["kind"] not in outside}
    assert found == {_NAMESPACE}
    (namespace,) = of_kind("Namespace")
    assert namespace["metadata"]["name"] == _NAMESPACE
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("name", sorted(pod_specs()))
def test_a_pod_meets_the_standard_of_the_namespace(name: str) -> None:
    """Check the level ``restricted`` of Kubernetes' Pod Security Standards."""
    spec = pod_specs()[name]["spec"]
    pod = spec["securityContext"]
    assert pod["runAsNonRoot"] is True
    assert pod["runAsUser"] > 0
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    allowed = {"configMap", "emptyDir", "persistentVolumeClaim", "secret", "projected"}
    assert all(set(volume) - {"name"} <= allowed for volume in spec["volumes"])
    for container in spec["containers"]:
        own = container["securityContext"]
        assert own["allowPrivilegeEscalation"] is False
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert own["readOnlyRootFilesystem"] is True
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in spec["volumes"]}


def test_one_image_of_one_version_is_everywhere() -> None:
    images = {container["image"] for pod in pod_specs().values() for container in pod["spec"]["containers"]}
    assert images == {f"{values()['defaultAirflowRepository']}:{values()['defaultAirflowTag']}"}
    assert not any(image.endswith(":latest") for image in images)


def test_every_mounted_or_referenced_secret_and_claim_exists() -> None:
    made = set(re.findall(r"^secret (\S+)", (FOLDER / "secrets.sh").read_text(encoding="utf-8"), re.MULTILINE))
    secrets = {one["secret"]["secretName"] for one in _volumes() if "secret" in one}
    (cluster,) = of_kind("Cluster")
    chart = values()
    secrets |= {cluster["spec"]["superuserSecret"]["name"], chart["data"]["metadataSecretName"]}
    secrets |= {chart[f"{key}SecretName"] for key in ("fernetKey", "apiSecretKey", "jwt")}
    assert secrets - _MADE_BY_THE_OPERATOR == made
    claims = {one["persistentVolumeClaim"]["claimName"] for one in _volumes() if "persistentVolumeClaim" in one}
    assert claims == {one["metadata"]["name"] for one in of_kind("PersistentVolumeClaim")}


def test_an_executor_has_no_secret_and_cannot_write_files() -> None:
    spec = pod_specs()["executor-pod.yaml"]["spec"]
    assert not any("secret" in volume for volume in spec["volumes"])
    assert spec["automountServiceAccountToken"] is False
    (data,) = (mount for mount in spec["containers"][0]["volumeMounts"] if mount["mountPath"] == "/data")
    assert data["readOnly"] is True
    assert "AIRFLOW" not in str(spec)


def test_role_bindings_name_existing_accounts_and_grant_least_privilege() -> None:
    accounts = {one["metadata"]["name"] for one in of_kind("ServiceAccount")}
    roles = {one["metadata"]["name"]: one["rules"] for one in of_kind("Role")}
    for binding in of_kind("RoleBinding"):
        assert binding["roleRef"]["name"] in roles
        assert {subject["name"] for subject in binding["subjects"]} <= accounts
    rules = [rule for one in roles.values() for rule in one]
    assert not any("*" in value for rule in rules for value in (*rule["verbs"], *rule["resources"]))
    assert not any("secrets" in rule["resources"] for rule in rules)
    assert "shopstream-executor" in accounts - {
        subject["name"] for one in of_kind("RoleBinding") for subject in one["subjects"]
    }


def test_network_policies_deny_everything_that_is_not_listed() -> None:
    policies = {one["metadata"]["name"]: one["spec"] for one in of_kind("NetworkPolicy")}
    assert policies["deny-all"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    labels = [pod["metadata"]["labels"] for pod in pod_specs().values()]
    labels += [*_CHART_LABELS, {"cnpg.io/cluster": of_kind("Cluster")[0]["metadata"]["name"]}]
    for selector in _pod_selectors(policies):
        assert any(_selects(selector, one) for one in labels), f"{selector} selects no pod that there is"
    # Executors reach neither the database nor the internet.
    (egress,) = policies["executor"]["egress"]
    assert "ports" not in egress
    assert {"database", "5432"}.isdisjoint(str(policies["executor"]))
    peers = [peer for rule in policies["postgres"]["ingress"] for peer in rule["from"]]
    executor = pod_specs()["executor-pod.yaml"]["metadata"]["labels"]
    assert not any(_selects(peer["podSelector"], executor) for peer in peers if "podSelector" in peer)


def test_the_budget_is_for_executors() -> None:
    (budget,) = of_kind("PodDisruptionBudget")
    selector = budget["spec"]["selector"]
    assert _selects(selector, pod_specs()["executor-pod.yaml"]["metadata"]["labels"])
    assert not _selects(selector, pod_specs()["driver-pod.yaml"]["metadata"]["labels"])


def test_postgres_refuses_plaintext_and_loses_no_commit_in_a_failover() -> None:
    (cluster,) = of_kind("Cluster")
    spec = cluster["spec"]
    assert spec["postgresql"]["pg_hba"][0] == "hostnossl all all all reject"
    assert spec["postgresql"]["synchronous"] == {"method": "any", "number": 1, "dataDurability": "required"}
    assert spec["instances"] >= 3
    assert spec["bootstrap"]["initdb"]["dataChecksums"] is True
    assert re.fullmatch(r"\S+:18\.\d+\S*", spec["imageName"])
    known = {"instances", "imageName", "enableSuperuserAccess", "superuserSecret", "bootstrap", "postgresql"}
    assert set(spec) == known | {"storage", "walStorage", "resources", "affinity"}


def _volumes() -> Iterator[dict[str, Any]]:
    for pod in pod_specs().values():
        yield from pod["spec"]["volumes"]
    yield from values()["volumes"]


def _pod_selectors(policies: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for policy in policies.values():
        if policy["podSelector"]:
            yield policy["podSelector"]
        for rule in (*policy.get("ingress", ()), *policy.get("egress", ())):
            for peer in (*rule.get("from", ()), *rule.get("to", ())):
                if "podSelector" in peer:
                    yield peer["podSelector"]


def _selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    equal = all(labels.get(name) == value for name, value in selector.get("matchLabels", {}).items())
    return equal and all(
        one["operator"] == "In" and labels.get(one["key"]) in one["values"]
        for one in selector.get("matchExpressions", ())
    )
