"""Moves files whose fate is recorded to their resting place."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from include.db import load_queries
from include.stream.landing import Landing

_SQL = load_queries("settle")


def settle_files(cursor: Any, landing: Landing, file_ids: Collection[int]) -> None:
    """Move those of the given files that were loaded or quarantined out of the admitted folder.

    It follows the commit that recorded their fate, so a crash in between leaves them where they were; the next driver
    does it then.
    """
    cursor.execute(_SQL["settled"], {"file_ids": list(file_ids)})
    for file_id, name, settled_at, is_quarantined in cursor.fetchall():
        landing.settle(file_id, name, settled_at, is_quarantined=is_quarantined)
