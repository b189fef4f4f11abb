"""Retract a delivery: remove everything that a wrong file brought, after a user has approved it.

**What it does.** `preview` works out what will be removed and how each published figure will change; it performs the
retraction and rolls it back. `approve` shows the preview and waits for an answer under *Required Actions*. After an
approval, `retract` removes the events, rejects, rollups and aggregates of the chosen deliveries, and their share of the
ledger. It does so in one transaction, in the name of the user who approved. Then `refresh_views` publishes the figures
without them. An event that another delivery also brought stays, as an event of that delivery. `shop.retractions` keeps
a record.

**When.** When you trigger it: with *Retract* next to a file on the cockpit's page *Stream*, which also shows the
preview and accepts the approval; with `POST /shopstream/api/v1/files/{file_id}/retract`; or by hand. On the command
line: `make retract FILE=name`.

**Params.** A delivery must meet all given conditions. The name may contain `*` and `?`; `since` and `until` limit the
time of loading. The reason is recorded.

**Deadline.** 13 hours. Without an answer within 12 hours, the request counts as rejected.

**When it fails.** `preview` fails with the reason when no delivery matches, when one is still being loaded, or when
retention has removed some of its events, because it can then no longer be retracted exactly. A failure of any task
changes nothing; correct the params and trigger the DAG again.
"""

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import Param, dag, task

from include.airflow.approval import approval
from include.airflow.defaults import defaults
from include.airflow.tasks import retraction
from include.platform.services.pools import DECISIONS

DEADLINE = timedelta(hours=13)
STATEMENT_TIMEOUT = timedelta(minutes=25)
TASK_TIMEOUT = timedelta(minutes=30)
NUMBER: dict[str, Any] = {"type": ["null", "integer"], "minimum": 1}


@dag(
    doc_md=__doc__,
    params={
        "name": Param(None, type=["null", "string"], description="Name of the file; * and ? as in a shell."),
        "file_id": Param(None, **NUMBER, description="Number of the file in shop.files."),
        "batch_id": Param(None, **NUMBER, description="A batch that loaded the file, or a slice of it."),
        "since": Param(None, type=["null", "string"], format="date-time", description="Loaded at this time or later."),
        "until": Param(None, type=["null", "string"], format="date-time", description="Loaded before this time."),
        "reason": Param("", type="string", minLength=3, maxLength=1000, description="Why, for the record."),
    },
    **defaults(
        schedule=None,
        tags=["retraction"],
        deadline=DEADLINE,
        dagrun_timeout=timedelta(hours=14),
        task_timeout=TASK_TIMEOUT,
        max_active_runs=4,
        pool=DECISIONS,
    ),
)
def retract_delivery() -> None:
    """Preview, wait for an approval, retract, refresh."""
    limit = STATEMENT_TIMEOUT.total_seconds()
    approve = approval(
        subject="Retract {{ ti.xcom_pull(task_ids='preview')['deliveries'] }}?",
        body="Reason: {{ params.reason }}\n\n{{ ti.xcom_pull(task_ids='preview')['text'] }}",
    )
    refresh = TriggerDagRunOperator(task_id="refresh", trigger_dag_id="refresh_views")
    task(retraction.preview)(timeout_seconds=limit) >> approve
    approve >> task(retraction.retract)(timeout_seconds=limit) >> refresh


retract_delivery()
