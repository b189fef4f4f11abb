"""A task that waits for a person's approval, and the name of the person who gave it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk.exceptions import TaskAwaitingInput

# An answer that does not come within this time counts as a rejection.
APPROVAL_TIMEOUT = timedelta(hours=12)
_TASK_ID = "approve"
# The key in Airflow's store of task states; its value is the max_tries of the task when it asked.
_ASKED = "asked"
# More than usual, since Airflow may count several executions that did not fail.
_RETRIES = 10


class DurableApproval(ApprovalOperator):
    """Ask once: an execution of the task uses the answer that an earlier one received.

    Airflow itself drops that answer and asks again. It also executes a task again that did not fail: when a user
    answers while the scheduler has not yet seen the end of the worker that asked, the resumed task counts as killed
    (Airflow 3.3, ``process_executor_events``). Without this class such a user sees the question again, and the run
    waits for an answer that nobody knows is missing.
    """

    def execute(self, context: Any) -> Any:
        """Ask, unless an earlier execution has asked. A *Clear* of the task raises max_tries, and it asks again."""
        generation, store = context["ti"].max_tries, context["task_state_store"]
        if store.get(_ASKED) == generation:
            self.log.info("An earlier execution has asked already; its answer counts.")
            # Airflow resumes the task at once when the answer is there.
            raise TaskAwaitingInput(method_name="execute_complete", timeout=self.response_timeout)
        try:
            return super().execute(context)
        except TaskAwaitingInput:
            store.set(_ASKED, generation)
            raise


def approval(*, subject: str, body: str) -> ApprovalOperator:
    """Make the task; the tasks after it run once a person has approved, under *Required Actions* in the Airflow UI."""
    return DurableApproval(
        task_id=_TASK_ID,
        subject=subject,
        body=body,
        defaults="Reject",
        response_timeout=APPROVAL_TIMEOUT,
        retries=_RETRIES,
    )


def approver(ti: Any) -> str:
    """Name the person who approved the run of a task instance; ``airflow`` when nobody is on record."""
    answer = ti.xcom_pull(task_ids=_TASK_ID) or {}
    return (answer.get("responded_by_user") or {}).get("name") or "airflow"
