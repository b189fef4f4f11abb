"""Define how much each benchmark does: everything, or as much as four minutes allow."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Rows, seconds and rounds.

    Attributes
    ----------
    rounds:
        Turns of each side where sides alternate.
    starts, kills:
        Starts of a whole platform; deaths of its driver.
    generator_rows, turn_rows, peer_rows:
        Rows of one turn: of the generator, of the stream and of ``\\copy``, of the peers.
    rates:
        Events a second and the seconds that each is kept up.
    fresh_rows, few_rows:
        Rows that are new at each timed refresh; rows that are stored when the first is timed.
    query_rounds:
        Times that each dashboard query is asked.
    tiny_files:
        Files that are loaded between the two measurements of their latency.
    memory_minutes:
        How long the memory is watched.
    """

    rounds: int
    starts: int
    kills: int
    generator_rows: int
    turn_rows: int
    peer_rows: int
    rates: tuple[tuple[int, int], ...]
    fresh_rows: int
    few_rows: int
    query_rounds: int
    tiny_files: int
    memory_minutes: float


FULL = Sizes(
    rounds=5,
    starts=3,
    kills=5,
    generator_rows=5_000_000,
    turn_rows=10_000_000,
    peer_rows=500_000,
    rates=((1_000, 180), (10_000, 600), (100_000, 60)),
    fresh_rows=100_000,
    few_rows=5_000_000,
    query_rounds=300,
    tiny_files=200_000,
    memory_minutes=60,
)
QUICK = Sizes(
    rounds=3,
    starts=1,
    kills=0,
    generator_rows=1_000_000,
    turn_rows=1_000_000,
    peer_rows=0,
    rates=((10_000, 30),),
    fresh_rows=0,
    few_rows=0,
    query_rounds=0,
    tiny_files=0,
    memory_minutes=0,
)
