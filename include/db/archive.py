"""Remove old files: loaded files from the archive, manifests, quarantined files, logs of tasks and drivers.

If a loaded file was not read completely, because its sender went on writing, the archive has the only copy of the rest.
Such a file is moved to the quarantine instead, with an alert.
"""

from __future__ import annotations

import contextlib
import os
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
# Drivers of these runs may still be running, or an operator may want to know why they ended.
_KEPT_RUNS = 20
_LONGEST_OUTPUT_BYTES = 50 * 1024**2
_KEPT_OUTPUT_BYTES = 10 * 1024**2


@dataclass(frozen=True)
class Pruned:
    """The files removed from one directory."""

    directory: Path
    files: int
    size_bytes: int

    def __str__(self) -> str:
        return f"{self.directory}: {self.files} files removed, {self.size_bytes / 1024**2:.1f} MiB"


@dataclass(frozen=True)
class _Changed:
    """An archived file whose size differs from what was read of it."""

    path: Path
    file_id: int
    name: str
    read_bytes: int
    size_bytes: int


def prune(settings: Settings, dsn: str, *, now: float | None = None) -> list[Pruned]:
    """Remove archived files after ``archive_hours``, and the others after ``retention_days``.

    Parameters
    ----------
    settings:
        The directories and ages.
    dsn:
        Connection of the role ops.
    now:
        The moment to count from, Unix seconds; the current time by default.
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
        _prune(settings.log_dir / "dags", before),
        _shorten_outputs(settings.root / "spark" / "work"),
        _prune_drivers(settings.root / "spark" / "work", before, _newest_logs(dsn)),
    ]


def _old_files(directory: Path, before: float) -> Iterator[tuple[Path, stat_result]]:
    """Yield everything older below a directory, the deepest first."""
    # Read all times before the first removal, because emptying a folder makes it new.
    for path, status in sorted(((path, path.lstat()) for path in directory.rglob("*")), reverse=True):
        # Use the time of the last rename, not that of the content: an old file that was loaded today has just arrived.
        if status.st_ctime < before:
            yield path, status


def _prune(directory: Path, before: float) -> Pruned:
    files = size_bytes = 0
    for path, status in _old_files(directory, before):
        if stat.S_ISDIR(status.st_mode):
            # A folder that is not empty has something newer in it, and stays.
            with contextlib.suppress(OSError):
                path.rmdir()
            continue
        path.unlink()
        files += 1
        size_bytes += status.st_size
    return Pruned(directory, files, size_bytes)


def _rescue_changed(settings: Settings, dsn: str, before: float) -> None:
    """Move archived files that are about to be removed, but were not read completely, to the quarantine."""
    changed = _changed_files(settings.archive_dir, dsn, before)
    if not changed:
        return
    moves = {one: _unused(settings.quarantine_dir / one.path.parent.name / one.path.name) for one in changed}
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
                + f"\nRows that were added are not loaded. The files are kept for {settings.retention_days} "
                "days more; deliver them again if the rest matters: rows that are stored count as duplicates.",
            ),
        )
        # Move before the commit: if a move fails, nothing is reported, and files that are still in place are found
        # again next time.
        for one, target in moves.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            one.path.rename(target)


def _unused(path: Path) -> Path:
    """Return the path, or one beside it if that exists: after a restore of the database, file ids are used again."""
    return path.with_name(f"{time.time_ns()}-{path.name}") if os.path.lexists(path) else path


def _changed_files(archive: Path, dsn: str, before: float) -> list[_Changed]:
    """Return the files past their age whose size is not the one that was read; file names begin with the file id."""
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
    """Return the directory names of the newest drivers."""
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["newest_logs"], {"runs": _KEPT_RUNS})
        return {Path(log_path).name for (log_path,) in cursor}


def _shorten_outputs(work: Path) -> Pruned:
    """Cut long driver outputs down to their newest part.

    A driver runs for a week, and the worker that writes its output does not rotate it. The worker appends, so it
    continues at the start of a file that is emptied.
    """
    files = size_bytes = 0
    for path in [*work.glob("driver-*/stdout"), *work.glob("driver-*/stderr")]:
        size = path.stat().st_size
        if size <= _LONGEST_OUTPUT_BYTES:
            continue
        with path.open("rb") as file:
            file.seek(size - _KEPT_OUTPUT_BYTES)
            path.with_name(path.name + ".before").write_bytes(file.read(_KEPT_OUTPUT_BYTES))
        os.truncate(path, 0)
        files += 1
        size_bytes += size - _KEPT_OUTPUT_BYTES
    return Pruned(work, files, size_bytes)


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
