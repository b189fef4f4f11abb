"""Files past their age removed: loaded files from the archive, manifests, quarantined files, logs of tasks and drivers.

A loaded file of which not all was read, because its sender went on writing, is the only copy of what is missing: it
goes to the quarantine instead, with an alert.
"""

from __future__ import annotations

import contextlib
import shutil
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from os import stat_result
from pathlib import Path

from include.alerts import Alert, note_event_in
from include.db.connect import transaction
from include.db.queries import load_queries
from include.settings import Settings

_SQL = load_queries("archive")
_ASKED_AT_ONCE = 10_000
_NAMED = 20
# Their drivers may still run, or people look for why they ended.
_KEPT_RUNS = 20


@dataclass(frozen=True)
class Pruned:
    """What was removed from one directory."""

    directory: Path
    files: int
    size_bytes: int

    def __str__(self) -> str:
        return f"{self.directory}: {self.files} files removed, {self.size_bytes / 1024**2:.1f} MiB"


@dataclass(frozen=True)
class _Changed:
    """An archived file that has another size than was read of it."""

    path: Path
    file_id: int
    name: str
    read_bytes: int
    size_bytes: int


def prune(settings: Settings, dsn: str, *, now: float | None = None) -> list[Pruned]:
    """Remove archived files after ``archive_hours``; the others after ``retention_days``.

    Parameters
    ----------
    settings:
        The directories and ages.
    dsn:
        Connection of the role ops.
    now:
        The moment to count from, Unix seconds; default the clock.
    """
    now = time.time() if now is None else now
    archived_before = now - settings.archive_hours * 3_600.0
    before = now - settings.retention_days * 86_400.0
    _rescue_changed(settings, dsn, archived_before)
    return [
        _prune(settings.archive_dir, archived_before),
        _prune(settings.manifest_dir, before),
        _prune(settings.quarantine_dir, before),
        _prune(settings.task_log_dir, before),
        _prune_drivers(settings.root / "spark" / "work", before, _newest_logs(dsn)),
    ]


def _old_files(directory: Path, before: float) -> Iterator[tuple[Path, stat_result]]:
    """Everything below a directory that is older, the deepest first."""
    # Every time is read before the first removal: emptying a folder makes it new.
    for path, status in sorted(((path, path.lstat()) for path in directory.rglob("*")), reverse=True):
        # The time of the last rename, not that of the content: an old file that was loaded today has just arrived.
        if status.st_ctime < before:
            yield path, status


def _prune(directory: Path, before: float) -> Pruned:
    files = size_bytes = 0
    for path, status in _old_files(directory, before):
        if stat.S_ISDIR(status.st_mode):
            # Not empty: something in it is newer than the folder's own entry list.
            with contextlib.suppress(OSError):
                path.rmdir()
            continue
        path.unlink()
        files += 1
        size_bytes += status.st_size
    return Pruned(directory, files, size_bytes)


def _rescue_changed(settings: Settings, dsn: str, before: float) -> None:
    """Move archived files that are about to go, but were not read whole, to the quarantine."""
    changed = _changed_files(settings.archive_dir, dsn, before)
    if not changed:
        return
    moves = {one: settings.quarantine_dir / one.path.parent.name / one.path.name for one in changed}
    lines = [
        f"- file {one.file_id} ({one.name}), now {target}: of {one.size_bytes:,} bytes, {one.read_bytes:,} were read"
        for one, target in moves.items()
    ]
    if len(lines) > _NAMED:
        lines = [*lines[:_NAMED], f"… and {len(lines) - _NAMED} more"]
    with transaction(dsn) as cursor:
        note_event_in(
            cursor,
            Alert(
                severity="warning",
                source="maintain_partitions.prune_files",
                key="maintain_partitions.prune_files: archived files were changed",
                runbook_url="/dags/maintain_partitions",
                title=f"{len(changed)} archived files were changed after pick-up and moved to quarantine",
                detail="\n".join(lines)
                + f"\nWhat was added is not loaded. They are kept for {settings.retention_days} "
                "days more; deliver them again if the rest matters: rows that are stored count as duplicates.",
            ),
        )
        # Before the commit: whatever fails, a file that was moved has been reported or is found here again.
        for one, target in moves.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            one.path.rename(target)


def _changed_files(archive: Path, dsn: str, before: float) -> list[_Changed]:
    """The files past their age whose size is not the one that was read; their names begin with their id."""
    found = {
        int(path.name.partition("-")[0]): (path, status.st_size)
        for path, status in _old_files(archive, before)
        if stat.S_ISREG(status.st_mode) and path.name.partition("-")[0].isdecimal()
    }
    file_ids = sorted(found)
    changed = []
    for first in range(0, len(file_ids), _ASKED_AT_ONCE):
        with transaction(dsn) as cursor:
            cursor.execute(_SQL["sizes"], {"file_ids": file_ids[first : first + _ASKED_AT_ONCE]})
            for file_id, name, read_bytes in cursor:
                path, size_bytes = found[file_id]
                if size_bytes != read_bytes:
                    changed.append(_Changed(path, file_id, name, read_bytes, size_bytes))
    return changed


def _newest_logs(dsn: str) -> set[str]:
    """The names of the directories of the newest drivers."""
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["newest_logs"], {"runs": _KEPT_RUNS})
        return {Path(log_path).name for (log_path,) in cursor}


def _prune_drivers(work: Path, before: float, kept: set[str]) -> Pruned:
    """Remove the directories of Spark drivers in which nothing has changed since; each holds one driver's output."""
    files = size_bytes = 0
    for directory in work.glob("driver-*"):
        inside = [path.lstat() for path in directory.rglob("*") if not path.is_dir()]
        changed_at = max((status.st_ctime for status in inside), default=directory.lstat().st_ctime)
        if directory.name in kept or changed_at >= before:
            continue
        shutil.rmtree(directory)
        files += len(inside)
        size_bytes += sum(status.st_size for status in inside)
    return Pruned(work, files, size_bytes)
