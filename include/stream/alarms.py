"""What the stream tells people of the files that it meets: alerts of source ``stream``.

They are written in the transaction that records the fact. Where a sender can cause a flood, an alert of the same title
is written only once in ``QUIET_SECONDS``; the log and ``shop.files`` have every single case.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from include.alerts import Alert, note_event_in
from include.contract import FILE_FAULTS

SOURCE = "stream"
QUIET_SECONDS = 600.0
# The rest is counted: a hundred thousand names are no help.
_NAMED = 20
_RUNBOOK = "/dags/stream_events"

_log = logging.getLogger(__name__)


def raise_quarantined(cursor: Any, fault: str, files: Sequence[str]) -> None:
    """Files that were quarantined for the same fault; each text names the file, its place and what was found."""
    _raise(
        cursor,
        f"files are in quarantine: {fault}",
        files,
        f"{FILE_FAULTS[fault].message} Until then none of these files' rows are loaded, but those of parts before the "
        "fault; all of them are in shop.files with state 'quarantined'.",
    )


def raise_other_content(cursor: Any, files: Sequence[str]) -> None:
    """Files that were delivered again under the same name, with another content."""
    _raise(
        cursor,
        "files came again under the same name, with other content",
        files,
        "Both are loaded: rows with a known event_id count as duplicates, and those that differ from the stored event "
        "are in shop.conflicts. If the later file was to replace the earlier one, it did not. Give each delivery "
        "a name of its own.",
    )


def raise_changed(cursor: Any, files: Sequence[str]) -> None:
    """Files that changed after they were picked up."""
    _raise(
        cursor,
        "files were changed after pick-up",
        files,
        "What was added later is not loaded. Deliver files by rename when they are whole; deliver the rows that are "
        "missing in a file of their own, or the whole file again: rows that are stored count as duplicates.",
    )


def _raise(cursor: Any, title: str, files: Sequence[str], remedy: str) -> None:
    if not files:
        return
    for file in files[:_NAMED]:
        _log.warning("%s: %s", title, file)
    more = f"\n… and {len(files) - _NAMED} more" if len(files) > _NAMED else ""
    named = "\n".join(f"- {file}" for file in files[:_NAMED])
    alert = Alert("warning", SOURCE, title, f"{named}{more}\n{remedy}", runbook_url=_RUNBOOK)
    note_event_in(cursor, alert, QUIET_SECONDS)
