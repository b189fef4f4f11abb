"""What one could use instead: each loads CSV files of valid rows into a table of its own on the same server.

None of them validates, counts, deduplicates or rolls up, and none is exactly once. A peer that is not there is left out
with a word: Pathway lives in ``.venv/peers`` (``requirements.txt`` beside this file), the JDBC driver is the jar of
Debian's ``libpostgresql-jdbc-java``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.programs.benchmarks.bench import Bench


@dataclass(frozen=True)
class Peer:
    """One of them.

    Attributes
    ----------
    name:
        For the reader.
    absent:
        Why it cannot be measured here; empty when it can.
    rows_per_second:
        Loads ``sizes.peer_rows`` rows and says how fast that was.
    """

    name: str
    absent: str
    rows_per_second: Callable[[Bench], float]
