"""Check that the numbers can be trusted: every suite of `expectations/` against what was loaded lately.

**What it does.** `check_suites` runs one suite after the other and leaves a verdict of each in `shop.quality_runs` and
each result in `shop.quality_results`, then the Data Docs. A suite with a window looks at what was loaded since its last
good check; with the param `scope` `full`, all suites look at all rows, as `sweep_quality` does every night. It reads as
a role that can only read, with a time limit on each query; between suites a stream that is behind goes first, for a
minute at most. A check that fails has one alert for as long as it does.

**When.** Every ten minutes. `refresh_views` makes the checks that hold back the views by itself, before each refresh.

**When it fails.** The task fails after all suites have run, with the list of critical failures: check, columns, what
was found and what was expected. The stream goes on, and the data stays as it is. A suite with a mistake in it fails
with file, line and a suggestion, and keeps no other from being checked: try it with `make check-suites`. How to edit
a suite is written in `expectations/README.md`, what to do about a finding in `docs/quality.md`. There is no second try
for a failed expectation; clear the task to look again.
"""

from datetime import timedelta

from airflow.sdk import Param, dag, task

from include.airflow.defaults import defaults
from include.airflow.tasks.quality import check_suites

DEADLINE = timedelta(minutes=10)


@dag(
    doc_md=__doc__,
    params={"scope": Param("window", enum=["window", "full"], description="What is new, or all rows.")},
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
