"""Read the manifests and the tables of Postgres, and compare them."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from include.db import load_queries, transaction
from include.errors import ReconcileError
from include.manifest import SUFFIX, Manifest, ManifestError, read_manifest
from include.reconcile.ledger import compare_ledger, fetch
from include.reconcile.manifests import Loaded, compare_manifests
from include.reconcile.report import Report

_POLL_SECONDS = 0.5
_SQL = load_queries("reconcile")


def reconcile(
    dsn: str,
    manifest_dir: Path,
    *,
    wait_seconds: float = 0.0,
    retention_days: int | None = None,
    is_ledger_only: bool = False,
) -> Report:
    """Compare the manifests with Postgres, and the tables of Postgres with one another.

    Parameters
    ----------
    dsn:
        A connection with read access to ``shop`` (role ops, quality or owner).
    manifest_dir:
        The directory to which the generator writes manifests; those that exist at the start are compared.
    wait_seconds:
        How long to wait for files that are not loaded yet, seconds.
    retention_days:
        Days after which rejects are removed; None when they are kept forever. Postgres records which events retention
        has removed.
    is_ledger_only:
        Skip the manifests, for an installation without a generator.

    Raises
    ------
    ReconcileError
        When ``manifest_dir`` does not exist.
    PlatformError
        When Postgres cannot be reached.
    """
    manifests, problems = ([], []) if is_ledger_only else _read_manifests(manifest_dir)
    names = [manifest.file for manifest in manifests]
    as_of = _wait_until_finished(dsn, names, wait_seconds)
    rejects_since = as_of - timedelta(days=retention_days) if retention_days is not None else None
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["snapshot"])
        rows = fetch(cursor, "finished_files", names=names, rejects_since=rejects_since)
        loaded = _loaded(cursor, rows)
        retracted = {row["name"] for row in rows if row["is_retracted"]} - loaded.keys()
        compared = compare_manifests(manifests, loaded, retracted)
        comparisons = [*compared, *compare_ledger(cursor, rejects_since)]
        admitted = [row["name"] for row in fetch(cursor, "admitted", as_of=as_of)]
    problems += _missing([name for name in names if name not in retracted], loaded, rows, admitted)
    is_empty = not any(one.expected or one.found for one in comparisons)
    if not manifests and (is_empty or not is_ledger_only):
        where = "no file has been loaded" if is_ledger_only else f"no manifest is in {manifest_dir}"
        problems.append(
            f"nothing to compare: {where}. Run the generator (python -m include.generator), name the right folder with "
            "--manifests, or compare only the tables with --ledger-only."
        )
    return Report.of(comparisons, problems, _notes(loaded, retracted))


def _read_manifests(directory: Path) -> tuple[list[Manifest], list[str]]:
    """Return the manifests of a directory, and the errors of those that cannot be read."""
    if not directory.is_dir():
        raise ReconcileError(f"{directory} is not a folder of manifests", "Name the right one with --manifests")
    manifests, faults = [], []
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        try:
            manifests.append(read_manifest(path))
        except FileNotFoundError:
            continue  # Retention has just removed it.
        except ManifestError as error:
            faults.append(str(error))
    return manifests, faults


def _wait_until_finished(dsn: str, names: list[str], wait_seconds: float) -> datetime:
    """Wait until all files known at the start are loaded or the time is over, and return the time of the start."""
    deadline = time.monotonic() + wait_seconds
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["clock"])
        as_of: datetime = cursor.fetchone()[0]
    while time.monotonic() < deadline:
        with transaction(dsn) as cursor:
            cursor.execute(_SQL["unfinished"], {"names": names, "as_of": as_of})
            if cursor.fetchone()[0] == 0:
                break
        time.sleep(_POLL_SECONDS)
    return as_of


def _loaded(cursor: Any, rows: Iterable[dict[str, Any]]) -> dict[str, Loaded]:
    """Return the contents of Postgres by file name, without quarantined and retracted files, which have none."""
    loaded: dict[str, Loaded] = {}
    by_id: dict[int, Loaded] = {}
    for row in rows:
        if row["fault"] or row["is_retracted"]:
            continue
        one = by_id[row["file_id"]] = loaded.setdefault(row["name"], Loaded(row["file_id"]))
        one.loads += 1
        one.read += row["read"]
        one.accepted += row["accepted"]
        one.duplicate += row["duplicate"]
        one.rejected += row["rejected"]
        one.has_all_events &= row["has_all_events"]
        one.has_all_rejects &= row["has_all_rejects"]
    file_ids = list(by_id)
    for row in fetch(cursor, "events_of_files", file_ids=file_ids):
        one = by_id[row["file_id"]]
        one.by_type[row["event_type"]] += row["events"]
        one.revenue[row["currency"]] += row["revenue"]
    for row in fetch(cursor, "rejects_of_files", file_ids=file_ids):
        by_id[row["file_id"]].bad[row["code"]] += row["rows"]
    return loaded


def _missing(
    names: Iterable[str], loaded: dict[str, Loaded], rows: Iterable[dict[str, Any]], admitted: Iterable[str]
) -> list[str]:
    """Return a message for each file that should be loaded but is not."""
    faults = {row["name"]: row["fault"] for row in rows if row["fault"]}
    waiting = set(admitted)
    problems = [
        f"{name} was admitted, but is not loaded yet. See `make status`, or wait with --wait." for name in admitted
    ]
    for name in names:
        if name in loaded or name in waiting:
            continue
        if name in faults:
            problems.append(f"{name} was quarantined ({faults[name]}). Correct it and deliver it again.")
        else:
            problems.append(
                f"{name} is not loaded yet. Check that the stream is running (`make status`), or wait with --wait. If "
                "the generator was killed after writing the manifest, the file does not exist: remove the manifest."
            )
    return problems


def _notes(loaded: dict[str, Loaded], retracted: Collection[str]) -> list[str]:
    past = sum(not one.has_all_events for one in loaded.values())
    several = sum(one.loads > 1 for one in loaded.values())
    notes = {
        "{} files are past retention: only their balances were compared": past,
        "{} files were delivered more than once: their repetitions count as duplicates": several,
        "{} files were retracted: rows of theirs that other files repeat were not compared": len(retracted),
    }
    return [text.format(count) for text, count in notes.items() if count]
