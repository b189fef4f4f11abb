"""What the suites cost over millions of events: ``python -m tests.programs.benchmarks.quality [--events 10000000]``.

A PostgreSQL of its own, below a temporary home, is filled by SQL; then ``make check`` runs as users run it, on what is
new and on all rows, and each view is refreshed as it was before candidates and as it is now.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from psycopg2 import sql

from include.db import transaction
from include.db.facts import advance_facts
from include.db.queries import parse_queries
from include.db.refresh import build_candidate, publish_candidate
from include.db.views import read_views
from include.platform.instance.environment import settings_environment
from include.settings import REPOSITORY, Settings
from tests.support.postgres import cloned_database, running_cluster, temporary_home

_SQL = parse_queries(Path(__file__).with_name("quality.sql"))
_FRESH_EVENTS = 50_000
_CHUNK = 500_000


def main(argv: Sequence[str] | None = None) -> int:
    """Fill, measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.programs.benchmarks.quality", description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000, help="events to check (default %(default)s)")
    events = parser.parse_args(argv).events
    with running_cluster() as cluster, temporary_home() as home, cloned_database(cluster, home) as settings:
        began = time.monotonic()
        for first in range(0, events, _CHUNK):
            _fill(settings, first, min(_CHUNK, events - first), of=events)
        _print(f"{events:,} events are stored", time.monotonic() - began)
        with transaction(settings.dsn("owner")) as cursor:
            cursor.execute(_SQL["analyze"])
        _refreshes(settings, events)
        for scope, options in (("the first hour", []), ("all rows", ["--full"]), ("what is new", [])):
            seconds, mebibytes, output = _check(settings, options)
            print(output)
            _print(f"all suites, {scope}: {mebibytes:.0f} MiB at most", seconds)
    return 0


def _fill(settings: Settings, first: int, events: int, *, of: int) -> None:
    """Store events spread over the last two days, ten thousand per batch, with ledger and rollups."""
    with transaction(settings.dsn("owner")) as cursor:
        for statement in ("partitions", "batches", "files", "events", "rollups"):
            cursor.execute(_SQL[statement], {"first": first, "last": first + events - 1, "of": of})


def _refreshes(settings: Settings, stored: int) -> None:
    """Return the seconds of refreshing all views, as before candidates and as now."""
    owner, ops = settings.dsn("owner"), settings.dsn("ops")
    views = read_views()
    began = time.monotonic()
    for view in views:
        publish_candidate(ops, view.name, build_candidate(ops, view.name).refresh_id)
    _print("facts and views brought up to date for the first time", time.monotonic() - began)
    with transaction(owner) as cursor:
        cursor.execute(_SQL["before_schema"])
        for view in views:
            cursor.execute(
                sql.SQL(_SQL["before_view"]).format(
                    view=sql.Identifier("before", view.name),
                    select=sql.SQL(view.query),
                    index=_unique_index(view.attributes),
                )
            )
    for turn in range(3):
        # Each turn has the same number of new events.
        _fill(settings, stored + turn * _FRESH_EVENTS, _FRESH_EVENTS, of=stored + (turn + 1) * _FRESH_EVENTS)
        advance_facts(ops)
        began = time.monotonic()
        for view in views:
            with transaction(owner) as cursor:
                cursor.execute(sql.SQL(_SQL["refresh_before"]).format(view=sql.Identifier("before", view.name)))
        before = time.monotonic() - began
        began = time.monotonic()
        for view in views:
            publish_candidate(ops, view.name, build_candidate(ops, view.name).refresh_id)
        after = time.monotonic() - began
        _print(f"all views refreshed: {before:.2f} s in place, with candidates", after)


def _unique_index(attributes: str) -> sql.SQL:
    """Return the columns of the view's unique index, from its file."""
    columns = attributes.partition("CREATE UNIQUE INDEX")[2].partition("(")[2].partition(")")[0]
    return sql.SQL(columns)


def _check(settings: Settings, options: list[str]) -> tuple[float, float, str]:
    """Run the suites in their own process; return seconds, the peak memory in MiB, and the output."""
    environment = {**os.environ, **settings_environment(settings), "GX_ANALYTICS_ENABLED": "false"}
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "include.quality", "check", *options],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, _, usage = os.wait4(process.pid, 0)
    return time.monotonic() - began, usage.ru_maxrss / 1024, output


def _print(what: str, seconds: float) -> None:
    print(f"{seconds:8.1f} s  {what}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
