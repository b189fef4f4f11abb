"""The bodies of the tasks, called as plain functions on a real database."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from include.airflow.tasks import feed, maintenance, quality, views
from include.db import transaction
from include.db.views import view_names
from include.manifest import read_manifest
from include.settings import Settings
from tests.support.rows import load_batch, make_event

FEED = {
    "events_per_second": 200.0,
    "duration_seconds": 0.5,
    "rows_per_file": 60,
    "seed": 3,
    "bad_share": 0.0,
    "duplicate_share": 0.0,
    "late_share": 0.0,
}
TI = SimpleNamespace(dag_id="check_quality", task_id="check_suites", run_id="run-1", log_url="http://ui/log")


def _query(settings: Settings, statement: str) -> list[tuple[Any, ...]]:
    with transaction(settings.dsn("owner")) as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def test_generate_delivers_what_the_form_says(airflow: Settings) -> None:
    totals = feed.generate(FEED)
    manifests = [read_manifest(path) for path in sorted(airflow.manifest_dir.iterdir())]
    assert (totals["files"], totals["rows"], totals["valid"]) == (2, 100, 100)
    assert [one.rows for one in manifests] == [60, 40]
    assert {one.seed for one in manifests} == {3}
    assert sorted(path.name for path in airflow.landing_dir.iterdir()) == [one.file for one in manifests]


def test_an_empty_rate_is_that_of_the_settings(airflow: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPSTREAM_FEED_EVENTS_PER_SECOND", "40")
    assert feed.generate({**FEED, "events_per_second": None})["rows"] == 20


def test_facts_that_drifted_fail_the_audit(airflow: Settings) -> None:
    load_batch(airflow.dsn("owner"), [make_event(), make_event(event_type="view")])
    views.advance(timeout_seconds=60)
    views.audit(timeout_seconds=60)
    _query(airflow, "UPDATE shop.fact_products SET views = views + 1 RETURNING 1")
    with pytest.raises(AirflowFailException, match=r"^facts differ .*:\n- shop\.fact_products: 1 rows$"):
        views.audit(timeout_seconds=60)


def test_every_view_is_refreshed_and_none_is_stale_then(airflow: Settings) -> None:
    _query(airflow, "DELETE FROM shop.refreshes RETURNING 1")
    with pytest.raises(AirflowFailException, match=f"{len(view_names())} views are stale:\n- mart_.*never refreshed"):
        views.check_freshness(60.0)
    for name in views.list_views():
        views.refresh(name, timeout_seconds=60)
    views.check_freshness(60.0)
    assert {name for (name,) in _query(airflow, "SELECT view_name FROM shop.refreshes")} == set(view_names())


def test_partitions_are_made_ahead_and_old_files_removed(airflow: Settings) -> None:
    before = _query(airflow, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'shop.events'::regclass")
    maintenance.maintain_partitions()
    after = _query(airflow, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'shop.events'::regclass")
    assert after > before
    kept = airflow.archive_dir / "new.csv"
    kept.touch()
    maintenance.prune_files()
    assert kept.exists()


SUITE = """\
table: shop.alerts
checks:
  - expect: expect_table_row_count_to_equal
    name: no_alert_yet
    value: {expected}
    severity: {severity}
"""


def test_a_failed_suite_and_a_wrong_one_are_listed_and_hide_no_other(airflow: Settings, tmp_path: Path) -> None:
    (tmp_path / "a_fails.yml").write_text(SUITE.format(expected=7, severity="critical"))
    (tmp_path / "b_is_wrong.yml").write_text(SUITE.format(expected=7, severity="critcal"))
    (tmp_path / "c_warns.yml").write_text(SUITE.format(expected=8, severity="warning"))
    (tmp_path / "d_holds.yml").write_text(SUITE.format(expected=0, severity="critical"))
    with pytest.raises(AirflowFailException) as failure:
        quality.check_suites(str(tmp_path), TI)
    message = str(failure.value)
    assert message.startswith("2 critical failures:\n- a_fails: no_alert_yet: 0; expected: ")
    assert "b_is_wrong.yml:6: severity critcal does not exist; did you mean critical?" in message
    assert "c_warns" not in message
    results = _query(airflow, "SELECT suite, is_success, run_id FROM shop.quality_results ORDER BY suite")
    assert results == [("a_fails", False, "run-1"), ("c_warns", False, "run-1"), ("d_holds", True, "run-1")]


def test_a_warning_is_one_alert_until_its_check_holds(airflow: Settings, tmp_path: Path) -> None:
    (tmp_path / "warns.yml").write_text(SUITE.format(expected=9, severity="warning"))
    quality.check_suites(str(tmp_path), TI)
    quality.check_suites(str(tmp_path), TI)
    alerts = "SELECT severity, source, title, url, occurrences, resolution FROM shop.alerts"
    row = ("warning", "check_quality.check_suites", "warns: no_alert_yet", "http://ui/log", 2)
    assert _query(airflow, alerts) == [(*row, None)]
    (tmp_path / "warns.yml").write_text(SUITE.format(expected=1, severity="warning"))
    quality.check_suites(str(tmp_path), TI)
    assert _query(airflow, alerts) == [(*row, "recovered")]


def test_no_suite_at_all_is_a_failure(airflow: Settings, tmp_path: Path) -> None:
    with pytest.raises(AirflowFailException, match="holds no suite"):
        quality.check_suites(str(tmp_path), TI)
