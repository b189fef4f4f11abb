"""Verify every night that the incrementally updated aggregates equal a full recomputation from the events.

**What it does.** The views read aggregates (`shop.fact_*`), to which each refresh adds only the new events. `audit`
recomputes them in one snapshot from all events within retention and compares them row by row. It then compares the
sums with the rows that they sum up.

**When.** Every night at 03:17 UTC. It reads every event once for each of the six aggregates.

**When it fails.** The log names the aggregates that differ, and the number of differing rows. The events are correct,
the aggregates are not. To rebuild them, run as the owner (`make psql`): truncate the tables `shop.fact_*`, set
`shop.facts_progress` to batch 0, and trigger `refresh_views`. Report the finding as a bug, since it should not happen.
"""

from datetime import timedelta

from airflow.sdk import dag, task

from include.airflow.defaults import defaults
from include.airflow.tasks.views import audit
from include.platform.services.pools import HEAVY

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
        pool=HEAVY,
    ),
)
def audit_facts() -> None:
    """Define one task."""
    task(audit)(timeout_seconds=STATEMENT_TIMEOUT.total_seconds())


audit_facts()
