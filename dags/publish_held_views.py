"""Publish views that are held back, after a user has approved it.

**What it does.** `preview` lists the checks that hold the view back, or all views. `approve` waits for an answer under
*Required Actions*. After an approval, `decide` records the decision in `shop.publication_overrides`, in the name of the
user who approved it, and `refresh_views` publishes. The decision covers only the checks of the preview: a view that
fails another check is still held back.

**When.** When you trigger it. A button on the cockpit's page *Quality* does the same immediately.

**Params.** `view`: the name of a view; empty for all that are held back. `hours`: how long the decision lasts; empty
for the next publication only. The reason is recorded, and the cockpit shows it next to the figures.

**Deadline.** 13 hours. Without an answer within 12 hours, the request counts as rejected.

**When it fails.** `preview` and `decide` fail when nothing holds the view back (any longer), or when the view does not
exist. Nothing is changed in that case.
"""

from datetime import timedelta

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import Param, dag, task

from include.airflow.approval import approval
from include.airflow.defaults import defaults
from include.airflow.tasks import publication
from include.platform.services.pools import DECISIONS

DEADLINE = timedelta(hours=13)
TASK_TIMEOUT = timedelta(minutes=5)


@dag(
    doc_md=__doc__,
    params={
        "view": Param(None, type=["null", "string"], description="Name of the view; empty for all that are held back."),
        "reason": Param("", type="string", minLength=3, maxLength=1000, description="Why, for the record."),
        "hours": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            maximum=24,
            description="How long the decision lasts; empty for the next publication only.",
        ),
    },
    **defaults(
        schedule=None,
        tags=["views"],
        deadline=DEADLINE,
        dagrun_timeout=timedelta(hours=14),
        task_timeout=TASK_TIMEOUT,
        max_active_runs=4,
        pool=DECISIONS,
    ),
)
def publish_held_views() -> None:
    """Show what is held back, wait for an approval, record it, refresh."""
    approve = approval(
        subject="Publish {{ params.view or 'all held views' }} despite failed checks?",
        body="Reason: {{ params.reason }}\n\n{{ ti.xcom_pull(task_ids='preview')['text'] }}",
    )
    refresh = TriggerDagRunOperator(task_id="refresh", trigger_dag_id="refresh_views")
    task(publication.preview)() >> approve >> task(publication.decide)() >> refresh


publish_held_views()
