"""Read the files of docker/kubernetes as Kubernetes would."""

from __future__ import annotations

from typing import Any

import yaml

from include.settings import REPOSITORY

FOLDER = REPOSITORY / "docker" / "kubernetes"
# The oldest and newest versions of Kubernetes that the manifests support.
VERSIONS = ("1.32.0", "1.37.0")
# Kinds that Kubernetes itself does not define; see test_manifests.py.
FOREIGN = {("postgresql.cnpg.io/v1", "Cluster"), ("kustomize.config.k8s.io/v1beta1", "Kustomization")}
VALUES = FOLDER / "values-airflow.yaml"

Manifest = dict[str, Any]


def manifests() -> dict[str, list[Manifest]]:
    """Return the documents of each file by name, without the values of the chart."""
    files = sorted(path for path in FOLDER.glob("*.yaml") if path != VALUES)
    return {path.name: [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one] for path in files}


def of_kind(*kinds: str) -> list[Manifest]:
    """Return all documents of some kinds."""
    return [one for documents in manifests().values() for one in documents if one["kind"] in kinds]


def values() -> dict[str, Any]:
    """Return the values of Airflow's chart."""
    loaded: dict[str, Any] = yaml.safe_load(VALUES.read_text(encoding="utf-8"))
    return loaded


def pod_specs() -> dict[str, Manifest]:
    """Return the pods written here, by name or file, each with its labels; those of the chart are not included."""
    pods = {name: document for name, documents in manifests().items() for document in documents}
    found = {}
    for name, document in pods.items():
        if document["kind"] == "Pod":
            found[name] = document
        elif document["kind"] == "Job":
            found[name] = document["spec"]["template"]
        elif document["kind"] == "CronJob":
            found[name] = document["spec"]["jobTemplate"]["spec"]["template"]
    return found
