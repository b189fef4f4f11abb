"""Look at the stream from outside each minute, fail when it does not work, and have a stuck driver replaced.

**What it does.** `judge_stream` reads what the stream says of itself in PostgreSQL and holds it against limits. While
the stream is wished to drain or stop there is nothing to judge. Critical, and this task fails with all that it found:

- *no driver*: the stream is wished to run, and none has run for a minute (three after `make up`);
- *no sign of life*: the driver process gave none for 30 s: it was killed, is stopped or hangs;
- *loop stands still*: the process lives, but its loop has not turned for `SHOPSTREAM_STALL_SECONDS`;
- *no progress*: files wait, and nothing was committed for as long;
- *crash loop*: a driver was started five times within ten minutes.

In the three cases in the middle the task looks again after ten seconds, then tells the Spark master to end the driver;
`run_stream` (DAG `stream_events`) starts the next one, which goes on from the last commit. A run that is younger than a
minute is still starting, and is in none of them.

Warnings, with which the task succeeds: *intake paused* (a disk is full), *low disk* (below `SHOPSTREAM_MIN_FREE_GIB`),
*backlog* (over `SHOPSTREAM_MAX_BACKLOG_FILES`), *lag* (a file waits for over a minute), *event lag* (events over a
quarter of an hour old are being loaded), *reject share* (over `SHOPSTREAM_ALERT_REJECT_SHARE` of the rows of ten
minutes), *quarantine spike* (more than `SHOPSTREAM_ALERT_QUARANTINED_FILES` files in ten minutes).

Each finding is an alert of its own, critical or warning. It is told once, stays open while the looks find it, and ends
with a notice when one no longer does.

**When.** Every minute.

**When it fails.** The next run looks again. A single failure with *"was told to end"* has mended itself: the log of
`run_stream` has the end of that driver's log. One that comes back each minute needs a person; each finding in the log
says where to look. To keep the stream down on purpose use `make down`, or pause this DAG as well as `stream_events`.
"""

from datetime import timedelta

from airflow.sdk import dag, task

from include.airflow.defaults import defaults
from include.airflow.tasks.stream import judge_stream

DEADLINE = timedelta(minutes=3)
# Before the tasks of other DAGs, when these take all the slots.
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
    """One task: a failed judgement is not tried again, only one that could not be made."""
    task(judge_stream)()


watch_stream()
