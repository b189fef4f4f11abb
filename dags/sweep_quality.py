"""Check all stored rows every night, to find what the checks of new rows cannot see.

**What it does.** It runs `check_suites`, the task of `check_quality`, with the scope `full`: every suite checks all
rows of its table, including the checks marked `when: nightly`. This finds rows that were changed or lost after they had
passed a check.

**When.** Every night at 02:47 UTC. It reads every event about ten times, in one snapshot per suite.

**When it fails.** As in `check_quality`, the log lists what was found and what was expected. A check that fails only
here concerns older rows; the sample in `shop.quality_results`, or on the cockpit's page Quality, shows which.
"""

from datetime import timedelta

from airflow.sdk import Param, dag, task

from include.airflow.defaults import defaults
from include.airflow.tasks.quality import check_suites
from include.platform.services.pools import HEAVY

DEADLINE = timedelta(hours=1)


@dag(
    doc_md=__doc__,
    params={"scope": Param("full", enum=["window", "full"], description="Only new rows, or all rows.")},
    **defaults(
        schedule="47 2 * * *",
        tags=["quality"],
        deadline=DEADLINE,
        dagrun_timeout=timedelta(hours=2),
        task_timeout=timedelta(hours=1),
        pool=HEAVY,
    ),
)
def sweep_quality() -> None:
    """Define one task, as in check_quality."""
    task(check_suites)()


sweep_quality()
