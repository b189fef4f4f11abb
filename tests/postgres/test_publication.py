"""Tests of publication: only checked rows are published, and others are held back unless an operator overrides it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from include.db import connect, transaction
from include.db.refresh import RefreshError, build_candidate, publish_candidate, stale_views
from include.db.views import view_names
from include.quality.overrides import OverrideError, grant, revoke
from include.quality.publication import Audit, Auditor
from include.quality.required import GATES, required_drafts
from include.quality.results import SuiteOutcome
from include.quality.suites import SUITES_DIR, load_suites
from include.settings import REPOSITORY, Settings
from tests.support.rows import load_batch, make_event
from tests.support.suites import fill_up, write_passing
from tests.support.waiting import wait_until

VIEW = "mart_daily_kpis"
OTHER = "mart_revenue_hourly"
NO_POUNDS = """\
table: shop.events
holds_publication: true
window: {column: ingested_at, first: 1 hour, longest: 1 day}
checks:
  - {name: no_pounds, expect: expect_column_values_to_be_in_set, column: currency, value_set: [EUR], severity: critical}
"""
NO_ROWS = """\
table: shop.%s
checks:
  - {name: no_rows, expect: expect_table_row_count_to_be_between, max_value: 0, severity: critical}
  - {name: no_columns, expect: expect_table_column_count_to_be_between, max_value: %d, severity: critical}
