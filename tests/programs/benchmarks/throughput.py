"""Rows a second from files on disk to committed events, beside ``psql \\copy`` and beside what one could use instead.

By turns on one server: the running stream takes files with ledger, validation, duplicates, rejects and rollups;
``\\copy`` loads as many valid rows of the same kind into ``shop.events``, partitions, indexes and constraints included,
and does nothing else; the peers load theirs. Read the ratios.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.programs.benchmarks.bench import Bench, Load, stages
from tests.programs.benchmarks.figures import Figure, Measured, Reach, Series
from tests.programs.benchmarks.peers import Peer

# Scheduled runs would fall on one side or the other by chance.
QUIET = ("refresh_views", "check_quality")
_MILLION = 1_000_000
_LOADED_BY_BATCH = """
SELECT extract(epoch FROM batches.committed_at)::float8, batches.read
FROM shop.batches
WHERE batch_id IN (SELECT batch_id FROM shop.files WHERE file_id BETWEEN %(first)s AND %(last)s)
ORDER BY batch_id
"""


def measure(bench: Bench, peers: Sequence[Peer], after_turn: Callable[[], None] = lambda: None) -> Measured:
    """All rounds.

    Parameters
    ----------
    bench:
        Where.
    peers:
        Who else loads, each in its turn.
    after_turn:
        Called after each turn of the stream, untimed.
    """
    rows = bench.sizes.turn_rows
    clean = bench.clean_file(rows)
    loads: list[Load] = []
    copies: list[float] = []
    others: dict[str, list[float]] = {peer.name: [] for peer in peers}
    with bench.without_schedules(*QUIET):
        for number in range(bench.sizes.rounds):
            files = bench.generated(rows)
            bench.wait_until_idle()
            loads.append(bench.bring(files))
            after_turn()
            bench.wait_until_idle()
            copies.append(rows / bench.copy(clean))
            for peer in peers:
                bench.wait_until_idle()
                others[peer.name].append(peer.rows_per_second(bench))
            bench.say(
                f"round {number + 1}: {loads[-1].rows_per_second:,.0f} rows/s, \\copy {copies[-1]:,.0f}"
                + "".join(f", {name} {speeds[-1]:,.0f}" for name, speeds in others.items())
            )
    bench.forget_copies()
    ours = [load.rows_per_second for load in loads]
    reach = {"\\copy": 0.45}
    figures = [
        Figure(
            f"throughput/{name.lstrip(chr(92)).lower()}",
            f"stream, {rows / _MILLION:g} M rows a turn, beside {name}",
            "rows/s",
            ours,
            f"`psql {name}`" if name in reach else name,
            speeds,
            Reach("ratio", at_least=reach.get(name, 1.0)),
            "more",
        )
        for name, speeds in {"\\copy": copies, **others}.items()
    ]
    return Measured(figures, [_profile(bench, loads), *_by_million(bench, loads)])


def _profile(bench: Bench, loads: Sequence[Load]) -> Series:
    """Return where the loading side spent its time in the last turn; the reading side works at the same time."""
    took = dict(sorted(stages(loads[-1], bench.instance).items(), key=lambda stage: -stage[1]))
    title = "Where the loading side spends its time, last turn"
    return Series("throughput/stages", title, "stage", "µs a row", list(took), list(took.values()))


def _by_million(bench: Bench, loads: Sequence[Load]) -> list[Series]:
    """Return rows per second in each million rows of all turns; none if a turn is shorter."""
    if loads[0].rows < 2 * _MILLION:
        return []
    speeds: list[float] = []
    for load in loads:
        speeds += _millions_of(bench.instance.rows(_LOADED_BY_BATCH, first=load.first_file, last=load.last_file))
    title = "Rows a second, by million rows loaded (each turn begins at rest)"
    return [Series("throughput/millions", title, "million", "rows/s", list(range(1, len(speeds) + 1)), speeds)]


def _millions_of(batches: Sequence[tuple[float, int]]) -> list[float]:
    """Return the speed of each million of a turn; the first begins at the first commit."""
    speeds, total = [], 0
    since, target, rows_since = batches[0][0], _MILLION, 0
    for committed, read in batches[1:]:
        total += read
        rows_since += read
        if total >= target:
            speeds.append(rows_since / (committed - since))
            since, rows_since, target = committed, 0, target + _MILLION
    return speeds


def late_by_early(measured: Measured) -> tuple[list[float], int]:
    """Return the speeds of the 2nd and of the last million rows, and the number of millions."""
    (speeds,) = (series.y for series in measured.series if series.name == "throughput/millions")
    return [speeds[1], speeds[-1]], len(speeds)
