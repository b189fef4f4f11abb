"""The bodies of the DAGs' tasks: plain functions that fetch connections and settings, call the work, log its result."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowFailException

from include.airflow.connections import OPS_CONN_ID, OWNER_CONN_ID, QUALITY_CONN_ID, SPARK_CONN_ID, dsn_of
from include.airflow.spark_ui import kill_driver
from include.alerts import Alert, record
from include.db.archive import prune
from include.db.facts import advance_facts, audit_facts, forget_retired
from include.db.partitions import maintain
from include.db.retirement import retire_ledger
from include.db.views import refresh_view, stale_views, view_names
from include.errors import SuiteError
from include.quality.run import run_suite
from include.quality.suites import SUITES_DIR, load_suite, suite_names
from include.settings import Settings
from include.stream.status import StreamStatus, stream_status
from include.stream.watch import Finding, Limits, judge, summary

if TYPE_CHECKING:
    from include.manifest import Manifest
    from include.quality.results import SuiteOutcome

_log = logging.getLogger(__name__)
_PROGRESS_SECONDS = 10.0
# A warning stands in the alerts once in six hours, not with each run that finds it again.
_QUIET_SECONDS = 6 * 3600.0
_STREAM_QUIET_SECONDS = 3600.0
# A stream that comes back from a pause of Postgres or of the machine is well within a few seconds.
_SECOND_LOOK_SECONDS = 10.0


def generate(params: Any = None) -> dict[str, Any]:
    """Deliver event files as the run's params say; returns the totals."""
    # Faker takes a while to import: only this task pays for it.
    from include.generator.options import GeneratorOptions
    from include.generator.run import generate as deliver

    settings = Settings.from_env()
    rate = params["events_per_second"] or settings.feed_events_per_second
    options = GeneratorOptions(
        **{
            **params,
            "start": datetime.now(UTC),
            "events_per_second": rate,
            "rows_per_file": params["rows_per_file"] or max(1, round(rate)),
        }
    )
    _log.info("Delivering %s to %s: %s", options.run, settings.landing_dir, options)
    totals = asdict(deliver(options, settings.landing_dir, settings.manifest_dir, on_file=_progress()))
    _log.info("Delivered %s", totals)
    return totals


def _progress() -> Any:
    files = rows = 0
    log_at = time.monotonic()

    def on_file(manifest: Manifest) -> None:
        nonlocal files, rows, log_at
        files, rows = files + 1, rows + manifest.rows
        if time.monotonic() >= log_at:
            log_at = time.monotonic() + _PROGRESS_SECONDS
            _log.info("%s delivered: %s files, %s rows so far", manifest.file, f"{files:,}", f"{rows:,}")

    return on_file


def list_views() -> list[str]:
    """The materialized views, each after those that it reads."""
    return list(view_names())


def advance(*, timeout_seconds: float) -> None:
    """Add what is new to the facts that the views read."""
    steps = advance_facts(dsn_of(OPS_CONN_ID), timeout_seconds=timeout_seconds)
    for step in steps:
        _log.info(
            "%s events of %s batches are in the facts after %.2f s", f"{step.events:,}", step.batches, step.seconds
        )
    if not steps:
        _log.info("There was nothing new.")


def audit(*, timeout_seconds: float) -> None:
    """Work the facts out anew from the events, and fail when they differ from those that were kept."""
    differing = audit_facts(dsn_of(OPS_CONN_ID), timeout_seconds=timeout_seconds)
    wrong = [f"- shop.fact_{fact}: {rows:,} rows" for fact, rows in differing.items() if rows]
    if wrong:
        # Another try would find the same.
        raise AirflowFailException("facts differ from the events that they were made of:\n" + "\n".join(wrong))
    _log.info("%s agree with the events.", ", ".join(differing))


def refresh(view_name: str, *, timeout_seconds: float) -> None:
    """Refresh one view; the time and the row count are also recorded in ``shop.refreshes``."""
    done = refresh_view(dsn_of(OPS_CONN_ID), view_name, timeout_seconds=timeout_seconds)
    _log.info("%s: %s rows in %.2f s", done.view_name, f"{done.row_count:,}", done.seconds)


def check_freshness(max_age_seconds: float) -> None:
    """Fail when a view is out of date, and say which and by how much."""
    stale = stale_views(dsn_of(OPS_CONN_ID), max_age_seconds=max_age_seconds)
    if stale:
        # Another try would find the same.
        raise AirflowFailException(f"{len(stale)} views are stale:\n" + "\n".join(f"- {view}" for view in stale))
    _log.info("Every view is up to date.")