"""


def query(settings: Settings, statement: str, *values: Any, role: Any = "owner") -> list[tuple[Any, ...]]:
    with transaction(settings.dsn(role)) as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall()) if cursor.description else []


def bring(settings: Settings, currency: str = "EUR", minutes: float = 1) -> None:
    """Commit a batch of one event, as the stream does."""
    moment = datetime.now(UTC) - timedelta(minutes=minutes)
    load_batch(settings.dsn("owner"), [make_event(event_time=moment, currency=currency)], ingested_at=datetime.now(UTC))


def auditor(settings: Settings, directory: Path, **changes: Any) -> Auditor:
    values: dict[str, Any] = {
        "read_dsn": settings.dsn("quality"),
        "write_dsn": settings.dsn("ops"),
        "run_id": "run-1",
        "timeout_seconds": 60,
        "on_outcome": lambda outcome: None,
    }
    return Auditor(fill_up(directory), **values | changes)


def refresh(settings: Settings, directory: Path, **changes: Any) -> Audit:
    """Build and check candidates, and publish those that passed."""
    audit = auditor(settings, directory, **changes).audit()
    for name, refresh_id in audit.ready.items():
        publish_candidate(settings.dsn("ops"), name, refresh_id)
    return audit


def currencies(settings: Settings, relation: str = f"shop.{VIEW}") -> set[str]:
    return {currency for (currency,) in query(settings, f"SELECT currency FROM {relation}")}


def _moments() -> list[str]:
    views, gates = [f"before {name}" for name in view_names()], [f"after {name}" for name in GATES]
    return ["before the facts", *views, *gates, *(f"after {name}" for name in view_names())]


@pytest.mark.parametrize("moment", _moments())
def test_a_bad_batch_that_is_committed_during_a_refresh_is_not_published(
    database: Settings, tmp_path: Path, moment: str
) -> None:
    """At whatever moment it is committed, the batch is in no candidate or a gate has seen it."""
    (tmp_path / "events.yml").write_text(NO_POUNDS)
    bring(database)
    steps = iter(["before the facts", *(f"before {name}" for name in view_names())])

    def before_step() -> None:
        if next(steps, None) == moment:
            bring(database, "GBP")

    def on_outcome(outcome: SuiteOutcome) -> None:
        if f"after {outcome.suite.name}" == moment:
            bring(database, "GBP")

    audit = refresh(database, tmp_path, before_step=before_step, on_outcome=on_outcome)
    candidate = currencies(database, f"shop_next.{VIEW}")
    if moment.startswith("before"):
        assert audit.gate == ["events: no_pounds"]
        assert set(audit.held) == set(view_names())
    else:
        assert (audit.gate, set(audit.ready)) == ([], set(view_names()))
        assert candidate == {"EUR"}
    assert "GBP" not in currencies(database)
    # The next refresh sees the batch in any case.
    assert refresh(database, tmp_path).gate == ["events: no_pounds"]
    assert "GBP" not in currencies(database)


def test_all_candidates_have_the_same_batches(database: Settings, tmp_path: Path) -> None:
    bring(database)
    audit = refresh(database, tmp_path, before_step=lambda: bring(database))
    marks = query(
        database,
        "SELECT DISTINCT last_batch_id FROM shop.refreshes WHERE refresh_id = ANY(%s)",
        list(audit.ready.values()),
    )
    # The batch from before the aggregates advanced is in them. Those from before each view are not.
    assert marks == query(database, "SELECT batch_id FROM shop.facts_progress") == [(2,)]
    assert query(database, f"SELECT sum(events) FROM shop.{VIEW}") == [(2,)]


def test_each_view_has_a_suite_and_each_gate_holds(database: Settings) -> None:
    """Compare the list of required suites with the files."""
    assert {suite.name: suite.table for suite in load_suites() if suite.is_gate} == GATES
    gates, by_view = required_drafts(SUITES_DIR, view_names())
    assert [draft.name for draft in gates] == list(GATES)
    assert set(by_view) == set(view_names())
    assert [
        draft.faults for draft in [*gates, *(one for drafts in by_view.values() for one in drafts)] if draft.faults
    ] == []


def _rename(path: Path, name: str) -> None:
    path.rename(path.with_name(name))


def _replace(old: str, new: str) -> Callable[[Path], None]:
    return lambda path: _write(path, path.read_text().replace(old, new))


def _write(path: Path, text: str) -> None:
    path.write_text(text)


def _dangle(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("gone"))


@pytest.mark.parametrize("name", ["events", VIEW])
@pytest.mark.parametrize(
    ("corrupt", "message"),
    [
        (Path.unlink, "{path}: no suite {name} checks {table}: put {path} back"),
        (
            lambda path: _rename(path, f"{path.stem}.yaml"),
            "{stem}.yaml:1: the name of a suite ends in .yml; rename it to {name}.yml",
        ),
        (
            lambda path: _rename(path, "sales.yml"),
            "{path}: no suite {name} checks {table}: {directory}/sales.yml checks that table; rename it to {name}.yml",
        ),
        (_replace("table: shop", "tabel: shop"), "{path}:1: tabel is not a key of a suite; did you mean table?"),
        (_replace("table: shop.", "table: shop.x_"), "checks shop.x_{name}; did you mean `table: {table}`?"),
        (_replace("checks:", "cheks:"), "cheks is not a key of a suite; did you mean checks?"),
        (lambda path: _write(path, "table: [shop"), "{path}:1: not YAML"),
        (lambda path: _write(path, ""), "{path}:1: the file is empty"),
        (_dangle, "{path}:1: cannot be read: No such file or directory"),
    ],
    ids=["missing", "yaml", "renamed", "key", "table", "checks", "no-yaml", "empty", "unreadable"],
)
def test_a_required_suite_that_cannot_be_used_holds_publication(
    database: Settings, tmp_path: Path, name: str, corrupt: Callable[[Path], None], message: str
) -> None:
    bring(database)
    outcomes: list[SuiteOutcome] = []
    found = auditor(database, tmp_path, on_outcome=outcomes.append)
    path, table = tmp_path / f"{name}.yml", f"shop.{name}"
    is_renamed_view = name == VIEW and message.endswith("rename it to {name}.yml") and "sales" in message
    corrupt(path)
    audit = found.audit()
    if is_renamed_view:
        # The suite of a view may have any name.
        assert audit.held == {}
        return
    if message.startswith("checks shop.x_") and name == "events":
        message = "{path}: table is shop.x_events; nothing is published unless this suite checks {table}"
    wanted = message.format(path=path, name=name, table=table, stem=path.with_suffix(""), directory=tmp_path)
    assert wanted in audit.held[VIEW]
    assert set(audit.held) == (set(view_names()) if name == "events" else {VIEW})
    assert [one.suite.name for one in outcomes if one.verdict == "broken"] == [name], (
        "the unusable suite has its own alert"
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("holds_publication", "holds_publicaton", "did you mean holds_publication?"),
        (
            "holds_publication: true\n",
            "",
            "`holds_publication: true` is missing; nothing is published without this gate",
        ),
        ("holds_publication: true", "holds_publication: false", "`holds_publication: true` is missing"),
        ("holds_publication: true", "holds_publication: yes", "must be true or false, not yes"),
    ],
)
@pytest.mark.parametrize("name", ["events", "own"])
def test_a_gate_that_is_not_declared_as_one_still_holds_publication(
    database: Settings, tmp_path: Path, old: str, new: str, message: str, name: str
) -> None:
    path = write_passing(tmp_path, name, "shop.events", is_gate=True)
    path.write_text(path.read_text().replace(old, new))
    audit = auditor(database, tmp_path).audit()
    if name == "own" and "is missing" in message:
        assert audit.gate == [], "a suite that is not a required gate cannot be known to be one"
        return
    assert [message in because for because in audit.gate] == [True]
    assert set(audit.held) == set(view_names())


def test_without_any_suite_nothing_is_published(database: Settings, tmp_path: Path) -> None:
    found = auditor(database, tmp_path)
    for path in tmp_path.glob("*.yml"):
        path.unlink()
    audit = found.audit()
    assert (audit.ready, set(audit.held)) == ({}, set(view_names()))
    assert len(audit.gate) == len(GATES)


def test_a_suite_without_checks_before_publication_holds_its_view(database: Settings, tmp_path: Path) -> None:
    path = write_passing(tmp_path, VIEW, f"shop.{VIEW}", is_gate=False)
    path.write_text(path.read_text().replace("{name", "{when: published, name"))
    audit = auditor(database, tmp_path).audit()
    assert "none of its checks runs before publication" in audit.held[VIEW]
    assert set(audit.held) == {VIEW}


@pytest.fixture
def held(database: Settings, tmp_path: Path) -> Settings:
    """Hold back one view, whose own check is the only one to fail; its euros are not published yet."""
    (tmp_path / f"{VIEW}.yml").write_text(NO_ROWS % (VIEW, 99))
    bring(database)
    assert refresh(database, tmp_path).held == {VIEW: f"{VIEW}: no_rows"}
    assert currencies(database) == set()
    return database


def test_an_override_publishes_a_held_back_view_once(held: Settings, tmp_path: Path) -> None:
    override = grant(held.dsn("ops"), VIEW, by="otto", reason="the first day of a new shop")
    assert override.covers == {f"{VIEW}/no_rows"}
    assert grant(held.dsn("ops"), VIEW, by="otto", reason="clicked twice") == override
    audit = refresh(held, tmp_path)
    assert (audit.held, set(audit.ready)) == ({}, set(view_names()))
    assert audit.overridden == {
        VIEW: f"otto decided so (the first day of a new shop), despite {VIEW}: no_rows",
    }
    assert currencies(held) == {"EUR"}
    record = (
        "SELECT override_id, overrode, held_because FROM shop.refreshes"
        " WHERE view_name = %s AND published_at IS NOT NULL ORDER BY refresh_id DESC LIMIT 1"
    )
    assert query(held, record, VIEW, role="analyst") == [(override.override_id, f"{VIEW}: no_rows", None)]
    assert query(held, "SELECT actor, action, subject, reason FROM shop.actions") == [
        ("otto", "view.publish", f"view {VIEW}",
         f"the first day of a new shop (until the next publication; {VIEW}/no_rows)"),
    ]  # fmt: skip
    # The override was valid for that publication only.
    assert refresh(held, tmp_path).held == {VIEW: f"{VIEW}: no_rows"}


def test_an_override_for_some_hours_lasts_until_it_is_revoked_or_expires(held: Settings, tmp_path: Path) -> None:
    ops = held.dsn("ops")
    grant(ops, None, by="otto", reason="a sale", hours=3)
    for _ in range(2):
        assert list(refresh(held, tmp_path).overridden) == [VIEW]
    assert revoke(ops, VIEW, by="admin", reason="the sale is over") == 1
    assert revoke(ops, VIEW, by="admin", reason="the sale is over") == 0
    assert list(refresh(held, tmp_path).held) == [VIEW]
    assert query(held, "SELECT actor, action, subject FROM shop.actions ORDER BY action_id") == [
        ("otto", "view.publish", "all views"),
        ("admin", "view.hold", f"view {VIEW}"),
    ]
    grant(ops, VIEW, by="otto", reason="a sale")
    query(
        held,
        "UPDATE shop.publication_overrides"
        " SET granted_at = granted_at - interval '25 hours', expires_at = expires_at - interval '25 hours'",
    )
    assert list(refresh(held, tmp_path).held) == [VIEW], "nothing was published within a day, so the override has ended"


def test_an_override_covers_only_the_known_failures(held: Settings, tmp_path: Path) -> None:
    grant(held.dsn("ops"), VIEW, by="otto", reason="no harm", hours=3)
    (tmp_path / f"{VIEW}.yml").write_text(NO_ROWS % (VIEW, 1))
    assert refresh(held, tmp_path).held == {VIEW: f"{VIEW}: no_rows, no_columns"}
    with pytest.raises(OverrideError, match=f"shop.{OTHER} is not held back"):
        grant(held.dsn("ops"), OTHER, by="otto", reason="no harm")
    with pytest.raises(OverrideError, match=f"there is no view 'mart_daily_kpi'. Perhaps {VIEW} is meant"):
        grant(held.dsn("ops"), "mart_daily_kpi", by="otto", reason="no harm")


def test_a_gate_is_overridden_only_for_the_named_views(database: Settings, tmp_path: Path) -> None:
    (tmp_path / "events.yml").write_text(NO_POUNDS)
    (tmp_path / f"{OTHER}.yml").write_text(NO_ROWS % (OTHER, 99))
    bring(database, "GBP")
    assert set(refresh(database, tmp_path).held) == set(view_names())
    grant(database.dsn("ops"), VIEW, by="otto", reason="we sell in London now")
    audit = refresh(database, tmp_path)
    assert (audit.gate, list(audit.ready)) == (["events: no_pounds"], [VIEW])
    assert currencies(database) == {"GBP"}
    # The suite of the view checks it too, and the override does not cover the failure that it finds.
    grant(database.dsn("ops"), None, by="otto", reason="we sell in London now")
    audit = refresh(database, tmp_path)
    assert audit.held == {OTHER: f"events: no_pounds; {OTHER}: no_rows"}
    assert set(audit.ready) == set(view_names()) - {OTHER}


def test_a_held_back_view_is_stale_with_its_reason(held: Settings) -> None:
    query(held, "UPDATE shop.refreshes SET finished_at = finished_at - interval '1 hour'")
    # A candidate that is under way has no outcome yet.
    build_candidate(held.dsn("ops"), VIEW)
    because = {one.view_name: one.held_because for one in stale_views(held.dsn("ops"), max_age_seconds=60)}
    assert because == {name: f"{VIEW}: no_rows" if name == VIEW else None for name in view_names()}


_PROCESS = f"""\
import os, sys
from include.db.refresh import build_candidate, publish_candidate
dsn = sys.argv[1]
built = build_candidate(dsn, "{VIEW}")
print(built.refresh_id, flush=True)
sys.stdin.readline()
print("publishing", flush=True)
publish_candidate(dsn, "{VIEW}", built.refresh_id)
print("published", flush=True)
"""


@pytest.fixture
def process(database: Settings) -> Any:
    """Yield the process of a task that has built a candidate and is about to publish it."""
    bring(database)
    with subprocess.Popen(
        [sys.executable, "-c", _PROCESS, database.dsn("ops")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    ) as started:
        yield started
        if started.poll() is None:
            os.kill(started.pid, signal.SIGCONT)
            started.kill()


def test_a_suspended_process_does_not_publish_over_a_newer_candidate(
    database: Settings, process: subprocess.Popen[str]
) -> None:
    assert process.stdout is not None
    first = int(process.stdout.readline())
    os.kill(process.pid, signal.SIGSTOP)
    bring(database)
    second = build_candidate(database.dsn("ops"), VIEW)
    publish_candidate(database.dsn("ops"), VIEW, second.refresh_id)
    published = query(database, f"SELECT refresh_id, published_at FROM shop.refreshes WHERE view_name = '{VIEW}'")
    os.kill(process.pid, signal.SIGCONT)
    _, error = process.communicate("go on\n", timeout=60)
    assert (
        f"the candidate of shop.{VIEW} that was checked ({first}) has since been rebuilt ({second.refresh_id})" in error
    )
    assert (
        query(database, f"SELECT refresh_id, published_at FROM shop.refreshes WHERE view_name = '{VIEW}'") == published
    )


def test_a_process_suspended_while_it_publishes_is_waited_for(
    database: Settings, process: subprocess.Popen[str]
) -> None:
    assert process.stdout is not None
    assert process.stdin is not None
    first = int(process.stdout.readline())
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    with closing(connect(database.dsn("owner"))) as somebody, somebody.cursor() as cursor:
        cursor.execute("LOCK TABLE shop.refreshes IN ACCESS EXCLUSIVE MODE")
        process.stdin.write("go on\n")
        process.stdin.flush()
        wait_until(
            lambda: query(database, waits) == [(1,)], seconds=30, what="the process to be within its transaction"
        )
        os.kill(process.pid, signal.SIGSTOP)
    with pytest.raises(RefreshError, match="statement timeout"):
        build_candidate(database.dsn("ops"), VIEW, timeout_seconds=0.5)
    os.kill(process.pid, signal.SIGCONT)
    output, error = process.communicate(timeout=60)
    assert output.splitlines() == ["publishing", "published"], error
    published = "SELECT published_at FROM shop.refreshes WHERE refresh_id = %s"
    before = query(database, published, first)
    # The next try of the same task finds the candidate published.
    publish_candidate(database.dsn("ops"), VIEW, first)
    assert query(database, published, first) == before
