"""Check that the numbers can be trusted: every suite of `expectations/` against PostgreSQL.

**What it does.** `check_suites` runs one suite after the other and leaves each result in `shop.quality_results`. It
reads as a role that can only read, with a time limit on each query. The warnings of a suite are one
alert, which ends when all its checks hold.

**When.** Every ten minutes.

**When it fails.** The task fails after all suites have run, with the list of critical failures: check, columns, what
was found and what was expected. The stream goes on, and the data stays as it is. A suite with a mistake in it fails
with file, line and a suggestion, and keeps no other from being checked: try it with `make check-suites`. How to edit
a suite is written in `expectations/README.md`. There is no second try for a failed expectation; clear the task to
look again.
"""

from datetime import timedelta

from airflow.sdk import dag, task

from include.airflow.defaults import defaults
from include.airflow.tasks.quality import check_suites

DEADLINE = timedelta(minutes=10)


@dag(
    doc_md=__doc__,
    **defaults(
        schedule="4-59/10 * * * *",
        tags=["quality"],
        deadline=DEADLINE,
        dagrun_timeout=timedelta(minutes=30),
        task_timeout=timedelta(minutes=12),
    ),
)
def check_quality() -> None:
    """One task: a process for each suite would spend more time on imports than on checks."""
    task(check_suites)()


check_quality()
