"""Bring the materialized views up to date, so that analysts read numbers a few minutes old at most.

**What it does.** `advance` adds the events that are new to the facts (`shop.fact_*`: sessions, customers, orders,
products), so that a refresh costs what came since the last one, not what is stored; while the stream is behind, it goes
first, for up to five minutes (and for one more in the next task). `build_and_audit` checks what was loaded since the
last good check (the suites with `holds_publication`), then builds each view aside and checks that candidate with the
suites of the view. Then one task a view publishes what passed, one after the other: on a laptop two
at once would take the cores from the stream. Readers are not kept waiting (`REFRESH … CONCURRENTLY`), and never see a
row that was not checked. Each refresh leaves its time and row count in `shop.refreshes`. `check_freshness` then fails
if what people read of any view is out of date, and says which and by how much.

**When.** Every five minutes.

**When it fails.** The rows that people read are as they were. `build_and_audit` fails when a critical check of the new
events does, or when so much is new that not all of it could be checked in four minutes: nothing is published. `publish`
fails for a view whose own critical checks do, and names them; the other views are published. The check has an alert;
`docs/quality.md` says how to find out what is wrong, and how to publish all the same. The next run looks again. A view
that could not be built, or takes longer than the limit of its task, fails in `publish` with PostgreSQL's error.
"""

from datetime import timedelta

from airflow.sdk import TriggerRule, dag, task

from include.airflow.defaults import defaults
from include.airflow.tasks.views import advance, build_and_audit, check_freshness, list_views, publish

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
    """Bring the facts up to date, build and check the views, publish each, then look at all of them."""
    limit = STATEMENT_TIMEOUT.total_seconds()
    audited = task(build_and_audit)(timeout_seconds=limit)
    task(advance)(timeout_seconds=limit) >> audited
    one_by_one = task(max_active_tis_per_dagrun=1, map_index_template="{{ task.op_kwargs['view_name'] }}")
    views = task(list_views)()
    published = one_by_one(publish).partial(audited=audited, timeout_seconds=limit).expand(view_name=views)
    published >> task(trigger_rule=TriggerRule.ALL_DONE)(check_freshness)(MAX_AGE.total_seconds())


refresh_views()
