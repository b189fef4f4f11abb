"""Override failing critical checks, so that an operator can publish views that are held back.

An override covers the failures that the operator knew of, by suite and check. A view that fails any other check is
still held back. An override ends with the next publication unless it is granted for a number of hours.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg2.extras import RealDictCursor

from include.db import load_queries, transaction
from include.db.views import suggest, view_names
from include.errors import ShopstreamError

# An override that no publication has used expires after this time.
LONGEST_HOURS = 24
# An arbitrary constant that no other code uses.
ADVISORY_LOCK = 5_340_006

_SQL = load_queries("overrides")


class OverrideError(ShopstreamError):
    """There is nothing to override: no such view exists, or it is not held back."""


@dataclass(frozen=True)
class Override:
    """An override in force, for one view, or for all views when ``view_name`` is None.

    ``covers`` has the failures that it overrides, as ``suite/check``.
    """

    override_id: int
    view_name: str | None
    covers: frozenset[str]
    granted_by: str
    reason: str
    expires_at: datetime

    def allows(self, view_name: str, failures: Collection[str]) -> bool:
        """Return whether the view may be published although these checks fail."""
        return self.view_name in (None, view_name) and self.covers.issuperset(failures)


def held(dsn: str, view_name: str | None) -> tuple[list[str], str]:
    """Return the failures that hold back a view, or all held views: as ``suite/check``, and as a message.

    Raises
    ------
    OverrideError
        When there is no such view, or nothing holds it back.
    """
    with transaction(dsn, cursor_factory=RealDictCursor) as cursor:
        return _held(cursor, view_name)


def grant(
    dsn: str,
    view_name: str | None,
    *,
    by: str,
    reason: str,
    hours: int | None = None,
    covers: Collection[str] | None = None,
) -> Override:
    """Let the next refresh publish a view that is held back, or all of them.

    A second grant by the same operator for the same failures returns the first override.

    Parameters
    ----------
    dsn:
        A connection as role ops.
    view_name:
        The view; None for all views that are held back.
    by, reason:
        The operator who decided it, and the reason.
    hours:
        How long it lasts, at most LONGEST_HOURS. Without it the override ends with the next publication.
    covers:
        The failures that the operator saw when deciding; the current failures unless given.

    Raises
    ------
    OverrideError
        When there is no such view, or nothing holds it back.
    """
    with transaction(dsn, cursor_factory=RealDictCursor) as cursor:
        return grant_in(cursor, view_name, by=by, reason=reason, hours=hours, covers=covers)


def grant_in(
    cursor: Any,
    view_name: str | None,
    *,
    by: str,
    reason: str,
    hours: int | None = None,
    covers: Collection[str] | None = None,
) -> Override:
    """Do what ``grant`` does, in the caller's transaction; its cursor must return rows as dictionaries."""
    cursor.execute(_SQL["lock_grants"], {"key": ADVISORY_LOCK})
    failures, _ = _held(cursor, view_name)
    known = failures if covers is None else sorted(covers)
    is_once = hours is None
    cursor.execute(_SQL["active"], {"view_name": view_name})
    for row in cursor.fetchall():
        same = (row["view_name"], row["granted_by"], row["is_once"]) == (view_name, by, is_once)
        if same and set(row["covers"]) >= set(known):
            return _override(row)
    cursor.execute(
        _SQL["grant"],
        {
            "view_name": view_name,
            "covers": known,
            "actor": by,
            "reason": reason,
            "hours": hours or LONGEST_HOURS,
            "is_once": is_once,
        },
    )
    override = _override(cursor.fetchone())
    lasts = "until the next publication" if is_once else f"for {hours} hours"
    _record(cursor, by, "view.publish", view_name, f"{reason} ({lasts}; {', '.join(known)})")
    return override


def _held(cursor: Any, view_name: str | None) -> tuple[list[str], str]:
    names = view_names()
    if view_name is not None and view_name not in names:
        raise OverrideError(f"there is no view {view_name!r}", suggest(view_name, names))
    cursor.execute(_SQL["held"], {"view_name": view_name, "names": list(names)})
    row = cursor.fetchone()
    if row is None:
        what = "no view is" if view_name is None else f"shop.{view_name} is not"
        raise OverrideError(f"{what} held back", "Nothing needs an override")
    return row["covers"], row["held_because"]


def revoke(dsn: str, view_name: str | None, *, by: str, reason: str) -> int:
    """Revoke the overrides in force for a view, or all of them, and return their number."""
    with transaction(dsn, cursor_factory=RealDictCursor) as cursor:
        return revoke_in(cursor, view_name, by=by, reason=reason)


def revoke_in(cursor: Any, view_name: str | None, *, by: str, reason: str) -> int:
    """Do what ``revoke`` does, in the caller's transaction."""
    cursor.execute(_SQL["revoke"], {"view_name": view_name, "actor": by})
    count = len(cursor.fetchall())
    if count:
        _record(cursor, by, "view.hold", view_name, reason)
    return count


def active_for(dsn: str, view_name: str) -> list[Override]:
    """Return the overrides in force for a view, the newest first."""
    with transaction(dsn, cursor_factory=RealDictCursor) as cursor:
        cursor.execute(_SQL["active"], {"view_name": view_name})
        return [_override(row) for row in cursor.fetchall()]


def _override(row: dict[str, Any]) -> Override:
    return Override(
        row["override_id"],
        row["view_name"],
        frozenset(row["covers"]),
        row["granted_by"],
        row["reason"],
        row["expires_at"],
    )


def _record(cursor: Any, actor: str, action: str, view_name: str | None, reason: str) -> None:
    subject = "all views" if view_name is None else f"view {view_name}"
    cursor.execute(_SQL["record_action"], {"actor": actor, "action": action, "subject": subject, "reason": reason})
