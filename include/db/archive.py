"""Files past their age removed: loaded files from the archive, manifests, quarantined files, and logs of tasks."""

from __future__ import annotations

import contextlib
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from include.settings import Settings


@dataclass(frozen=True)
class Pruned:
    """What was removed from one directory."""

    directory: Path
    files: int
    size_bytes: int

    def __str__(self) -> str:
        return f"{self.directory}: {self.files} files removed, {self.size_bytes / 1024**2:.1f} MiB"


def prune(settings: Settings, *, now: float | None = None) -> list[Pruned]:
    """Remove archived files after ``archive_hours``; the others after ``retention_days``.

    Parameters
    ----------
    settings:
        The directories and ages.
    now:
        The moment to count from, Unix seconds; default the clock.
    """
    now = time.time() if now is None else now
    retention_seconds = settings.retention_days * 86_400.0
    return [
        _prune(settings.archive_dir, now - settings.archive_hours * 3_600.0),
        _prune(settings.manifest_dir, now - retention_seconds),
        _prune(settings.quarantine_dir, now - retention_seconds),
        _prune(settings.task_log_dir, now - retention_seconds),
    ]


def _prune(directory: Path, before: float) -> Pruned:
    files = size_bytes = 0
    # Deepest first, and every time read before the first removal: emptying a folder makes it new.
    found = sorted(((path, path.lstat()) for path in directory.rglob("*")), reverse=True)
    for path, status in found:
        # The time of the last rename, not that of the content: an old file that was loaded today has just arrived.
        if status.st_ctime >= before:
            continue
        if stat.S_ISDIR(status.st_mode):
            # Not empty: something in it is newer than the folder's own entry list.
            with contextlib.suppress(OSError):
                path.rmdir()
            continue
        path.unlink()
        files += 1
        size_bytes += status.st_size
    return Pruned(directory, files, size_bytes)
