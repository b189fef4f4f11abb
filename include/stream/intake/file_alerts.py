"""Raise alerts about the files that the stream meets, under the source ``stream``.

An alert is written in the transaction that records its cause. A sender can cause a flood, so an alert of one title is
written at most once in ``QUIET_SECONDS``; the log and ``shop.files`` have every single case.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from include.alerts import Alert, note_event_in
from include.contract import FILE_FAULTS
from include.db.text import storable

SOURCE = "stream"
QUIET_SECONDS = 600.0
# The rest is only counted, since a hundred thousand names would not help.
_NAMED = 20
_RUNBOOK = "/dags/stream_events"

_log = logging.getLogger(__name__)


def raise_quarantined(cursor: Any, fault: str, files: Sequence[str]) -> None:
    """Report files that were quarantined for the same fault; each text has the name, path and finding of a file."""
    _raise(
        cursor,
        f"files are in quarantine: {fault}",
        files,
        f"{FILE_FAULTS[fault].message} Until then the rows of these files are not loaded, except the slices before the "
        "fault. All of these files are in shop.files with state 'quarantined'.",
    )


def raise_other_content(cursor: Any, files: Sequence[str]) -> None:
    """Report files that were delivered again under the same name with different content."""
    _raise(
        cursor,
        "files came again under the same name, with other content",
        files,
        "Both are loaded: rows with a known event_id count as duplicates, and those that differ from the stored event "
        "are in shop.conflicts. The later file did not replace the earlier one. Give each delivery its own name.",
    )


def raise_changed(cursor: Any, files: Sequence[str]) -> None:
    """Report files that changed after they were picked up."""
    _raise(
        cursor,
        "files were changed after pick-up",
        files,
        "Rows that were added later are not loaded. Deliver a file by rename once it is complete. Deliver the missing "
        "rows in a file of their own, or the whole file again: rows that are already stored count as duplicates.",
    )


def _raise(cursor: Any, title: str, files: Sequence[str], remedy: str) -> None:
    if not files:
        return
    files = [storable(file) for file in files]
    for file in files[:_NAMED]:
        _log.warning("%s: %s", title, file)
    more = f"\n… and {len(files) - _NAMED} more" if len(files) > _NAMED else ""
    named = "\n".join(f"- {file}" for file in files[:_NAMED])
    alert = Alert("warning", SOURCE, title, f"{named}{more}\n{remedy}", runbook_url=_RUNBOOK)
    note_event_in(cursor, alert, QUIET_SECONDS)
