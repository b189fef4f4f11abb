"""Prove that the numbers that are kept up to date are those that would be worked out anew.

**What it does.** The views read facts (`shop.fact_*`) to which only new events are added. `audit` works them out from
all events that retention keeps, in one snapshot, and compares row by row; then the sums with what they sum up.

**When.** Every night at 03:17 UTC. It reads every event once for each of six facts.

**When it fails.** The log names the facts that differ and by how many rows. The events are right, the facts are not. To
make them anew, run as the owner (`make psql`): truncate the tables `shop.fact_*`, set `shop.facts_progress` to batch 0,
and trigger `refresh_views`; report what was found, since it should not happen.
"""

from datetime import timedelta

from airflow.sdk import dag, task

from include.airflow.defaults import defaults
from include.airflow.tasks.views import audit

DEADLINE = timedelta(hours=1)
STATEMENT_TIMEOUT = timedelta(minutes=20)


@dag(
    doc_md=__doc__,
    **defaults(
        schedule="17 3 * * *",
        tags=["views", "quality"],
        deadline=DEADLINE,
        dagrun_timeout=timedelta(hours=3),
        task_timeout=timedelta(hours=2),
    ),
)
def audit_facts() -> None:
    """One task."""
    task(audit)(timeout_seconds=STATEMENT_TIMEOUT.total_seconds())


audit_facts()
