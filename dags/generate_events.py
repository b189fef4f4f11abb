"""Feed the stream: a made-up shop's traffic, as CSV files in the landing folder.

**What it does.** `generate` delivers files at a steady rate, each complete when it appears, and beside each a
manifest of the truth about it, with which `make reconcile` compares what Postgres holds. `stream_is_ready` is its
gate: it opens while the stream is alive, its backlog is under `SHOPSTREAM_MAX_BACKLOG_FILES` and the disk has
`SHOPSTREAM_MIN_FREE_GIB` of room, and its log says what it waits for. Waiting costs no worker slot.

**When.** Every five minutes, for five minutes. Pause this DAG to silence the feed.

**Deadline.** 45 minutes: the longest wait of the gate, and a run of the usual length. A run that you trigger for longer
is listed as late, and told of once.

**Params.** All in the trigger form: rate, length, rows a file, seed, and the shares of bad rows, duplicates and late
rows. An empty rate means `SHOPSTREAM_FEED_EVENTS_PER_SECOND`. The seed makes the shop, its customers and products:
with the same one, customers of earlier runs come back. To fill the stream at its highest speed, use `python -m
include.generator` instead, which need not keep to the clock.

**When it fails.** A gate that stays shut for half an hour fails with what it waited for: mend the stream (its DAG is
`stream_events`) or make room. A failed `generate` is safe to try again: the new try has a start of its own, and so
new event ids and file names; files that the failed one had finished are valid and stay.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import Param, dag, task

from include.airflow.defaults import defaults
from include.airflow.sensors import StreamReadySensor
from include.airflow.tasks.feed import generate

DEADLINE = timedelta(minutes=45)
GATE_TIMEOUT = timedelta(minutes=30)
LONGEST_RUN_SECONDS = 6 * 3600
SHARE: dict[str, Any] = {"type": "number", "minimum": 0, "maximum": 0.3}


@dag(
    doc_md=__doc__,
    params={
        "events_per_second": Param(
            None,
            type=["null", "number"],
            exclusiveMinimum=0,
            maximum=1_000_000,
            description="Rows per second; empty: SHOPSTREAM_FEED_EVENTS_PER_SECOND.",
        ),
        "duration_seconds": Param(
            300,
            type="number",
            exclusiveMinimum=0,
            maximum=LONGEST_RUN_SECONDS,
            description="Length of the run, seconds.",
        ),
        "rows_per_file": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            maximum=1_000_000,
            description="Rows of each file; the last may be shorter. Empty: a file a second.",
        ),
        "seed": Param(1, type="integer", minimum=0, description="Makes the shop: its customers and products."),
        "bad_share": Param(0.01, **SHARE, description="Share of rows that break a rule on purpose, 0 to 0.3."),
        "duplicate_share": Param(0.005, **SHARE, description="Share of rows that repeat an earlier event, 0 to 0.3."),
        "late_share": Param(0.005, **SHARE, description="Share of rows that arrive late, 0 to 0.3."),
    },
    **defaults(
        schedule="*/5 * * * *",
        tags=["feed"],
        deadline=DEADLINE,
        dagrun_timeout=timedelta(seconds=LONGEST_RUN_SECONDS) + 2 * GATE_TIMEOUT,
        task_timeout=timedelta(seconds=LONGEST_RUN_SECONDS) + timedelta(minutes=10),
        severity="warning",
        max_active_runs=4,
    ),
)
def generate_events() -> None:
    """Wait until the stream can take files, then deliver some."""
    StreamReadySensor(task_id="stream_is_ready", timeout=GATE_TIMEOUT) >> task(generate)()


generate_events()
