"""Measure the memory of the whole platform over an hour at 10,000 events/s."""

from __future__ import annotations

import statistics
import time

import psutil

from include.platform.programs.processes import instance_processes
from tests.programs.benchmarks.bench import Bench
from tests.programs.benchmarks.figures import Figure, Measured, Reach, Series
from tests.programs.chaos.instance import with_descendants

_RATE = 10_000
_SAMPLE_SECONDS = 15.0
# PostgreSQL fills its shared buffers, a cache of fixed size, page by page; memory grows until they are full.
_WARM_UP_MINUTES = 15.0
_WINDOW_MINUTES = 10.0
_MIB = 1024 * 1024
_POSTGRES, _DRIVER, _AIRFLOW = "Postgres", "the driver and its Python workers", "Airflow, Spark's daemons, supervisor"


def measure(bench: Bench) -> Measured:
    """Return proportional set sizes by part of the platform, in which shared pages count once."""
    minutes: list[float] = []
    sizes: dict[str, list[float]] = {_DRIVER: [], _POSTGRES: [], _AIRFLOW: []}
    began = time.monotonic()
    with bench.feed(_RATE) as feed:
        while (elapsed := (time.monotonic() - began) / 60) < bench.sizes.memory_minutes:
            minutes.append(elapsed)
            for part, mebibytes in _sample(bench).items():
                sizes[part].append(mebibytes)
            if feed.poll() is not None:
                raise RuntimeError("the feed has ended: see bench-feed.log")
            time.sleep(_SAMPLE_SECONDS)
    bench.instance.wait_for_calm(seconds=120)
    together = [sum(parts) for parts in zip(*sizes.values(), strict=True)]
    last = statistics.median(_between(minutes, together, minutes[-1] - _WINDOW_MINUTES, minutes[-1]))
    first = statistics.median(_between(minutes, together, _WARM_UP_MINUTES, _WARM_UP_MINUTES + _WINDOW_MINUTES))
    bench.say(f"memory: {first:,.0f} MiB at first, {last:,.0f} MiB at last; driver {max(sizes[_DRIVER]):,.0f} MiB")
    lasting = f"{bench.sizes.memory_minutes:.0f} minutes at {_RATE:,} events/s"
    return Measured(
        [
            Figure(
                "memory/platform",
                f"memory of the whole platform, last ten of {lasting}",
                "MiB",
                [last],
                "the first ten after a warm-up of fifteen",
                [first],
                Reach("ratio", at_most=1.05),
            ),
            Figure(
                "memory/driver",
                f"{_DRIVER}, peak over {lasting}",
                "MiB",
                [max(sizes[_DRIVER])],
                reach=Reach("value", at_most=2048),
            ),
        ],
        [Series(f"memory/{part}", f"Memory: {part}", "minute", "MiB", minutes, found) for part, found in sizes.items()],
    )


def _sample(bench: Bench) -> dict[str, float]:
    found = dict.fromkeys((_DRIVER, _POSTGRES, _AIRFLOW), 0.0)
    driver = {one.pid for one in with_descendants(bench.instance.driver_jvms())}
    postgres = {one.pid for one in with_descendants([bench.instance.postmaster()])}
    others = {member.process.pid for member in instance_processes(bench.home)}
    for pid in driver | postgres | others:
        part = _DRIVER if pid in driver else _POSTGRES if pid in postgres else _AIRFLOW
        try:
            found[part] += psutil.Process(pid).memory_full_info().pss / _MIB
        except psutil.Error:
            # The process has ended since it was listed.
            continue
    return found


def _between(minutes: list[float], values: list[float], begin: float, end: float) -> list[float]:
    return [value for minute, value in zip(minutes, values, strict=True) if begin <= minute <= end]
