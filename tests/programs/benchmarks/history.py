"""Measure what history costs: the same work with few and with many stored events, spread over 400 days."""

from __future__ import annotations

import time

from include.db import transaction
from include.db.facts import advance_facts, audit_facts
from include.db.refresh import refresh_view
from include.db.views import view_names
from tests.programs.benchmarks import throughput
from tests.programs.benchmarks.bench import Bench
from tests.programs.benchmarks.figures import Figure, Measured, Reach
from tests.programs.benchmarks.peers import Peer
from tests.programs.benchmarks.sizes import Sizes

_REFRESHES = 3
_EVENTS = "SELECT sum(accepted)::bigint FROM shop.batches"


def measure(bench: Bench, peers: list[Peer]) -> Measured:
    """Few rows, a timed refresh; then the turns of the throughput, each of which adds to history; a refresh again.

    Event times and ids of all of it reach over 400 days, oldest first: a refresh that reads every minute, hour or day
    that was ever kept shows in the second measurement.
    """
    with bench.spread(_rows(bench.sizes, len(peers))):
        return _measure(bench, peers)


def _rows(sizes: Sizes, peers: int) -> int:
    """Return the number of rows that are generated in all, at most."""
    turns = sizes.rounds * (sizes.turn_rows + 2 * peers * sizes.peer_rows)
    return sizes.few_rows + turns + 2 * _REFRESHES * sizes.fresh_rows


def _measure(bench: Bench, peers: list[Peer]) -> Measured:
    ops = bench.instance.settings.dsn("ops")
    with bench.without_schedules(*throughput.QUIET):
        missing = bench.sizes.few_rows - int(bench.instance.value(_EVENTS) or 0)
        if missing > 0:
            bench.bring(bench.generated(missing))
        few, few_events = _refreshes(bench), int(bench.instance.value(_EVENTS))
    advances: list[float] = []

    def advance() -> None:
        steps = advance_facts(ops)
        advances.append(sum(step.events for step in steps) / sum(step.seconds for step in steps))

    measured = throughput.measure(bench, peers, advance)
    with bench.without_schedules(*throughput.QUIET):
        many, many_events = _refreshes(bench), int(bench.instance.value(_EVENTS))
        began = time.monotonic()
        differing = audit_facts(ops)
        audit = time.monotonic() - began
    if any(differing.values()):
        raise AssertionError(f"the facts differ from the events: {differing}")
    bench.say(f"refresh {few} s at {few_events:,} events, {many} s at {many_events:,}; the audit took {audit:.0f} s")
    turn, whole = throughput.late_by_early(measured)
    return measured + Measured(
        [
            Figure(
                "history/throughput",
                f"rows/s in the last of {whole} million rows",
                "rows/s",
                [turn[-1]],
                "in the 2nd million",
                [turn[0]],
                Reach("ratio", at_least=0.9),
                "more",
            ),
            Figure(
                "history/refresh",
                f"all views, {bench.sizes.fresh_rows:,} new rows, {many_events / 1e6:.0f} M events stored",
                "s",
                many,
                f"{few_events / 1e6:.0f} M events stored",
                few,
                Reach("ratio", at_most=1.5),
            ),
            Figure("history/advance", "new events into the facts", "events/s", advances, is_better="more"),
            Figure("history/audit", f"the nightly audit of {many_events / 1e6:.0f} M events", "s", [audit]),
        ]
    )


def _refreshes(bench: Bench) -> list[float]:
    """Return the seconds of updating the facts and all views, each time with the same number of new rows."""
    settings = bench.instance.settings
    advance_facts(settings.dsn("ops"))
    with transaction(settings.dsn("owner")) as cursor:
        cursor.execute("ANALYZE shop.events")
    seconds = []
    for _ in range(_REFRESHES):
        bench.bring(bench.generated(bench.sizes.fresh_rows))
        bench.wait_until_idle()
        began = time.monotonic()
        for name in view_names():
            refresh_view(settings.dsn("ops"), name)
        seconds.append(time.monotonic() - began)
    return seconds
