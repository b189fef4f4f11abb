"""Test the alert rules of docker/prometheus: each fires when it should, and none fires in a healthy hour."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from include.settings import REPOSITORY

RULES = REPOSITORY / "docker" / "prometheus" / "rules.yml"
ALERTS = {rule["alert"]: rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]}

# One scrape per minute for an hour. promtool's clock starts at 0, and so do its Unix timestamps.
HEALTHY = {
    'up{job="shopstream"}': "1x60",
    "shopstream_database_up": "1x60",
    "shopstream_stream_wanted": "1x60",
    "shopstream_stream_up": "1x60",
    "shopstream_stream_turned_timestamp_seconds": "0+60x60",
    "shopstream_stream_started_timestamp_seconds": "0x60",
    "shopstream_stream_epoch": "7x60",
    "shopstream_stream_paused": "0x60",
    "shopstream_stream_quarantined_files": "3x60",
    'shopstream_disk_free_bytes{directory="home"}': "20000000000x60",
    'shopstream_batch_lag_seconds_bucket{le="1.0"}': "0+60x60",
    'shopstream_batch_lag_seconds_bucket{le="5.0"}': "0+60x60",
    'shopstream_batch_lag_seconds_bucket{le="+Inf"}': "0+60x60",
    'shopstream_rows_total{outcome="accepted"}': "0+990x60",
    'shopstream_rows_total{outcome="rejected"}': "0+10x60",
    'shopstream_view_published_timestamp_seconds{view="mart_daily_kpis"}': "0+60x60",
    'shopstream_view_held{view="mart_daily_kpis"}': "0x60",
    'shopstream_suite_critical_failures{suite="events"}': "0x60",
    'shopstream_suite_broken{suite="events"}': "0x60",
    'shopstream_objective_missed{objective="freshness"}': "0x60",
    'shopstream_objective_attainment_ratio{objective="freshness"}': "0.999x60",
    'shopstream_objective_target_ratio{objective="freshness"}': "0.99x60",
    'shopstream_objective_evaluated_minutes{objective="freshness"}': "2000x60",
    'shopstream_objective_evaluated_timestamp_seconds{objective="freshness"}': "0+60x60",
    'shopstream_alerts_open{severity="critical"}': "0x60",
    "shopstream_alert_deliveries_overdue": "0x60",
}

# The differences from a healthy hour, by the alert that they raise. No other alert may fire.
ILL: dict[str, dict[str, str]] = {
    "MetricsUnreachable": {'up{job="shopstream"}': "0x60"},
    "DatabaseDown": {"shopstream_database_up": "0x60"},
    "StreamDown": {"shopstream_stream_up": "0x60"},
    "StreamStandsStill": {"shopstream_stream_turned_timestamp_seconds": "0x60"},
    "StreamRestartsAgainAndAgain": {"shopstream_stream_epoch": "7+1x60"},
    "IntakePaused": {"shopstream_stream_paused": "1x60"},
    "DiskNearlyFull": {'shopstream_disk_free_bytes{directory="home"}': "1000000000x60"},
    "EventsAreLate": {
        'shopstream_batch_lag_seconds_bucket{le="1.0"}': "0+30x60",
        'shopstream_batch_lag_seconds_bucket{le="5.0"}': "0+30x60",
        'shopstream_batch_lag_seconds_bucket{le="10.0"}': "0+60x60",
    },
    "RowsAreRejected": {'shopstream_rows_total{outcome="rejected"}': "0+100x60"},
    "FilesInQuarantine": {"shopstream_stream_quarantined_files": "3+1x60"},
    "ViewStale": {'shopstream_view_published_timestamp_seconds{view="mart_daily_kpis"}': "0x60"},
    "ViewHeldBack": {'shopstream_view_held{view="mart_daily_kpis"}': "1x60"},
    "CheckFailed": {'shopstream_suite_critical_failures{suite="events"}': "2x60"},
    "SuiteBroken": {'shopstream_suite_broken{suite="events"}': "1x60"},
    "ObjectiveMissed": {'shopstream_objective_missed{objective="freshness"}': "1x60"},
    "MonthBelowTarget": {'shopstream_objective_attainment_ratio{objective="freshness"}': "0.98x60"},
    "NobodyJudges": {'shopstream_objective_evaluated_timestamp_seconds{objective="freshness"}': "0x60"},
    "CriticalAlertOpen": {'shopstream_alerts_open{severity="critical"}': "1x60"},
    "AlertsReachNobody": {"shopstream_alert_deliveries_overdue": "2x60"},
}


def promtool(*arguments: str) -> str:
    """Run promtool, which must succeed, and return its output."""
    program = shutil.which("promtool")
    assert program, "promtool is missing; on Debian: apt-get install prometheus"
    done = subprocess.run([program, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def firing(directory: Path, series: dict[str, str], expected: set[str]) -> None:
    """Let promtool run the rules over an hour of the series, and check that exactly these alerts fire at its end."""
    every = [
        {
            "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
            "eval_time": "60m",
            "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(expected)],
        }
    ]
    inputs = [{"series": name, "values": values} for name, values in series.items()]
    test: dict[str, Any] = {"interval": "1m", "input_series": inputs, "promql_expr_test": every}
    path = directory / "test.yml"
    path.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [test]}))
    promtool("test", "rules", str(path))


def test_promtool_reads_the_rules() -> None:
    assert f"SUCCESS: {len(ALERTS)} rules found" in promtool("check", "rules", str(RULES))


def test_nothing_fires_in_a_healthy_hour(tmp_path: Path) -> None:
    firing(tmp_path, HEALTHY, set())


@pytest.mark.parametrize("alert", ALERTS)
def test_a_rule_fires_alone_when_it_should(tmp_path: Path, alert: str) -> None:
    changes = ILL[alert]
    firing(tmp_path, {**HEALTHY, **changes}, {alert})


@pytest.mark.parametrize("alert", ALERTS)
def test_a_rule_says_what_happened_and_what_to_do(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert set(rule["annotations"]) == {"summary", "remedy"}
    for text in rule["annotations"].values():
        assert text[-1] in ".?"
