"""Test the functions behind the tasks, without DAGs, on a real database."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from include.airflow.alerting.notifier import ReportedFailure
from include.airflow.tasks import feed, maintenance, publication, quality, views
from include.db import transaction
from include.db.views import view_names
from include.manifest import read_manifest
from include.settings import Settings
from tests.support.rows import load_batch, make_event
from tests.support.suites import fill_up

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


def test_the_feed_is_generated_with_the_params_of_the_form(airflow: Settings) -> None:
    totals = feed.generate(FEED)
    manifests = [read_manifest(path) for path in sorted(airflow.manifest_dir.iterdir())]
    assert (totals["files"], totals["rows"], totals["valid"]) == (2, 100, 100)
    assert [manifest.rows for manifest in manifests] == [60, 40]
    assert {manifest.seed for manifest in manifests} == {3}
    assert sorted(path.name for path in airflow.landing_dir.iterdir()) == [manifest.file for manifest in manifests]


def test_an_empty_rate_means_the_rate_of_the_settings(airflow: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPSTREAM_FEED_EVENTS_PER_SECOND", "40")
    assert feed.generate({**FEED, "events_per_second": None})["rows"] == 20


def test_aggregates_that_differ_from_the_events_fail_the_audit(airflow: Settings) -> None:
    load_batch(airflow.dsn("owner"), [make_event(), make_event(event_type="view")])
    views.advance(timeout_seconds=60)
    views.audit(timeout_seconds=60)
    _query(airflow, "UPDATE shop.fact_products SET views = views + 1 RETURNING 1")
    with pytest.raises(AirflowFailException, match=r"^aggregates differ .*:\n- shop\.fact_products: 1 rows$"):
        views.audit(timeout_seconds=60)


def _suites(directory: Path, *, table: str = "shop.alerts", severity: str = "info", options: str = "") -> Path:
    """Return a directory with one suite whose only check fails, and with the suites that publication requires."""
    check = "{name: never, expect: expect_table_row_count_to_equal, value: -1, severity: " + severity + "}"
    (directory / "only.yml").write_text(f"table: {table}\n{options}checks:\n  - {check}\n")
    return fill_up(directory)


def test_every_view_is_refreshed_and_none_is_stale(airflow: Settings, tmp_path: Path) -> None:
    _query(airflow, "DELETE FROM shop.refreshes RETURNING 1")
    with pytest.raises(AirflowFailException, match=f"{len(view_names())} views are stale:\n- mart_.*never refreshed"):
        views.check_freshness(60.0)
    audited = views.build_and_audit(timeout_seconds=60, directory=str(_suites(tmp_path)), ti=TI)
    for name in views.list_views():
        views.publish(name, audited, timeout_seconds=60)
    views.check_freshness(60.0)
    assert {name for (name,) in _query(airflow, "SELECT view_name FROM shop.refreshes")} == set(view_names())


def test_partitions_are_created_in_advance_and_new_files_are_kept(airflow: Settings) -> None:
    before = _query(airflow, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'shop.events'::regclass")
    maintenance.maintain_partitions()
    after = _query(airflow, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'shop.events'::regclass")
    assert after > before
    new_file = airflow.archive_dir / "new.csv"
    new_file.touch()
    maintenance.prune_files()
    assert new_file.exists()


SUITE = """\
table: shop.alerts
checks:
  - expect: expect_table_row_count_to_equal
    name: no_alert_yet
    value: {expected}
    severity: {severity}
