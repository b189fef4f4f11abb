"""Bring the materialized views up to date, so that analysts read numbers a few minutes old at most.

**What it does.** `advance` adds the events that are new to the facts (`shop.fact_*`: sessions, customers, orders,
products), so that a refresh costs what came since the last one, not what is stored. Then one task a view, in the order
of what the views read, one after the other: on a laptop two at once would take the cores from the stream. Readers are
not kept waiting (`REFRESH … CONCURRENTLY`). Each refresh leaves its time and row count in `shop.refreshes`.
`check_freshness` then fails if any view is out of date, and says which and by how much.

**When.** Every five minutes.

**When it fails.** The rows of a view whose refresh failed are as they were; the views after it are refreshed all the
same. Read the error in the task of that view, mend it, and clear that task. A view that takes longer than the limit
of its task is stopped by PostgreSQL itself.
"""

from datetime import timedelta

from airflow.sdk import TriggerRule, dag, task

from include.airflow.defaults import defaults
from include.airflow.tasks.views import advance, check_freshness, list_views, refresh

DEADLINE = timedelta(minutes=10)
# PostgreSQL gives up a minute before Airflow does, so that the failure is on record in shop.refreshes.
STATEMENT_TIMEOUT = timedelta(minutes=9)
TASK_TIMEOUT = timedelta(minutes=10)
# Two refreshes in a row may fail before it counts.
MAX_AGE = timedelta(minutes=16)


@dag(
    doc_md=__doc__,
    **defaults(
        schedule="2-59/5 * * * *",
        tags=["views"],
        deadline=DEADLINE,
        dagrun_timeout=timedelta(minutes=30),
        task_timeout=TASK_TIMEOUT,
    ),
)
def refresh_views() -> None:
    """Bring the facts up to date, refresh each view, then look at all of them."""
    advanced = task(advance)(timeout_seconds=STATEMENT_TIMEOUT.total_seconds())
    one_by_one = task(max_active_tis_per_dagrun=1, map_index_template="{{ task.op_kwargs['view_name'] }}")
    refreshed = (
        one_by_one(refresh)
        .partial(timeout_seconds=STATEMENT_TIMEOUT.total_seconds())
        .expand(view_name=task(list_views)())
    )
    advanced >> refreshed >> task(trigger_rule=TriggerRule.ALL_DONE)(check_freshness)(MAX_AGE.total_seconds())


refresh_views()
