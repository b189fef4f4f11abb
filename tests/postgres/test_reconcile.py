"""Tests of reconcile: agreement passes, every kind of difference is found, and retention raises no false alarm."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import pytest

from include.db import connect, transaction
from include.db.partitions import maintain
from include.errors import ReconcileError
from include.generator.files import GeneratedFile
from include.manifest import manifest_path, write_manifest
from include.reconcile import Report, reconcile
from include.reconcile.__main__ import main
from include.retraction import Selection, retract
from include.settings import Settings
from tests.support.generated import all_files, content, faults, read_rows
from tests.support.pipeline import Pipeline
from tests.support.rows import days_ago, load_batch


@pytest.fixture(scope="module")
def files() -> list[GeneratedFile]:
    """Return six files of 500 rows, with some rows of every kind."""
    return all_files(duration_seconds=150)


@pytest.fixture(autouse=True)
def rollups_of_all_times(database: Settings) -> None:
    """Let the live rollups hold the fixed day of the files, however long ago it is."""
    run_sql(database, "UPDATE shop.rollup_horizon SET day = '2020-01-01'")


def deliver(settings: Settings, files: Iterable[GeneratedFile], ingested_at: datetime | None = None) -> None:
    """Write manifests and load the files one by one, as the stream does."""
    for file in files:
        write_manifest(file.manifest, settings.manifest_dir)
        load(settings, file, ingested_at)


def load(settings: Settings, file: GeneratedFile, ingested_at: datetime | None = None) -> None:
    dsn = settings.dsn("owner")
    with transaction(dsn) as cursor:
        cursor.execute("SELECT event_id::text FROM shop.events")
        stored = {event_id for (event_id,) in cursor}
    events, rejects = [], []
    rows = read_rows(content(file))
    for row in rows:
        reasons = faults(row)
        if reasons:
            rejects.append({"raw": row.raw.decode("ascii", "replace").replace("\0", "?"), "reasons": reasons})
        elif row.fields["event_id"] not in stored:
            stored.add(row.fields["event_id"])
            events.append({name: value or None for name, value in row.fields.items()} | {"event_time": row.time})
    batch_id = load_batch(dsn, events, rejects=rejects, ingested_at=ingested_at)
    duplicates = len(rows) - len(events) - len(rejects)
    run_sql(
        settings,
        f"UPDATE shop.files SET name = '{file.manifest.file}', read = read + {duplicates}, duplicate = {duplicates} "
        f"WHERE batch_id = {batch_id};"
        f"UPDATE shop.batches SET read = read + {duplicates}, duplicate = {duplicates} WHERE batch_id = {batch_id}",
    )


def run_sql(settings: Settings, statement: str) -> None:
    with transaction(settings.dsn("owner")) as cursor:
        cursor.execute(statement)


def report_of(settings: Settings, **options: object) -> Report:
    return reconcile(settings.dsn("ops"), settings.manifest_dir, **options)  # type: ignore[arg-type]


def test_a_file_that_was_retracted_is_no_difference(database: Settings, files: list[GeneratedFile]) -> None:
    pipeline = Pipeline(database)
    for file in files:
        write_manifest(file.manifest, database.manifest_dir)
        pipeline.load((file.manifest.file, content(file)))
    assert report_of(database).agrees
    retract(database.dsn("owner"), Selection(name=files[1].manifest.file), by="ada", reason="wrong prices")
    report = report_of(database)
    assert report.agrees, report.problems
    assert "1 files were retracted: rows of theirs that other files repeat were not compared" in report.notes
    # A file that is delivered again, corrected or not, is compared again.
    pipeline.load((files[1].manifest.file, content(files[1])))
    report = report_of(database)
    assert report.agrees, report.problems
    assert report.notes == ()
    pipeline.close()


# Agreement -----------------------------------------------------------------------------------------------------------


def test_manifests_and_postgres_agree(database: Settings, files: list[GeneratedFile]) -> None:
    deliver(database, files)
    report = report_of(database)
    assert report.agrees, report.differences
    assert report.notes == ()
    assert report.sums["rows read"].found == 3000
    assert report.sums["rows accepted"].found == sum(file.manifest.valid for file in files)
    for currency in ("EUR", "GBP", "USD"):
        revenue = sum(file.manifest.revenue[currency] for file in files)
        assert report.sums[f"revenue {currency}"].found == revenue
    assert report.sums["revenue EUR"].found > 0


def test_a_file_delivered_again_adds_only_duplicates(database: Settings, files: list[GeneratedFile]) -> None:
    deliver(database, [*files, files[2], files[0]])
    report = report_of(database)
    assert report.agrees, report.differences
    assert report.notes == ("2 files were delivered more than once: their repetitions count as duplicates",)


def test_files_loaded_out_of_order_agree_as_a_run(database: Settings, files: list[GeneratedFile]) -> None:
    deliver(database, [files[0], files[4], *files[1:4], files[5]])
    report = report_of(database)
    assert report.agrees, report.differences
    assert report.sums["rows accepted"].compared == 3, "the first and the last file, and the run"


def test_rows_that_retention_removed_are_no_difference(database: Settings, files: list[GeneratedFile]) -> None:
    deliver(database, files, ingested_at=days_ago(10))
    maintain(database.dsn("owner"), ahead_days=1, retention_days=7)
    deliver(database, all_files(duration_seconds=50, seed=8))
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute("SELECT count(*) FROM shop.events")
        assert cursor.fetchone()[0] < 1000, "the events of the first run are gone"
    report = report_of(database, retention_days=7)
    assert report.agrees, (report.problems, report.differences)
    assert report.sums["rows accepted"].compared == 8
    assert report.sums["stored view"].compared == 2
    assert report.notes == ("6 files are past retention: only their balances were compared",)
    run_sql(database, f"DELETE FROM shop.events WHERE event_id = {ONE_PURCHASE}")
    assert "stored purchase" in {one.measure for one in report_of(database, retention_days=7).differences}


def test_files_without_a_manifest_are_compared_with_the_ledger(database: Settings, files: list[GeneratedFile]) -> None:
    deliver(database, files)
    manifest_path(database.manifest_dir, files[0].manifest.file).unlink()
    assert report_of(database).agrees
    run_sql(database, "DELETE FROM shop.events WHERE file_id = (SELECT min(file_id) FROM shop.files)")
    assert "accepted: one file = its events" in {one.measure for one in report_of(database).differences}


def test_an_installation_without_generator_compares_its_tables(database: Settings, files: list[GeneratedFile]) -> None:
    load(database, files[0])
    report = reconcile(database.dsn("quality"), database.manifest_dir, is_ledger_only=True)
    assert report.agrees
    assert report.sums["read: batches = files"].found == 500


# Differences ---------------------------------------------------------------------------------------------------------

ONE_PURCHASE = "(SELECT event_id FROM shop.events WHERE event_type = 'purchase' ORDER BY event_id LIMIT 1)"
ONE_CELL = "(SELECT min(ctid) FROM shop.rollup_minute)"


@pytest.mark.parametrize(
    ("damage", "measures"),
    [
        (
            f"DELETE FROM shop.events WHERE event_id = {ONE_PURCHASE}",
            {
                "stored purchase",
                "accepted: one file = its events",
                "accepted: files = events stored or retired",
                "events: events = rollups",
                "rows that differ from events",
            },
        ),
        (
            f"UPDATE shop.events SET unit_price = unit_price + 0.01 WHERE event_id = {ONE_PURCHASE}",
            {"amount: events = rollups", "rows that differ from events"},
        ),
        (
            f"UPDATE shop.events SET event_type = 'order' WHERE event_id = {ONE_PURCHASE}",
            {"stored order", "stored purchase", "rows that differ from events"},
        ),
        (
            f"UPDATE shop.events SET file_id = 999999 WHERE event_id = {ONE_PURCHASE}",
            {"stored purchase", "accepted: one file = its events"},
        ),
        (
            "UPDATE shop.rejects SET reasons = '{event_late}' WHERE reject_id = "
            "(SELECT min(reject_id) FROM shop.rejects)",
            {"rows rejected, by reason"},
        ),
        (
            "DELETE FROM shop.rejects WHERE reject_id = (SELECT min(reject_id) FROM shop.rejects)",
            {"rows rejected, by reason", "rejected: one file = its rejects"},
        ),
        (
            "UPDATE shop.batches SET read = read + 1, duplicate = duplicate + 1 WHERE batch_id = "
            "(SELECT min(batch_id) FROM shop.batches)",
            {"read: batches = files", "duplicate: batches = files", "read: one batch = its files"},
        ),
        (
            "UPDATE shop.files SET accepted = accepted - 1, duplicate = duplicate + 1 WHERE file_id = "
            "(SELECT min(file_id) FROM shop.files)",
            {"rows accepted", "rows duplicate", "accepted: one file = its events"},
        ),
        (
            "UPDATE shop.files SET read = read + 1, rejected = rejected + 1 WHERE file_id = "
            "(SELECT min(file_id) FROM shop.files)",
            {"rows read", "rows rejected", "rejected: one file = its rejects", "rejected: batches = files"},
        ),
        (
            f"UPDATE shop.rollup_minute SET events = events + 1 WHERE ctid = {ONE_CELL}",
            {"events: events = rollups", "rows that differ from events"},
        ),
        (
            f"UPDATE shop.rollup_minute SET amount = amount + 0.01 WHERE ctid = {ONE_CELL}",
            {"amount: events = rollups", "rows that differ from events"},
        ),
        (
            f"UPDATE shop.rollup_minute SET minute = minute + interval '1 year' WHERE ctid = {ONE_CELL}",
            {"rows that differ from events"},
        ),
        (
            "ALTER TABLE shop.events DROP CONSTRAINT events_pkey;"
            f"INSERT INTO shop.events SELECT * FROM shop.events WHERE event_id = {ONE_PURCHASE}",
            {"event ids that are repeated", "stored purchase"},
        ),
    ],
)
def test_each_damage_is_found(database: Settings, files: list[GeneratedFile], damage: str, measures: set[str]) -> None:
    deliver(database, files[:3])
    assert report_of(database).agrees
    run_sql(database, damage)
    report = report_of(database)
    assert not report.agrees
    assert measures <= {one.measure for one in report.differences}


def test_a_wrong_cent_is_shown_with_its_file(database: Settings, files: list[GeneratedFile]) -> None:
    deliver(database, files)
    run_sql(
        database,
        f"UPDATE shop.events SET unit_price = unit_price + 0.01, quantity = 1 WHERE event_id = {ONE_PURCHASE}",
    )
    wrong = [one for one in report_of(database).differences if one.measure.startswith("revenue")]
    assert [one.found != one.expected for one in wrong] == [True]
    assert wrong[0].subject in {file.manifest.file for file in files}


def test_a_damage_out_of_order_is_found_in_the_run(database: Settings, files: list[GeneratedFile]) -> None:
    deliver(database, [files[1], files[0]])
    assert report_of(database).agrees
    run_sql(database, f"DELETE FROM shop.events WHERE event_id = {ONE_PURCHASE}")
    assert files[0].manifest.run in {one.subject for one in report_of(database).differences}


# Problems ------------------------------------------------------------------------------------------------------------


def test_a_file_that_is_not_loaded_yet_is_a_problem(database: Settings, files: list[GeneratedFile]) -> None:
    deliver(database, files[:2])
    write_manifest(files[2].manifest, database.manifest_dir)
    report = report_of(database)
    assert not report.agrees
    assert [problem.split(". ")[0] for problem in report.problems] == [f"{files[2].manifest.file} is not loaded yet"]


def test_a_file_that_is_admitted_is_a_problem_once(database: Settings, files: list[GeneratedFile]) -> None:
    deliver(database, files[:2])
    write_manifest(files[2].manifest, database.manifest_dir)
    run_sql(
        database,
        f"INSERT INTO shop.files (name, size_bytes, arrived_at) VALUES ('{files[2].manifest.file}', 1, now())",
    )
    report = report_of(database)
    assert [problem.split(". ")[0] for problem in report.problems] == [
        f"{files[2].manifest.file} was admitted, but is not loaded yet"
    ]


def test_waiting_lets_files_be_loaded(database: Settings, files: list[GeneratedFile]) -> None:
    deliver(database, files[:2])
    write_manifest(files[2].manifest, database.manifest_dir)
    loading = threading.Timer(1.0, load, (database, files[2]))
    loading.start()
    try:
        report = report_of(database, wait_seconds=60)
    finally:
        loading.join()
    assert report.agrees, report.problems
    assert report.sums["rows read"].found == 1500


def test_a_quarantined_file_is_a_problem_until_it_is_loaded(database: Settings, files: list[GeneratedFile]) -> None:
    deliver(database, files[:1])
    write_manifest(files[1].manifest, database.manifest_dir)
    run_sql(
        database,
        "INSERT INTO shop.files (name, state, size_bytes, arrived_at, finished_at, fault) VALUES "
        f"('{files[1].manifest.file}', 'quarantined', 1, now(), now(), 'gzip_damaged')",
    )
    assert "was quarantined (gzip_damaged)" in report_of(database).problems[0]
    load(database, files[1])
    report = report_of(database)
    assert report.agrees, (report.problems, report.differences)


def test_a_manifest_that_cannot_be_read_is_a_problem(database: Settings, files: list[GeneratedFile]) -> None:
    deliver(database, files[:1])
    (database.manifest_dir / "broken.csv.json").write_text("{")
    report = report_of(database)
    assert not report.agrees
    assert "broken.csv.json is not a manifest: Invalid JSON" in report.problems[0]


def test_nothing_to_compare_is_a_problem(database: Settings, files: list[GeneratedFile]) -> None:
    report = report_of(database)
    assert not report.agrees
    assert "no manifest is in" in report.problems[0]
    assert "python -m include.generator" in report.problems[0]
    assert "no file has been loaded" in report_of(database, is_ledger_only=True).problems[0]
    load(database, files[0])
    assert not report_of(database).agrees, "a wrong folder does not count as agreement"


def test_a_missing_folder_is_named(database: Settings, tmp_path: Path) -> None:
    with pytest.raises(ReconcileError, match="elsewhere is not a folder of manifests"):
        reconcile(database.dsn("ops"), tmp_path / "elsewhere")


def test_all_is_read_in_one_snapshot(database: Settings, files: list[GeneratedFile]) -> None:
    """A transaction that commits while reconcile runs changes nothing that reconcile sees."""
    deliver(database, files[:2])
    blocker = connect(database.dsn("owner"))
    reports: list[Report] = []
    try:
        with blocker.cursor() as cursor:
            # This lock stops reconcile in the middle, after the files of the manifests and before the ledger.
            cursor.execute("LOCK TABLE shop.rollup_minute IN ACCESS EXCLUSIVE MODE")
        running = threading.Thread(target=lambda: reports.append(report_of(database)))
        running.start()
        _wait_for_lock(database)
        with blocker, blocker.cursor() as cursor:
            cursor.execute("DELETE FROM shop.events")
    finally:
        blocker.close()
    running.join()
    assert reports[0].agrees, reports[0].differences
    assert not report_of(database).agrees


def _wait_for_lock(settings: Settings) -> None:
    connection = connect(settings.dsn("owner"), autocommit=True)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = '30s'")
            cursor.execute(
                "DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = "
                "'shop.rollup_minute'::regclass) LOOP PERFORM pg_sleep(0.01); END LOOP; END $$"
            )
    finally:
        connection.close()


# The command line ----------------------------------------------------------------------------------------------------


@pytest.fixture
def environment(database: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("SHOPSTREAM_HOME", str(database.home))
    monkeypatch.setenv("SHOPSTREAM_DATABASE_HOST", str(database.database_host))
    monkeypatch.setenv("SHOPSTREAM_DATABASE_PORT", str(database.database_port))
    monkeypatch.setenv("SHOPSTREAM_DATABASE_NAME", database.database_name)
    monkeypatch.setenv("COLUMNS", "160")
    return database


def test_the_command_sets_its_exit_status_by_the_outcome(
    environment: Settings, files: list[GeneratedFile], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([]) == 1
    assert "nothing to compare" in capsys.readouterr().out
    deliver(environment, files[:2])
    assert main([]) == 0
    output = capsys.readouterr().out
    assert "agreed: " in output
    assert "✗" not in output
    run_sql(environment, f"DELETE FROM shop.events WHERE event_id = {ONE_PURCHASE}")
    assert main([]) == 1
    output = capsys.readouterr().out
    assert "Differences" in output
    assert "stored purchase" in output
    assert "NOT agreed" in output
    assert main(["--manifests", "/nowhere"]) == 1
    assert "error: /nowhere is not a folder of manifests" in capsys.readouterr().err
