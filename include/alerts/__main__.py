"""Announce a maintenance window, in which no alerts are sent: ``python -m include.alerts --help``."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime, timedelta

from include.alerts.planned import announce_window, end_windows
from include.errors import ShopstreamError
from include.settings import Settings


def main(argv: list[str] | None = None) -> int:
    """Announce or end a window; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m include.alerts", description=__doc__)
    parser.add_argument("--minutes", type=_length, default=timedelta(hours=1), help="length of the window (default 60)")
    parser.add_argument("--reason", default="maintenance", help="what the work is")
    parser.add_argument("--at", type=_moment, help="its start, for example 2026-05-01T22:00+02:00; default now")
    parser.add_argument("--end", action="store_true", help="end every announced window instead")
    arguments = parser.parse_args(argv)
    try:
        dsn = Settings.from_env().dsn("ops")
        if arguments.end:
            print(f"{end_windows(dsn)} announced windows have ended; alerts are sent again.")
            return 0
        ended_at = announce_window(dsn, arguments.reason, length=arguments.minutes, began_at=arguments.at)
    except ShopstreamError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"No alerts are sent about planned work until {ended_at:%Y-%m-%d %H:%M:%S} UTC: {arguments.reason}.")
    return 0


def _length(text: str) -> timedelta:
    minutes = float(text)
    if not 0 < minutes <= 7 * 24 * 60:
        raise argparse.ArgumentTypeError(f"{text} minutes: give more than 0 and at most a week (10080)")
    return timedelta(minutes=minutes)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text} has no time zone: add one, for example {text}+00:00")
    return moment


if __name__ == "__main__":
    sys.exit(main())
