"""Refresh, check and publish the materialized views, so that analysts read figures at most a few minutes old.

**What it does.**

- `advance` adds the new events to the aggregates (`shop.fact_*`: sessions, customers, orders, products). The cost of a
  refresh therefore depends on what arrived since the last one, not on what is stored. If the stream is behind, the task
  yields to it for up to five minutes, and the next task for up to one more.
- `build_and_audit` builds a candidate of each view. It then checks the rows loaded since the last good check (the
  suites with `holds_publication`), and after that each candidate with the suites of its view. Every published row has
  therefore been checked, because an event that arrives in between is in no candidate.
- `publish` runs once per view and publishes the candidates that passed, one after the other, because two at a time
  would take the cores from the stream on a laptop. Readers are not blocked (`REFRESH … CONCURRENTLY`). Each refresh
  records its time and row count in `shop.refreshes`. Each publication is an event of the view's asset (*Assets* in the
  UI), on which you can schedule your own DAG.
- `check_freshness` fails if the published rows of any view are out of date, and names the views and their age.

**When.** Every five minutes.

**Params.** `views`: the views to refresh; all views when empty.

**When it fails.** Readers keep the previous rows. `build_and_audit` fails, and nothing is published, when a critical
check of the new events fails, when there are more new rows than can be checked in four minutes, or when a suite that
must pass is missing or invalid. `publish` fails for a view whose own critical checks failed, and names them; the other
views are published. The failed check has an alert. `docs/quality.md` says how to find the reason, and how to publish
despite the failure: with the button on the cockpit's page *Quality*, or the DAG `publish_held_views`. The next run
checks again. If a view could not be built, or took longer than the time limit of its task, `publish` fails with
PostgreSQL's error. `watcher` fails whenever another task failed, so that the run counts as failed; it has no alert of
its own.
"""

from datetime import timedelta

from airflow.sdk import Param, TriggerRule, dag, task

from include.airflow.defaults import defaults
from include.airflow.tasks.views import PUBLISHED, advance, build_and_audit, check_freshness, list_views, publish, watch

DEADLINE = timedelta(minutes=10)
# PostgreSQL gives up one minute before Airflow does, so that the failure is recorded in shop.refreshes.
STATEMENT_TIMEOUT = timedelta(minutes=9)
TASK_TIMEOUT = timedelta(minutes=10)
# Allows for two failed refreshes in a row.
MAX_AGE = timedelta(minutes=16)


@dag(
    doc_md=__doc__,
    params={
        "views": Param(
            None,
            type=["null", "array"],
            items={"type": "string"},
            description="Names of views, one per line; empty for all.",
        )
    },
    **defaults(
        schedule="2-59/5 * * * *",
        tags=["views"],
        deadline=DEADLINE,
        dagrun_timeout=timedelta(minutes=30),
        task_timeout=TASK_TIMEOUT,
    ),
)
def refresh_views() -> None:
    """Update the aggregates, build and check the views, publish each, then check the freshness of all."""
    limit = STATEMENT_TIMEOUT.total_seconds()
    advanced = task(advance)(timeout_seconds=limit)
    audited = task(build_and_audit)(timeout_seconds=limit)
    one_by_one = task(
        max_active_tis_per_dagrun=1, map_index_template="{{ task.op_kwargs['view_name'] }}", outlets=[PUBLISHED]
    )
    views = task(list_views)()
    published = one_by_one(publish).partial(audited=audited, timeout_seconds=limit).expand(view_name=views)
    fresh = task(trigger_rule=TriggerRule.ALL_DONE)(check_freshness)(MAX_AGE.total_seconds())
    advanced >> audited
    published >> fresh
    # Airflow derives the state of a run from its last tasks only, and check_freshness runs even after a failure.
    watcher = task(task_id="watcher", trigger_rule=TriggerRule.ONE_FAILED)(watch)()
    [advanced, audited, views, published, fresh] >> watcher


refresh_views()
