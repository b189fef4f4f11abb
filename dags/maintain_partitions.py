"""Keep the disk bounded: partitions of events made ahead, and everything past retention removed.

**What it does.** `maintain_partitions` makes the day partitions of the next `SHOPSTREAM_PARTITIONS_AHEAD_DAYS` days,
drops those past `SHOPSTREAM_RETENTION_DAYS`, and deletes rejects, conflicts, results, alerts and the minutes of the
objectives of that age; what was dropped is on record in `shop.retired_partitions`. The ledger and the rollups go after
`SHOPSTREAM_LEDGER_DAYS`, with their sums kept in `shop.retired_ledger`. `prune_files` removes loaded files from the
archive after `SHOPSTREAM_ARCHIVE_HOURS`; manifests, quarantined files and logs of tasks and drivers after the
retention. An archived file of which not all was read, because its sender went on writing, goes to the quarantine
instead, with an alert.

**When.** Every hour, so that a laptop that sleeps at night misses nothing. Both tasks are safe to repeat at any
time.

**When it fails.** The stream goes on: it makes a missing partition itself. A partition that readers did not let go
is left for the next run and named in the log. If the disk fills, lower the retention and clear the task.
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
    """Tables and files do not depend on each other."""
    task(maintenance.maintain_partitions)()
    task(maintenance.prune_files)()


maintain_partitions()
