"""Measure the time from a file's rename into the landing folder until another session sees its events."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from include.db import connect
from include.db.connect import one_row
from tests.programs.benchmarks.bench import FILES_PER_SECOND, Bench
from tests.programs.benchmarks.figures import Figure, Measured, Reach, Series, percentile

# The first seconds of a feed are spent filling caches.
_WARM_UP_SECONDS = 10.0
_POLL_SECONDS = 0.005
_REFERENCE_COPIES = 10

_REACH: dict[tuple[int, str], float] = {
    (1_000, "p99"): 0.7,
    (10_000, "p50"): 0.35,
    (10_000, "p99"): 0.9,
    (10_000, "max"): 2.0,
    (100_000, "p99"): 3.0,
}
_QUANTILES = {"p50": 0.5, "p99": 0.99, "max": 1.0}
_MICRO_BATCH_RATE = 10_000

_FILES = """
SELECT batch_id, extract(epoch FROM arrived_at)::float8
FROM shop.files
WHERE file_id > %(after)s
ORDER BY file_id
"""
_TRIGGERS = """
SELECT (durations_ms ->> 'spark_triggerExecution')::float8 / 1000
FROM shop.batches
WHERE batch_id > %(after)s AND durations_ms ? 'spark_triggerExecution'
"""


@dataclass
class Watcher:
    """Watches when batches become visible to another session than the stream's; Unix seconds by batch."""

    dsn: str
    seen: list[tuple[int, float]] = field(default_factory=list)
    _is_over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch during the block."""
        thread = threading.Thread(target=self._watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            thread.join()

    def _watch(self) -> None:
        connection = connect(self.dsn, autocommit=True)
        newest = 0
        with connection.cursor() as cursor:
            while not self._is_over.wait(_POLL_SECONDS):
                cursor.execute("SELECT max(batch_id) FROM shop.batches")
                (found,) = one_row(cursor)
                if found is not None and found > newest:
                    newest = found
                    self.seen.append((found, time.time()))
        connection.close()

    def when(self, batch_id: int) -> float:
        """Return when a batch was visible: at the latest with the first one seen that is as new."""
        return next(instant for seen, instant in self.seen if seen >= batch_id)


@dataclass(frozen=True)
class Steady:
    """A steady feed: seconds from visible to committed of each file, seconds of the micro-batches of which Spark's own
    measure was noted, and the rate that the generator kept as a share of the one that was asked for.
    """

    latencies: list[float]
    micro_batches: list[float]
    rate_kept: float


def steady(bench: Bench, rate: int, seconds: float, *, files_per_second: float = FILES_PER_SECOND) -> Steady:
    """Feed at a rate and measure; the first seconds do not count."""
    watcher = Watcher(bench.instance.settings.dsn("owner"))
    after_file = bench.last_file()
    after_batch = bench.instance.value("SELECT coalesce(max(batch_id), 0) FROM shop.batches")
    with watcher.watching():
        with bench.feed(rate, seconds=seconds + _WARM_UP_SECONDS, files_per_second=files_per_second) as feed:
            feed.wait(seconds + 300)
        bench.drain()
    files = bench.instance.rows(_FILES, after=after_file)
    arrivals = [arrived for _, arrived in files]
    warm = arrivals[0] + _WARM_UP_SECONDS
    return Steady(
        [watcher.when(batch_id) - arrived for batch_id, arrived in files if arrived >= warm],
        [took for (took,) in bench.instance.rows(_TRIGGERS, after=after_batch)],
        (len(arrivals) - 1) / files_per_second / (max(arrivals) - min(arrivals)),
    )


def measure(bench: Bench) -> Measured:
    """Measure at each rate, by turns with ``\\copy`` of one of the files into the same server."""
    found = Measured()
    for rate, seconds in bench.sizes.rates:
        found += _at(bench, rate, seconds)
    return found


def _at(bench: Bench, rate: int, seconds: float) -> Measured:
    one_file = bench.clean_file(rate // FILES_PER_SECOND)
    bench.wait_until_idle()
    copies = [bench.copy(one_file) for _ in range(_REFERENCE_COPIES)]
    run = steady(bench, rate, seconds)
    copies += [bench.copy(one_file) for _ in range(_REFERENCE_COPIES)]
    quantiles = {name: percentile(run.latencies, share) for name, share in _QUANTILES.items()}
    bench.say(
        f"{rate:,} events/s: {', '.join(f'{name} {value:.3f} s' for name, value in quantiles.items())}; "
        f"rate kept {run.rate_kept:.4f}; micro-batch p99 {percentile(run.micro_batches, 0.99):.3f} s"
    )
    # The median of these files differs by half from one run to the next.
    reference = f"fastest of {len(copies)} `psql \\copy` of one such file, nothing else going on"
    figures = [
        Figure(
            f"latency/{rate}/{name}",
            f"{rate:,} events/s for {seconds:.0f} s: visible to committed, {name}",
            "s",
            [value],
            reference,
            [min(copies)],
            Reach("value", at_most=_REACH[rate, name]) if (rate, name) in _REACH else None,
            # The tail of a quick run has few files, and depends on whether a task of Airflow ran at that time.
            is_guarded=name == "p50",
        )
        for name, value in quantiles.items()
    ]
    if rate == _MICRO_BATCH_RATE:
        figures.append(
            Figure(
                f"latency/{rate}/micro-batch",
                f"{rate:,} events/s: Spark's micro-batch, p99",
                "s",
                [percentile(run.micro_batches, 0.99)],
                reference,
                [min(copies)],
                Reach("value", at_most=0.5),
                is_guarded=False,
            )
        )
    figures.append(
        Figure(
            f"latency/{rate}/rate",
            f"{rate:,} events/s: rate that the generator kept, of the one asked for",
            "",
            [run.rate_kept],
            reach=Reach("value", at_least=0.99, at_most=1.01),
            is_better="more",
        )
    )
    shares = [number / 200 for number in range(1, 200)]
    curve = Series(
        f"latency/{rate}",
        f"Visible to committed at {rate:,} events/s",
        "share of the files, percent",
        "seconds",
        [100 * share for share in shares],
        [percentile(run.latencies, share) for share in shares],
    )
    return Measured(figures, [curve])
