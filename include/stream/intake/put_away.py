"""Archive or quarantine files whose final state is recorded."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from include.db import load_queries
from include.stream.intake.file_alerts import raise_changed
from include.stream.intake.landing import Landing

_SQL = load_queries("put_away")


def put_away_files(cursor: Any, landing: Landing, epoch: int, file_ids: Collection[int]) -> None:
    """Move the given files that were loaded or quarantined out of the admitted folder of an epoch.

    Call it after the commit that recorded their state. If the driver crashes in between, the files stay where they are
    and the next driver moves them. A file whose size differs from what was read, because its sender went on writing,
    raises an alert.
    """
    cursor.execute(_SQL["finished"], {"file_ids": list(file_ids)})
    changed = []
    for file_id, name, finished_at, is_quarantined, size_bytes in cursor.fetchall():
        landing.put_away(epoch, file_id, name, finished_at, is_quarantined=is_quarantined)
        path = landing.final_path(file_id, name, finished_at, is_quarantined=is_quarantined)
        try:
            size_now = path.lstat().st_size
        except FileNotFoundError:
            continue
        if size_now != size_bytes and not is_quarantined:
            changed.append(f"file {file_id} ({name}), now {path}: {describe_change(size_bytes, size_now)}")
    raise_changed(cursor, changed)


def describe_change(read_bytes: int, size_bytes: int) -> str:
    """Describe the change of a file of which ``read_bytes`` were read."""
    if size_bytes > read_bytes:
        return f"appended to after pick-up: {size_bytes - read_bytes:,} bytes were not loaded"
    return f"truncated after pick-up from {read_bytes:,} to {size_bytes:,} bytes; the rows read before are loaded"
