"""Measure the generator: rows per second of one core, with sessions and manifests, beside Arrow's CSV writer."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv

from include.contract import COLUMN_NAMES
from tests.programs.benchmarks.bench import SPOILED, Bench
from tests.programs.benchmarks.figures import Figure, Measured, Reach


def measure(bench: Bench) -> Measured:
    """Alternate a run of the generator as users start it, and Arrow writing such columns from memory."""
    ours, arrow = [], []
    rows = bench.sizes.generator_rows
    cores = os.sched_getaffinity(0)
    # Processes that are started here inherit the affinity.
    os.sched_setaffinity(0, {max(cores)})
    try:
        for _ in range(bench.sizes.rounds):
            began = time.monotonic()
            files = bench.generated(rows, shares=SPOILED, rows_per_file=50_000)
            ours.append(rows / (time.monotonic() - began))
            arrow.append(_write_csv(files[0]))
            for file in files:
                file.unlink()
            bench.say(f"generator: {ours[-1]:,.0f} rows/s, Arrow writes {arrow[-1]:,.0f}")
    finally:
        os.sched_setaffinity(0, cores)
    return Measured(
        [
            Figure(
                "generator/rows",
                "generator on one core, its start and manifests included",
                "rows/s",
                ours,
                "`pyarrow.csv.write_csv` of ready columns",
                arrow,
                Reach("value", at_least=300_000),
                "more",
            )
        ]
    )


def _write_csv(file: Path) -> float:
    """Return rows per second of writing the columns of a file again and again for about a second."""
    text = pa_csv.ConvertOptions(column_types=dict.fromkeys(COLUMN_NAMES, pa.string()))
    parsing = pa_csv.ParseOptions(invalid_row_handler=lambda _: "skip")
    reading = pa_csv.ReadOptions(use_threads=False, encoding="latin-1")
    table = pa_csv.read_csv(file, reading, parsing, text)
    target, rows, began = file.with_suffix(".again"), 0, time.monotonic()
    while time.monotonic() - began < 1:
        pa_csv.write_csv(table, target)
        rows += table.num_rows
    seconds = time.monotonic() - began
    target.unlink()
    return rows / seconds
