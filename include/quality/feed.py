"""Describe the expected deliveries of the shop's feed as placeholders for custom SQL.

No check expects more frequent deliveries than these placeholders say.
"""

from __future__ import annotations

from include.db import load_queries
from include.settings import Settings

_SQL = load_queries("feed")
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def placeholders(settings: Settings) -> dict[str, str]:
    """Return SQL expressions that say which deliveries of the feed can be expected.

    Returns
    -------
    dict
        ``cadence``: the interval between two deliveries. ``live``: the maximum age of a live event; older ones belong
        to a backfill. ``grace``: the maximum time between two deliveries, which is three cadences, but no more than
        six hours after the due time, and at least 15 minutes. ``feed_rests``: the times, as a ``tstzmultirange``, in
        which no delivery is expected: quiet days, planned downtime, and the start of the stream. ``feed_is_expected``:
        whether none of these times overlaps the last ``grace``.
    """
    cadence = f"interval '{60 * settings.feed_cadence_minutes:g} seconds'"
    grace = f"greatest({cadence} + least(2 * {cadence}, interval '6 hours'), interval '15 minutes')"
    quiet = [_WEEKDAYS.index(day) + 1 for day in settings.feed_quiet_days.split(",") if day]
    rests = _SQL["rests"].format(quiet_days=f"ARRAY[{', '.join(map(str, quiet))}]::int[]")
    return {
        "cadence": cadence,
        "live": f"(interval '1 day' + {cadence})",
        "grace": grace,
        "feed_rests": rests,
        "feed_is_expected": f"(NOT {rests} && tstzrange(now() - {grace}, now(), '[]'))",
    }
