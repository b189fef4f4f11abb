"""Diagnose the stream from outside every minute, fail when it does not work, and replace a stuck driver.

**What it does.** `diagnose_stream` reads the state that the stream records in PostgreSQL and compares it with limits.
While the desired state of the stream is drain or stop, there is nothing to diagnose. The following findings are
critical, and the task fails with a list of them:

- *no driver*: the desired state is run, but no driver has run for a minute (three minutes after `make up`);
- *no heartbeat*: the driver process sent no heartbeat for 30 s; it was killed, is stopped or hangs;
- *loop stalled*: the process is alive, but its loop has made no turn for `SHOPSTREAM_STALL_SECONDS`;
- *no progress*: files wait, and nothing was committed for the same time;
- *crash loop*: a driver was started five times within ten minutes.

For the second to the fourth of these, the task checks again after ten seconds, then asks the Spark master to end the
driver. `run_stream` (DAG `stream_events`) starts the next one, which continues from the last commit. These findings do
not apply to a driver in its first minute, while it is still starting.

With the following warnings the task succeeds: *intake paused* (a disk is full), *low disk* (below
`SHOPSTREAM_MIN_FREE_GIB`), *backlog* (over `SHOPSTREAM_MAX_BACKLOG_FILES`), *lag* (a file has waited for over a
minute), *event lag* (the events being loaded are over a quarter of an hour old), *reject share* (over
`SHOPSTREAM_ALERT_REJECT_SHARE` of the rows of ten minutes), *quarantine spike* (more than
`SHOPSTREAM_ALERT_QUARANTINED_FILES` files in ten minutes), *ignored files* (entries in the landing folder for over
`SHOPSTREAM_IGNORED_AFTER_SECONDS` that are not taken in: other suffixes, folders, unfinished uploads).

Each finding is a separate alert, critical or warning. It is sent once, stays open while the checks find it, and ends
with a notification when a check no longer does.

**When.** Every minute.

**When it fails.** The next run checks again. A single failure with *"was told to end"* has resolved itself; the log of
`run_stream` has the end of that driver's log. A failure that comes back every minute needs an operator, and each
finding in the log says where to look. To keep the stream down on purpose, use `make down`, or pause this DAG as well
as `stream_events`.
"""

from datetime import timedelta

from airflow.sdk import dag, task

from include.airflow.defaults import defaults
from include.airflow.tasks.stream import diagnose_stream

DEADLINE = timedelta(minutes=3)
# Runs before the tasks of other DAGs when all slots are taken.
PRIORITY = 100


@dag(
    doc_md=__doc__,
    **defaults(
        schedule="* * * * *",
        tags=["stream", "watch"],
        deadline=DEADLINE,
        dagrun_timeout=timedelta(minutes=5),
        task_timeout=timedelta(minutes=2),
        priority_weight=PRIORITY,
    ),
)
def watch_stream() -> None:
    """Define one task; it is retried only when the diagnosis itself failed, not when it found faults."""
    task(diagnose_stream)()


watch_stream()
