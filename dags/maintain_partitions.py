"""Create partitions in advance and remove everything past retention, so that disk usage stays bounded.

**What it does.** `maintain_partitions` creates the day partitions of the next `SHOPSTREAM_PARTITIONS_AHEAD_DAYS` days
and drops those past `SHOPSTREAM_RETENTION_DAYS`. It also deletes rejects, conflicts, check results, alerts and minutes
of the objectives of that age. Dropped partitions are recorded in `shop.retired_partitions`, and their days in
`shop.retired_days`; the stream accepts no more events of these days, because their event ids are no longer known. The
ledger and the rollups are deleted after `SHOPSTREAM_LEDGER_DAYS`; their sums are kept in `shop.retired_ledger`.
`prune_files` removes loaded files from the archive after `SHOPSTREAM_ARCHIVE_HOURS`, and manifests, quarantined files
and logs of tasks and drivers after the retention. If an archived file was not read to its end, because the sender was
still writing to it, the task moves it to quarantine instead and raises an alert.

**When.** Every hour, so a laptop that sleeps at night misses nothing. Both tasks are safe to repeat at any time.

**When it fails.** The stream continues, since it creates missing partitions itself. A partition that cannot be dropped
because readers hold locks on it is left for the next run and named in the log. If the disk fills up, lower the
retention and clear the task.
"""

from datetime import timedelta

from airflow.sdk import dag, task

from include.airflow.defaults import defaults
from include.airflow.tasks import maintenance

DEADLINE = timedelta(minutes=30)


@dag(
    doc_md=__doc__,
    **defaults(
        schedule="@hourly",
        tags=["maintenance"],
        deadline=DEADLINE,
        dagrun_timeout=timedelta(minutes=50),
        task_timeout=timedelta(minutes=20),
        severity="warning",
    ),
)
def maintain_partitions() -> None:
    """Define two independent tasks, one for tables and one for files."""
    task(maintenance.maintain_partitions)()
    task(maintenance.prune_files)()


maintain_partitions()
