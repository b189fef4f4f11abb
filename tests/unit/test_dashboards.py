"""Tests that alert rules, dashboards and docs name existing metrics."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from include.metrics.page import PAGE, metrics, with_metrics
from include.settings import REPOSITORY

RULES = REPOSITORY / "docker" / "prometheus" / "rules.yml"
DASHBOARDS = sorted((REPOSITORY / "docker" / "grafana" / "dashboards").glob("*.json"))
# Metrics of Spark's master and workers. tests/e2e/test_observability.py finds them in a running cluster.
SPARK = {
    "metrics_master_aliveWorkers_Value",
    "metrics_worker_coresUsed_Value",
    "metrics_worker_coresFree_Value",
    "metrics_worker_memUsed_MB_Value",
    "metrics_worker_memFree_MB_Value",
}
KNOWN = (
    SPARK
    | {"up", "process_resident_memory_bytes"}
    | {
        name + suffix
        for name, kind, _ in metrics()
        for suffix in (("_bucket", "_sum", "_count") if kind == "histogram" else ("",))
    }
)
# PromQL keywords and functions, and the labels that the queries group by.
LANGUAGE = {
    *("and", "by", "on", "sum", "without", "max", "time"),
    *("rate", "changes", "increase", "delta", "histogram_quantile"),
    *("outcome", "le", "stage", "objective"),
}


def named(query: str) -> set[str]:
    """Return the metrics that a query names: every word except keywords, labels and label values."""
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|\b[0-9][0-9.]*", " ", query)
    return set(re.findall(r"[a-zA-Z_]\w*", bare)) - LANGUAGE


def panels(path: Any) -> list[dict[str, Any]]:
    return json.loads(path.read_text(encoding="utf-8"))["panels"]


def test_rules_name_only_metrics_that_exist() -> None:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    queries = {rule["alert"]: rule["expr"] for group in groups for rule in group["rules"]}
    assert {alert: named(query) - KNOWN for alert, query in queries.items() if named(query) - KNOWN} == {}
    assert all(named(query) for query in queries.values())


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_names_only_metrics_that_exist(path: Any) -> None:
    unknown = {
        panel["title"]: named(target["expr"]) - KNOWN
        for panel in panels(path)
        for target in panel["targets"]
        if named(target["expr"]) - KNOWN
    }
    assert unknown == {}


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_well_formed(path: Any) -> None:
    board = json.loads(path.read_text(encoding="utf-8"))
    assert board["uid"] == path.stem
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    for panel in board["panels"]:
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        # The data source as docker/grafana/provisioning names it.
        assert panel["datasource"] == {"type": "prometheus", "uid": "prometheus"}
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24


def test_every_metric_is_on_a_dashboard_or_in_a_rule() -> None:
    text = RULES.read_text(encoding="utf-8") + "".join(path.read_text(encoding="utf-8") for path in DASHBOARDS)
    unseen = {name for name, _, _ in metrics() if name not in text}
    # Metrics that an operator looks up only after the others have shown a problem.
    assert unseen == {
        "shopstream_alerts_unacknowledged",
        "shopstream_objective_met",
        "shopstream_stream_backlog_bytes",
        "shopstream_stream_heartbeat_timestamp_seconds",
        "shopstream_stream_lag_seconds",
        "shopstream_suite_checks",
        "shopstream_suite_warnings",
    }


def test_the_page_is_up_to_date() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == with_metrics(text), "run `make docs` and commit docs/observability.md"


def test_an_unknown_metric_is_found() -> None:
    assert named('rate(shopstream_rowz_total{outcome="x"}[5m]) > 0.5') - KNOWN == {"shopstream_rowz_total"}
