"""Deliver the generated traffic of a fictitious shop to the stream, as CSV files in the landing folder.

**What it does.** `generate` delivers files at a steady rate; each file is complete when it appears. For each file it
writes a manifest with the true content, which `make reconcile` compares with what Postgres holds. The sensor
`stream_is_ready` is the gate: it opens while the stream is alive, its backlog is below `SHOPSTREAM_MAX_BACKLOG_FILES`
and the disk has `SHOPSTREAM_MIN_FREE_GIB` of free space. Its log says what it waits for. Waiting takes no worker slot.

**When.** Every five minutes, for five minutes. Two `generate` tasks can run at a time (pool `feed`), so a run that you
trigger starts immediately, next to the scheduled one; a third run waits. Pause this DAG to stop the feed.

**Deadline.** 45 minutes, which is the longest wait of the gate plus a run of the usual length. A longer run that you
trigger is listed as late and raises one alert.

**Params.** All are in the trigger form: rate, length, rows per file, seed, and the shares of bad rows, duplicates and
late rows. An empty rate means `SHOPSTREAM_FEED_EVENTS_PER_SECOND`. The seed determines the shop with its customers and
products; runs with the same seed share their customers. To load the stream at its highest speed, use `python -m
include.generator`, which does not have to keep to the clock.

**When it fails.** A gate that stays closed for half an hour fails and says what it waited for. If it waited only
because the stream is paused on purpose, the run is skipped instead. Repair the stream (DAG `stream_events`) or free
disk space. It is safe to retry a failed `generate`: the new try has its own start time and therefore new event ids and
file names. Files that the failed try had finished are valid and stay.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import Param, dag, task

from include.airflow.defaults import defaults
from include.airflow.sensors import StreamReadySensor
from include.airflow.tasks.feed import generate
from include.platform.services.pools import FEED

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
            description="Rows per file; the last file may be shorter. Empty: one file per second.",
        ),
        "seed": Param(1, type="integer", minimum=0, description="Determines the shop: its customers and products."),
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
    """Wait until the stream can take files, then deliver files."""
    StreamReadySensor(task_id="stream_is_ready", timeout=GATE_TIMEOUT) >> task(pool=FEED)(generate)()


generate_events()