def check_suites(directory: str = str(SUITES_DIR), ti: Any = None) -> None:
    """Run every suite of a directory and fail at the end with the list of what is critical.

    All in one process: the library takes eight seconds of CPU to import. A suite that is written wrongly counts as a
    failure and keeps no other from being checked. Warnings become alerts.
    """
    read_dsn, write_dsn = dsn_of(QUALITY_CONN_ID), dsn_of(OPS_CONN_ID)
    names = suite_names(Path(directory))
    if not names:
        raise AirflowFailException(f"{directory} holds no suite, so nothing was checked.")
    failures: list[str] = []
    for name in names:
        try:
            suite = load_suite(name, Path(directory))
        except SuiteError as error:
            _log.error("%s", error)
            failures.append(f"{name}: {error}")
            continue
        outcome = run_suite(suite, read_dsn=read_dsn, write_dsn=write_dsn, run_id=ti.run_id)
        _log.log(logging.ERROR if outcome.critical_failures else logging.INFO, "%s", outcome.summary())
        failures += [f"{name}: {one}" for one in outcome.critical_failures]
        if outcome.warnings:
            record(write_dsn, _warning(outcome, ti), quiet_seconds=_QUIET_SECONDS)
    if failures:
        raise AirflowFailException(f"{len(failures)} critical failures:\n" + "\n".join(f"- {one}" for one in failures))


def _warning(outcome: SuiteOutcome, ti: Any) -> Alert:
    checks = ", ".join(dict.fromkeys(one.check.name for one in outcome.warnings))
    return Alert(
        severity="warning",
        source=f"{ti.dag_id}.{ti.task_id}",
        title=f"{outcome.suite.name}: {checks}",
        detail=outcome.summary(),
        run_id=ti.run_id,
        url=ti.log_url,
    )


def judge_stream(ti: Any = None, *, second_look_seconds: float = _SECOND_LOOK_SECONDS) -> None:
    """Fail with all that is critical about the stream, after ending a driver that a second look finds stuck, too.

    Warnings become alerts.
    """
    dsn, limits = dsn_of(OPS_CONN_ID), Limits.of(Settings.from_env())
    status = stream_status(dsn)
    findings = judge(status, limits)
    _log.info("%s", summary(status))
    if any(one.needs_recycling for one in findings):
        _log.warning("%s Looking again in %.0f s.", _list(findings), second_look_seconds)
        time.sleep(second_look_seconds)
        status = stream_status(dsn)
        findings = judge(status, limits)
        _log.info("%s", summary(status))
    critical = [one for one in findings if one.severity == "critical"]
    for one in findings:
        if one not in critical:
            _log.warning("%s", one.text)
            record(dsn, _stream_warning(one, ti), quiet_seconds=_STREAM_QUIET_SECONDS)
    if critical:
        what_was_done = _recycle(status) if any(one.needs_recycling for one in critical) else "Nothing was done."
        # The first line is the alert's title: without numbers, so that the same fault is the same alert.
        names = ", ".join(one.code.replace("_", " ") for one in critical)
        raise AirflowFailException(f"{names}\n{_list(critical)}\n{what_was_done}")


def _recycle(status: StreamStatus) -> str:
    """Have the driver ended, and say what came of it."""
    if status.driver_id is None:
        return (
            f"Its driver was not started by a Spark master, so it must be ended by hand (works in {status.log_path})."
        )
    try:
        answer = kill_driver(BaseHook.get_connection(SPARK_CONN_ID), status.driver_id)
    except requests.RequestException as error:
        return f"The Spark master cannot be told to end {status.driver_id}: {error}. `make up` starts what is down."
    return f"The Spark master was told to end {status.driver_id} ({answer}); run_stream starts the next one."


def _list(findings: list[Finding]) -> str:
    return "\n".join(f"- {one.text}" for one in findings)


def _stream_warning(finding: Finding, ti: Any) -> Alert:
    return Alert(
        severity="warning",
        source=f"{ti.dag_id}.{ti.task_id}",
        title=f"the stream: {finding.code.replace('_', ' ')}",
        detail=finding.text,
        run_id=ti.run_id,
        url=ti.log_url,
    )


def maintain_partitions() -> None:
    """Make partitions ahead, drop what is past retention, and what of the ledger is past its own age."""
    settings = Settings.from_env()
    owner_dsn = dsn_of(OWNER_CONN_ID)
    report = maintain(owner_dsn, ahead_days=settings.partitions_ahead_days, retention_days=settings.retention_days)
    _log.info("%s", report)
    for day in forget_retired(owner_dsn):
        _log.info("%s: facts of people and sessions are removed with their events", day)
    _log.info("%s", retire_ledger(owner_dsn, ledger_days=settings.ledger_days))


def prune_files() -> None:
    """Remove loaded files, manifests, quarantined files and logs that are past their age."""
    for pruned in prune(Settings.from_env(), dsn_of(OPS_CONN_ID)):
        _log.info("%s", pruned)
