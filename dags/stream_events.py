"""Keep the stream running: CSV files from the landing folder into PostgreSQL, within a second.

**What it does.** `run_stream` starts `jobs/stream_events.py` on the Spark cluster and watches it. The driver lives
on the Spark side: a restart of Airflow does not touch it, the next try attaches to it again. When the driver ends,
this DAG's next run starts another one; the log of the task says every ten seconds what the stream has done.

**When.** Always (`@continuous`), one run at a time. `stream_is_wanted` waits, without a worker slot, while the
stream is wished to drain or stop (`make down` wishes so), and lets the next driver start once it is wished to run
(`make up`).

**Deadline.** None, for a run has no end. What a deadline would promise, two objectives do each minute: *availability*,
that a driver lives, and *freshness*, that events are in PostgreSQL within seconds (DAG `evaluate_objectives`).

**Params.** `mode`: `continuous`, or `drain` to load what waits and then end.

**When it fails.** A fault that the driver survives, such as Postgres away, it mends itself; a driver that dies is
started again by its Spark worker, and this task goes on watching. A try fails when the driver is gone from the cluster,
and when `watch_stream` has ended one that was stuck. Each failed try is a warning in `shop.alerts`, at most one an
hour of the same kind, and is tried again five seconds later. The log of the try holds the error and the end of the
driver's log; the buttons "Spark UI" and "Driver log" lead further. Nothing is lost or doubled by any restart: only the
holder of the newest writer epoch in `shop.writer` can commit, so it is always safe to clear the task, to fail the run
or to kill the driver.

- *"the Spark master cannot be reached"*: start Spark (`make up`); the tries go on meanwhile.
- *The driver ends again and again*: read the reason in the log of any try; a file that cannot be read never stops
  the stream, it goes to quarantine, so look for Postgres, the disk or the settings.

To stop the stream use `make down`, or pause this DAG and `watch_stream`, and mark this run as failed.
"""

from datetime import timedelta

from airflow.sdk import Param, dag

from include.airflow.defaults import defaults
from include.airflow.notifier import ShopstreamNotifier
from include.airflow.operators import StreamSubmitOperator
from include.airflow.sensors import StreamWantedSensor

JOB = "jobs/stream_events.py"
# Nearly every event in the life of a cluster costs a try, and the stream is to survive all of them.
RETRIES = 10_000
RETRY_DELAY = timedelta(seconds=5)
# Airflow forgets the driver's id after 30 days; a driver that is renewed every week is never forgotten.
LONGEST_TRY = timedelta(days=7)
REPEAT_ALERT_SECONDS = 3600.0


@dag(
    doc_md=__doc__,
    params={
        "mode": Param(
            "continuous",
            type="string",
            enum=["continuous", "drain"],
            description="continuous: run until stopped. drain: load what waits in the landing folder, then end.",
        )
    },
    **defaults(
        schedule="@continuous",
        tags=["stream", "spark"],
        deadline=None,
        dagrun_timeout=None,
        task_timeout=LONGEST_TRY,
        retries=RETRIES,
        retry_delay=RETRY_DELAY,
    ),
)
def stream_events() -> None:
    """Wait until the stream is wanted, then run it."""
    StreamWantedSensor(task_id="stream_is_wanted") >> StreamSubmitOperator(
        task_id="run_stream",
        job=JOB,
        application_args=["--mode", "{{ params.mode }}"],
        name="shopstream-stream-events",
        on_retry_callback=ShopstreamNotifier(severity="warning", is_event=True, quiet_seconds=REPEAT_ALERT_SECONDS),
    )


stream_events()
