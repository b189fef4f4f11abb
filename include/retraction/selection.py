"""Select the deliveries of a retraction."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from include.db import load_queries
from include.db.text import storable
from include.errors import ShopstreamError

_SQL = load_queries("retraction")


class RetractionError(ShopstreamError):
    """A delivery cannot be retracted; nothing was changed."""


@dataclass(frozen=True)
class Selection:
    """Conditions for deliveries; a delivery must meet all that are given.

    Parameters
    ----------
    name:
        The name of the file. ``*`` matches any characters and ``?`` one character, so ``returns-*.csv`` matches every
        file of one sender.
    file_id:
        Its number in ``shop.files``.
    batch_id:
        A batch that loaded the file or a slice of it.
    since, until:
        The file was loaded at ``since`` or later, and before ``until``.
    """

    name: str | None = None
    file_id: int | None = None
    batch_id: int | None = None
    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        if self.name is not None:
            # Escape bytes that are not UTF-8, as in the recorded names.
            object.__setattr__(self, "name", storable(self.name))
        if not self.given:
            raise RetractionError("no delivery was named", "Name a file, a batch, or a range of loading times")

    @property
    def given(self) -> dict[str, Any]:
        """The given conditions by name; times as ISO 8601."""
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in asdict(self).items()
            if value is not None
        }

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self.given.items())


@dataclass(frozen=True)
class Delivery:
    """A delivered file with the balance of its rows."""

    file_id: int
    name: str
    state: str
    loaded_at: datetime | None
    read: int
    accepted: int
    duplicate: int
    rejected: int


def parse_time(text: str) -> datetime:
    """Parse a time in ISO 8601; one without an offset is in UTC.

    Raises
    ------
    RetractionError
        When the text is not a time.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise RetractionError(f"{text!r} is not a time", "Write it as 2026-11-20T09:30") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def find_deliveries(cursor: Any, selection: Selection) -> list[Delivery]:
    """Return the selected deliveries in the order of their admission.

    Raises
    ------
    RetractionError
        When no delivery matches, or one of them is still being loaded.
    """
    cursor.execute(_SQL["deliveries"], {**asdict(selection), "name_like": _like(selection.name)})
    found = [Delivery(*row) for row in cursor.fetchall()]
    if loading := [one.name for one in found if one.state == "admitted"]:
        raise RetractionError(
            f"{_listed(loading)} is still being loaded", "Retract it once it has been loaded; `make status` shows it"
        )
    brought = [one for one in found if one.read]
    if not brought:
        raise RetractionError(f"no delivery with rows matches: {selection}", _hint(cursor, selection))
    return brought


def _like(name: str | None) -> str | None:
    """Convert a name with ``*`` and ``?`` to a LIKE pattern."""
    if name is None:
        return None
    escaped = name.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%").replace("?", "_")


def _listed(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _hint(cursor: Any, selection: Selection) -> str:
    if selection.name:
        cursor.execute(_SQL["similar_names"])
        close = difflib.get_close_matches(selection.name, [name for (name,) in cursor.fetchall()], n=1)
        if close:
            return f"Did you mean {close[0]}?"
    return "`make status` and the files page list loaded files; a delivery can be retracted only once"
