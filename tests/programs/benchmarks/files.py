"""Measure many files: the latency after 200,000 loaded files, beside that of the first thousand."""

from __future__ import annotations

from tests.programs.benchmarks.bench import Bench
from tests.programs.benchmarks.figures import Figure, Measured, Reach, percentile
from tests.programs.benchmarks.latency import steady

_FILES = 1000
_FILES_PER_SECOND = 10.0
_RATE = 1000
# Files of one row are delivered in portions of this size, so that renaming does not run far ahead.
_PORTION = 20_000


def first_thousand(bench: Bench) -> list[float]:
    """Return the latencies of a thousand files, seconds; call it while the instance is new."""
    return steady(bench, _RATE, _FILES / _FILES_PER_SECOND, files_per_second=_FILES_PER_SECOND).latencies


def measure(bench: Bench, before: list[float]) -> Measured:
    """Load very many tiny files, then measure a thousand like the first."""
    for _ in range(bench.sizes.tiny_files // _PORTION):
        load = bench.bring(bench.generated(_PORTION, rows_per_file=1))
        bench.say(f"{_PORTION:,} files of one row: {_PORTION / load.seconds:,.0f} files/s")
    bench.wait_for_checks()
    bench.wait_until_idle()
    after = first_thousand(bench)
    return Measured(
        [
            Figure(
                "files/p99",
                f"visible to committed, p99 of {_FILES:,} files after {bench.last_file():,} files",
                "s",
                [percentile(after, 0.99)],
                f"the first {_FILES:,} files",
                [percentile(before, 0.99)],
                Reach("ratio", at_most=1.2),
            )
        ]
    )
