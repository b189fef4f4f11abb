"""Check every row that is kept, once a night: what the checks of new rows cannot see.

**What it does.** `check_suites`, the task of `check_quality`, with the scope `full`: every suite looks at all rows of
its table, and the checks that are marked `when: nightly` are made. So a row that was changed or lost after it was
found good is found again.

**When.** Every night at 02:47 UTC. It reads every event some ten times, in one snapshot a suite.

**When it fails.** As in `check_quality`: the log lists what was found and what was expected. What fails here and not
there concerns older rows: the sample in `shop.quality_results`, or in the Data Docs, says which.
"""

from datetime import timedelta

from airflow.sdk import Param, dag, task

from include.airflow.defaults import defaults
from include.airflow.tasks.quality import check_suites

DEADLINE = timedelta(hours=1)


@dag(
    doc_md=__doc__,
    params={"scope": Param("full", enum=["window", "full"], description="What is new, or all rows.")},
    **defaults(
        schedule="47 2 * * *",
        tags=["quality"],
        deadline=DEADLINE,
        dagrun_timeout=timedelta(hours=2),
        task_timeout=timedelta(hours=1),
    ),
)
def sweep_quality() -> None:
    """One task, as in check_quality."""
    task(check_suites)()


sweep_quality()
