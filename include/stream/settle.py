"""Moves files whose fate is recorded to their resting place."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from include.db import load_queries
from include.stream.alarms import raise_changed
from include.stream.landing import Landing

_SQL = load_queries("settle")


def settle_files(cursor: Any, landing: Landing, file_ids: Collection[int]) -> None:
    """Move those of the given files that were loaded or quarantined out of the admitted folder.

    It follows the commit that recorded their fate, so a crash in between leaves them where they were; the next driver
    does it then. A file that is not what was read of it, because its sender went on writing, raises an alarm.
    """
    cursor.execute(_SQL["settled"], {"file_ids": list(file_ids)})
    changed = []
    for file_id, name, settled_at, is_quarantined, size_bytes in cursor.fetchall():
        landing.settle(file_id, name, settled_at, is_quarantined=is_quarantined)
        path = landing.settled_path(file_id, name, settled_at, is_quarantined=is_quarantined)
        try:
            size_now = path.lstat().st_size
        except FileNotFoundError:
            continue
        if size_now != size_bytes and not is_quarantined:
            changed.append(f"file {file_id} ({name}), now {path}: {describe_change(size_bytes, size_now)}")
    raise_changed(cursor, changed)


def describe_change(read_bytes: int, size_bytes: int) -> str:
    """What became of a file of which ``read_bytes`` were read."""
    if size_bytes > read_bytes:
        return f"appended to after pick-up: {size_bytes - read_bytes:,} bytes were not loaded"
    return f"cut after pick-up from {read_bytes:,} to {size_bytes:,} bytes; what was read is loaded"
