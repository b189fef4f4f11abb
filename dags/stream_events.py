"""Run the stream continuously: load CSV files from the landing folder into PostgreSQL, within a second.

**What it does.** `run_stream` starts `jobs/stream_events.py` on the Spark cluster and watches it. The driver runs on
the cluster, so it survives a restart of Airflow, and the next try attaches to it again. When the driver ends, the next
run of this DAG starts a new one. Every ten seconds, the log of the task says what the stream has done.

**When.** Always (`@continuous`), one run at a time. `stream_is_wanted` waits, without a worker slot and without a time
limit, while the desired state of the stream is drain or stop (`make down`, or *Pause* in the cockpit). It lets the next
driver start as soon as the stream should run again (`make up`, *Resume*).

**Deadline.** None, since a run has no end. Two objectives take its place and are measured every minute (DAG
`evaluate_objectives`): *availability*, that a driver is alive, and *freshness*, that events are in PostgreSQL within
seconds.

**Params.** None. To load the waiting files and then end, let the stream drain: *Drain* in the cockpit, or `make down`.
Without a platform, `airflow dags test stream_events --conf '{"mode": "drain"}'` does the same.

**When it fails.** The driver recovers by itself from faults that it survives, such as an outage of Postgres. If the
driver dies, its Spark worker restarts it, and this task continues to watch it. A try fails when the driver no longer
exists on the cluster, and when `watch_stream` has ended a stuck driver. Each failed try raises a warning in
`shop.alerts`, at most one per hour of the same kind, and is retried after five seconds. The log of the try has the
error and the end of the driver's log; the buttons "Spark UI" and "Driver log" lead to more. No restart loses or
duplicates anything, because only the holder of the newest writer epoch in `shop.writer` can commit. It is therefore
always safe to clear the task, to fail the run or to kill the driver.

- *"the Spark master cannot be reached"*: start Spark (`make up`); the retries continue in the meantime.
- *The driver ends again and again*: read the reason in the log of any try. A file that cannot be read never stops the
  stream, since it goes to quarantine; check Postgres, the disk and the settings.

To stop the stream use `make down`, or pause this DAG and `watch_stream`, and mark this run as failed.
"""

from datetime import timedelta

from airflow.sdk import dag

from include.airflow.alerting.notifier import ShopstreamNotifier
from include.airflow.defaults import defaults
from include.airflow.sensors import StreamWantedSensor
from include.airflow.spark.operators import StreamSubmitOperator

JOB = "jobs/stream_events.py"
# Nearly every incident on a cluster uses up a try, and the stream must survive all of them.
RETRIES = 10_000
RETRY_DELAY = timedelta(seconds=5)
# Airflow deletes the stored id of the driver after 30 days, so the try, and the driver with it, is renewed every week.
LONGEST_TRY = timedelta(days=7)
# A stream may be paused for months, but the triggerer cannot handle timeouts longer than some decades.
LONGEST_PAUSE = timedelta(days=3650)
REPEAT_ALERT_SECONDS = 3600.0


@dag(
    doc_md=__doc__,
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
    """Wait until the stream should run, then run it."""
    StreamWantedSensor(
        task_id="stream_is_wanted", timeout=LONGEST_PAUSE, execution_timeout=LONGEST_PAUSE
    ) >> StreamSubmitOperator(
        task_id="run_stream",
        job=JOB,
        application_args=["--mode", "{{ params.get('mode', 'continuous') }}"],
        name="shopstream-stream-events",
        on_retry_callback=ShopstreamNotifier(severity="warning", is_event=True, quiet_seconds=REPEAT_ALERT_SECONDS),
    )


stream_events()
