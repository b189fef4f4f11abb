"""Stand in for the provider ``cncf.kubernetes`` and its client, which only the image for Kubernetes contains."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from airflow.providers.apache.spark.hooks import spark_submit as hooks
from airflow.providers.apache.spark.operators import spark_submit as operators


class ApiError(Exception):
    """An error like ``kubernetes.client.ApiException``."""

    def __init__(self, status: int) -> None:
        super().__init__(f"({status})")
        self.status = status


class Pods:
    """The pods of one namespace, by name with their phase, as the core API's client returns them."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.phases: dict[str, str] = {}
        self.logs: dict[str, str] = {}
        self.deleted: list[str] = []
        self.is_away = False

    def list_namespaced_pod(self, namespace: str, **_: Any) -> None:
        self._look(namespace)

    def read_namespaced_pod(self, name: str, namespace: str) -> Any:
        self._look(namespace, name)
        return SimpleNamespace(status=SimpleNamespace(phase=self.phases[name], container_statuses=None))

    def read_namespaced_pod_log(self, name: str, namespace: str, *, container: str, tail_lines: int) -> str:
        self._look(namespace, name)
        return "\n".join(self.logs[name].splitlines()[-tail_lines:])

    def delete_namespaced_pod(self, name: str, namespace: str) -> None:
        self._look(namespace, name)
        del self.phases[name]
        self.deleted.append(name)

    def _look(self, namespace: str, name: str | None = None) -> None:
        if self.is_away:
            raise ApiError(503)
        if namespace != self.namespace:
            raise ApiError(403)
        if name is not None and name not in self.phases:
            raise ApiError(404)


def with_pods(patch: pytest.MonkeyPatch, namespace: str) -> Pods:
    """Let Airflow find the provider, with a cluster that has these pods."""
    pods = Pods(namespace)
    kube_client = SimpleNamespace(get_kube_client=lambda: pods, ApiException=ApiError)
    provider, client = ModuleType("airflow.providers.cncf.kubernetes"), ModuleType("kubernetes.client")
    vars(provider)["kube_client"] = kube_client
    vars(client)["ApiException"] = ApiError
    for module in (provider, client, ModuleType("airflow.providers.cncf"), ModuleType("kubernetes")):
        patch.setitem(sys.modules, module.__name__, module)
    patch.setattr(hooks, "kube_client", kube_client, raising=False)
    patch.setattr(operators, "kube_client", kube_client)
    return pods
