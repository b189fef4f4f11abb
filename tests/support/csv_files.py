"""Create files for tests: valid rows from the contract's examples, with changes."""

from __future__ import annotations

import csv
import io
import itertools
import random
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from include.contract import COLUMN_NAMES, COLUMNS

_names = itertools.count(1)
_random = random.Random(20261122)


def uuid7(instant: datetime) -> str:
    """Return a UUIDv7 of an instant (RFC 9562, section 5.7)."""
    millis = round(instant.timestamp() * 1000)
    bits = millis << 80 | 0x7 << 76 | _random.getrandbits(12) << 64 | 0b10 << 62 | _random.getrandbits(62)
    return str(UUID(int=bits))


def valid_row(**changes: str | None) -> dict[str, str | None]:
    """Return a valid purchase of a second ago, with the given fields changed; None empties a field."""
    instant = datetime.now(UTC) - timedelta(seconds=1)
    return {
        **{column.name: column.example for column in COLUMNS},
        "event_id": uuid7(instant),
        "event_time": instant.isoformat(timespec="milliseconds"),
        **changes,
    }


def csv_text(rows: Iterable[Mapping[str, str | None]], columns: Iterable[str] = COLUMN_NAMES) -> str:
    """Return rows as CSV with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def deliver(folder: Path, content: str | bytes, name: str | None = None) -> str:
    """Put a file into a folder by rename, as a correct sender does, and return its name."""
    name = name or f"delivered-{next(_names)}.csv"
    hidden = folder / f".{name}"
    hidden.write_bytes(content.encode() if isinstance(content, str) else content)
    hidden.rename(folder / name)
    return name
