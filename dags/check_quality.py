"""Run every suite of `expectations/` against the recently loaded data.

**What it does.** `check_suites` runs the suites one after the other. It stores the verdict of each suite in
`shop.quality_runs` and each result in `shop.quality_results`, which the cockpit shows. A suite with a window checks the
rows loaded since its last good check. With the param `scope` set to `full`, all suites check all rows, as
`sweep_quality` does every night. The checks use a read-only role and a time limit for each query. Between suites they
yield to a stream that is behind, for one minute at most. A failed check has one alert for as long as it fails.

**When.** Every ten minutes. The checks that can hold back the views also run in `refresh_views`, before each refresh.

**When it fails.** The task fails after all suites have run, and lists the critical failures: check, columns, what was
found and what was expected. The stream continues, and the data is not changed. An invalid suite fails with file, line
and a suggestion, and the other suites still run; try it with `make check-suites`. `expectations/README.md` explains how
to edit a suite, and `docs/quality.md` what to do about a finding. A failed expectation is not retried; clear the task
to check again.
"""

from datetime import timedelta

from airflow.sdk import Param, dag, task

from include.airflow.defaults import defaults
from include.airflow.tasks.quality import check_suites

DEADLINE = timedelta(minutes=10)


@dag(
    doc_md=__doc__,
    params={"scope": Param("window", enum=["window", "full"], description="Only new rows, or all rows.")},
    **defaults(
        schedule="4-59/10 * * * *",
        tags=["quality"],
        deadline=DEADLINE,
        dagrun_timeout=timedelta(minutes=30),
        task_timeout=timedelta(minutes=12),
    ),
)
def check_quality() -> None:
    """Define one task, since a process for each suite would spend more time on imports than on checks."""
    task(check_suites)()


check_quality()
