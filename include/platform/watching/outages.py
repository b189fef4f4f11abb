"""Open an alert for each program that is out for longer than allowed, and resolve it when the program works again.

When the database itself is down, nothing can be recorded and the outbox cannot be read. Notices then bypass the outbox:
one that PostgreSQL cannot be reached, and one that it is back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from include.alerts import Alert, note_event, raise_alert, resolve_alert
from include.alerts.notice import Notice
from include.alerts.outbox import record_notified
from include.alerts.planned import planned_times
from include.db import AWAY
from include.db.messages import without_rows

SOURCE = "watchdog"
POSTGRES = "postgres"
# A notice that no channel accepted is sent again after that time.
_AGAIN = timedelta(minutes=1)

Send = Callable[[Notice], list[str]]

_log = logging.getLogger(__name__)


class Outages:
    """Track which outages have been alerted, and which could not be recorded yet.

    Parameters
    ----------
    dsn:
        Connection of the role ops.
    programs:
        Names of the platform's programs. Their open alerts, raised by an earlier run of the watchdog, are resolved by
        this one.
    send:
        Sends a notice without the outbox and returns the channels that accepted it; None disables such notices.
    memory:
        The file that stores the notice about PostgreSQL for the next run of the watchdog.
    """

    def __init__(
        self, dsn: str, programs: Collection[str], *, send: Send | None = None, memory: Path | None = None
    ) -> None:
        self._dsn = dsn
        self._inherited = set(programs)
        self._notified: set[str] = set()
        self._unreported: dict[str, float] = {}
        self._send = send
        self._memory = memory
        self._notice = _recall(memory)
        self._sent_at: datetime | None = None
        self._planned: list[tuple[datetime, datetime]] = []

    def notify(self, ill: Collection[str], overdue: Mapping[str, float], done: Mapping[str, str]) -> None:
        """Open and resolve alerts.

        Parameters
        ----------
        ill:
            The programs that do not work.
        overdue:
            Seconds of outage of each program that has been out for longer than allowed.
        done:
            The action that was just taken on a program.
        """
        if POSTGRES not in ill:
            self._look_at_plans()
            self._end_notice()
        for name, seconds in overdue.items():
            if name not in self._notified or name in done:
                self._begin(name, seconds, done.get(name, "Its supervisor starts it again."))
        for name in (self._notified | self._inherited) - set(ill):
            self._end(name)
        for name in set(self._unreported) - set(ill):
            self._catch_up(name)

    def _begin(self, name: str, seconds: float, what_was_done: str) -> None:
        alert = Alert(
            severity="critical",
            source=SOURCE,
            key=_key(name),
            title=f"{name} does not work",
            detail=f"It has not worked for {seconds:.0f} s. {what_was_done} See the end of `make logs NAME={name}` for "
            "the cause; `make status` shows all programs, and `make up` starts those that are down.",
        )
        _log.warning("%s. %s", alert.title, alert.detail)
        try:
            raise_alert(self._dsn, alert)
        except AWAY as error:
            self._unreported[name] = seconds
            _log.error("The alert cannot be recorded yet: %s", error)
            self._notify(seconds, error)
        else:
            self._notified.add(name)
            self._unreported.pop(name, None)

    def _end(self, name: str) -> None:
        try:
            is_open = resolve_alert(self._dsn, _key(name))
        except AWAY as error:
            _log.error("The end of an alert cannot be recorded yet: %s", error)
            return
        self._notified.discard(name)
        self._inherited.discard(name)
        if is_open:
            _log.info("%s works again.", name)

    def _catch_up(self, name: str) -> None:
        title = f"{name} did not work"
        detail = f"It was out for at least {self._unreported[name]:.0f} s; nothing could be recorded meanwhile."
        try:
            note_event(self._dsn, Alert("critical", SOURCE, title, detail, key=_key(name)))
        except AWAY as error:
            _log.error("An outage cannot be recorded yet: %s", error)
        else:
            del self._unreported[name]

    def _notify(self, seconds: float, error: Exception) -> None:
        """Send one notice, without the outbox, that PostgreSQL cannot be reached, whichever program reported it."""
        now = datetime.now(UTC)
        if self._send is None or any(began <= now < ready for began, ready in self._planned):
            return
        if self._notice is not None and self._notice.channels:
            return
        if self._sent_at is not None and now - self._sent_at < _AGAIN:
            return
        self._sent_at = now
        began_at = self._notice.began_at if self._notice else now - timedelta(seconds=seconds)
        notice = Notice(
            Alert(
                severity="critical",
                source=SOURCE,
                key=_key(POSTGRES),
                title="PostgreSQL cannot be reached",
                detail="No event is loaded, nothing is refreshed or checked, and no other alert can be sent until it "
                "is back. Delivered files wait and are loaded then. `make status` shows all programs, `make logs "
                "NAME=postgres` shows the cause, and `make up` starts the programs that are down. Its error: "
                f"{without_rows(str(error)) or type(error).__name__}",
            ),
            began_at,
        )
        self._keep(replace(notice, channels=tuple(self._send(notice))))

    def _end_notice(self) -> None:
        """Record the outage of PostgreSQL, and notify the channels that got the direct notice that it is over."""
        if self._notice is None:
            return
        over = replace(self._notice, ended_at=datetime.now(UTC))
        try:
            record_notified(self._dsn, over)
        except AWAY as error:
            _log.error("An outage cannot be recorded yet: %s", error)
            return
        self._unreported.pop(POSTGRES, None)
        self._keep(None)
        if self._send is not None and over.channels:
            self._send(over)

    def _look_at_plans(self) -> None:
        """Read the planned maintenance while the database can be reached."""
        try:
            self._planned = planned_times(self._dsn)
        except AWAY as error:
            _log.debug("The planned maintenance cannot be read: %s", error)

    def _keep(self, notice: Notice | None) -> None:
        self._notice = notice
        if self._memory is None:
            return
        if notice is None:
            self._memory.unlink(missing_ok=True)
        else:
            self._memory.write_text(notice.to_json(), encoding="utf-8")


def _recall(memory: Path | None) -> Notice | None:
    if memory is None or not memory.exists():
        return None
    try:
        return Notice.from_json(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError):
        # A power failure can truncate the file.
        return None


def _key(name: str) -> str:
    return f"platform: {name}"
