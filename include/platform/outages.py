"""Programs that do not work for longer than they may: an alert each, from its beginning to its end."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping

from include.alerts import Alert, note_event, raise_alert, resolve_alert
from include.errors import PlatformError

SOURCE = "watchdog"

_log = logging.getLogger(__name__)


class Outages:
    """What was told of programs that are out, and what is still to be told.

    The database may be what is out. What cannot be recorded then is recorded when it is back.

    Parameters
    ----------
    dsn:
        Connection of the role ops.
    programs:
        Those of the platform: an outage that an earlier life of the watchdog has told of is ended by this one.
    """

    def __init__(self, dsn: str, programs: Collection[str]) -> None:
        self._dsn = dsn
        self._inherited = set(programs)
        self._told: set[str] = set()
        self._untold: dict[str, float] = {}

    def tell(self, ill: Collection[str], overdue: Mapping[str, float], done: Mapping[str, str]) -> None:
        """Open and end alerts.

        Parameters
        ----------
        ill:
            The programs that do not work.
        overdue:
            Those of them that have not worked for longer than they may: since how many seconds.
        done:
            What was just done about a program.
        """
        for name, seconds in overdue.items():
            if name not in self._told or name in done:
                self._begin(name, seconds, done.get(name, "It is left to its supervisor, which starts it again."))
        for name in (self._told | self._inherited) - set(ill):
            self._end(name)
        for name in set(self._untold) - set(ill):
            self._catch_up(name)

    def _begin(self, name: str, seconds: float, what_was_done: str) -> None:
        alert = Alert(
            severity="critical",
            source=SOURCE,
            key=_key(name),
            title=f"{name} does not work",
            detail=f"It has not done its part for {seconds:.0f} s. {what_was_done} What it ran into is at the end of "
            f"`make logs NAME={name}`; `make status` shows all programs, and `make up` starts what is down.",
        )
        _log.warning("%s. %s", alert.title, alert.detail)
        try:
            raise_alert(self._dsn, alert)
        except PlatformError as error:
            self._untold[name] = seconds
            _log.error("The alert cannot be recorded yet: %s", error)
        else:
            self._told.add(name)
            self._untold.pop(name, None)

    def _end(self, name: str) -> None:
        try:
            is_open = resolve_alert(self._dsn, _key(name))
        except PlatformError as error:
            _log.error("The end of an alert cannot be recorded yet: %s", error)
            return
        self._told.discard(name)
        self._inherited.discard(name)
        if is_open:
            _log.info("%s works again.", name)

    def _catch_up(self, name: str) -> None:
        title = f"{name} did not work"
        detail = f"It was out for {self._untold[name]:.0f} s or a little longer; nothing could be recorded meanwhile."
        try:
            note_event(self._dsn, Alert("critical", SOURCE, title, detail, key=_key(name)))
        except PlatformError as error:
            _log.error("An outage cannot be recorded yet: %s", error)
        else:
            del self._untold[name]


def _key(name: str) -> str:
    return f"platform: {name}"