"""


def test_failed_and_broken_suites_are_listed_and_the_others_still_run(airflow: Settings, tmp_path: Path) -> None:
    (tmp_path / "a_fails.yml").write_text(SUITE.format(expected=7, severity="critical"))
    (tmp_path / "b_is_wrong.yml").write_text(SUITE.format(expected=7, severity="critcal"))
    (tmp_path / "c_warns.yml").write_text(SUITE.format(expected=8, severity="warning"))
    (tmp_path / "d_holds.yml").write_text(SUITE.format(expected=3, severity="critical"))
    with pytest.raises(ReportedFailure) as failure:
        quality.check_suites(str(tmp_path), ti=TI)
    message = str(failure.value)
    assert message.startswith("2 critical failures:\n- a_fails: no_alert_yet: 0; expected: ")
    assert "b_is_wrong.yml:6: severity critcal does not exist; did you mean critical?" in message
    assert "c_warns" not in message
    # The suite d_holds passes: it expects the three alerts of the suites before it.
    assert _query(airflow, "SELECT suite, verdict, run_id FROM shop.quality_runs ORDER BY suite") == [
        ("a_fails", "failed", "run-1"),
        ("b_is_wrong", "broken", "run-1"),
        ("c_warns", "warned", "run-1"),
        ("d_holds", "passed", "run-1"),
    ]
    assert _query(airflow, "SELECT key, severity FROM shop.alerts ORDER BY key") == [
        ("quality/a_fails/no_alert_yet", "critical"),
        ("quality/b_is_wrong/suite_runs", "critical"),
        ("quality/c_warns/no_alert_yet", "warning"),
    ]


def test_a_warning_is_one_alert_until_its_check_passes(airflow: Settings, tmp_path: Path) -> None:
    (tmp_path / "warns.yml").write_text(SUITE.format(expected=9, severity="warning"))
    quality.check_suites(str(tmp_path), ti=TI)
    quality.check_suites(str(tmp_path), ti=TI)
    alerts = "SELECT severity, source, title, url, occurrences, resolution FROM shop.alerts"
    row = ("warning", "check_quality.check_suites", "warns: no_alert_yet failed", "http://ui/log", 2)
    assert _query(airflow, alerts) == [(*row, None)]
    (tmp_path / "warns.yml").write_text(SUITE.format(expected=1, severity="warning"))
    quality.check_suites(str(tmp_path), ti=TI)
    assert _query(airflow, alerts) == [(*row, "recovered")]


def test_the_scope_of_a_run_is_a_param(airflow: Settings, tmp_path: Path) -> None:
    suites = _suites(tmp_path, options="window: {column: raised_at, first: 1 hour, longest: 1 day}\n")
    for scope in ("window", "full"):
        quality.check_suites(str(suites), params={"scope": scope}, ti=TI)
    scopes = "SELECT scope FROM shop.quality_runs WHERE suite = 'only' ORDER BY quality_run_id"
    assert _query(airflow, scopes) == [("window",), ("full",)]


def test_a_view_that_is_held_back_fails_only_its_own_task(airflow: Settings, tmp_path: Path) -> None:
    suites = _suites(tmp_path, table="shop.mart_daily_kpis", severity="critical")
    audited = views.build_and_audit(timeout_seconds=60, directory=str(suites), ti=TI)
    with pytest.raises(ReportedFailure, match=r"shop\.mart_daily_kpis is held back, .*: only: never"):
        views.publish("mart_daily_kpis", audited, timeout_seconds=60)
    views.publish("mart_revenue_hourly", audited, timeout_seconds=60)


def test_a_view_that_is_held_back_is_not_also_reported_as_stale(airflow: Settings, tmp_path: Path) -> None:
    suites = str(_suites(tmp_path, table="shop.mart_daily_kpis", severity="critical"))
    audited = views.build_and_audit(timeout_seconds=60, directory=suites, ti=TI)
    for name in audited["ready"]:
        views.publish(name, audited, timeout_seconds=60)
    old = "UPDATE shop.refreshes SET finished_at = finished_at - interval '1 hour' WHERE view_name = '{}' RETURNING 1"
    _query(airflow, old.format("mart_daily_kpis"))
    with pytest.raises(ReportedFailure, match=r"1 views are stale:\n- mart_daily_kpis: .*, held back: only: never$"):
        views.check_freshness(60.0)
    # A stale view that is not held back is reported.
    _query(airflow, old.format("mart_revenue_hourly"))
    with pytest.raises(AirflowFailException, match="2 views are stale") as failure:
        views.check_freshness(60.0)
    assert not isinstance(failure.value, ReportedFailure)


def test_only_the_requested_views_are_refreshed(airflow: Settings, tmp_path: Path) -> None:
    params = {"views": ["mart_revenue_hourly", "mart_daily_kpis"]}
    suites = str(_suites(tmp_path))
    audited = views.build_and_audit(timeout_seconds=60, directory=suites, params=params, ti=TI)
    assert sorted(audited["ready"]) == sorted(views.list_views(params)) == sorted(params["views"])
    with pytest.raises(AirflowFailException, match="The view 'mart_daily' does not exist"):
        views.list_views({"views": ["mart_daily"]})


def test_nothing_is_published_when_a_gate_fails(airflow: Settings, tmp_path: Path) -> None:
    suites = _suites(tmp_path, severity="critical", options="holds_publication: true\n")
    with pytest.raises(
        ReportedFailure, match=r"^Nothing is published, readers keep the previous rows:\n- only: never$"
    ):
        views.build_and_audit(timeout_seconds=60, directory=str(suites), ti=TI)


def test_a_check_without_any_suite_fails(airflow: Settings, tmp_path: Path) -> None:
    with pytest.raises(AirflowFailException, match="contains no suite"):
        quality.check_suites(str(tmp_path), ti=TI)


def test_an_approval_covers_the_checks_of_its_preview(airflow: Settings, tmp_path: Path) -> None:
    """The approval covers only these checks, and not one that fails later."""
    with pytest.raises(AirflowFailException, match="no view is held back"):
        publication.preview({"view": None, "reason": "a sale"})
    suites = _suites(tmp_path, table="shop.mart_daily_kpis", severity="critical")
    views.build_and_audit(timeout_seconds=60, directory=str(suites), ti=TI)
    params = {"view": "mart_daily_kpis", "reason": "a sale", "hours": None}
    preview = publication.preview(params)
    assert preview == {
        "text": "only: never.\n\nThe decision covers these checks:\n- `only/never`",
        "covers": ["only/never"],
    }
    suite = (tmp_path / "only.yml").read_text()
    (tmp_path / "only.yml").write_text(suite + suite.splitlines()[-1].replace("name: never", "name: neither") + "\n")
    views.build_and_audit(timeout_seconds=60, directory=str(suites), ti=TI)
    answers = {"preview": preview, "approve": {"responded_by_user": {"id": "7", "name": "otto"}}}
    publication.decide(params, ti=SimpleNamespace(xcom_pull=lambda task_ids: answers[task_ids]))
    assert _query(airflow, "SELECT granted_by, reason, covers, is_once FROM shop.publication_overrides") == [
        ("otto", "a sale", ["only/never"], True)
    ]
    audited = views.build_and_audit(timeout_seconds=60, directory=str(suites), ti=TI)
    assert audited["held"] == {"mart_daily_kpis": "only: never, neither"}
