"""Create runs of the DAG `retract_delivery` without a scheduler: Airflow's rows, in the states a worker reports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from include.airflow.retraction_runs import DAG_ID
from include.settings import REPOSITORY


@contextmanager
def known_dag() -> Iterator[None]:
    """Make the DAG known to Airflow, as its DAG processor would; remove its runs afterwards."""
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    bag = DagBag(str(REPOSITORY / "dags" / f"{DAG_ID}.py"), bundle_name="dags-folder")
    assert bag.import_errors == {}
    with create_session() as session:
        if session.get(DagBundleModel, "dags-folder") is None:
            session.add(DagBundleModel(name="dags-folder"))
    sync_bag_to_db(bag, "dags-folder", None)
    yield
    with create_session() as session:
        session.execute(delete(DagRun).where(DagRun.dag_id == DAG_ID))


class RunningTask:
    """A task instance of a run with its XComs, as the code of the task sees it."""

    def __init__(self, run_id: str, task_id: str) -> None:
        self.run_id, self.task_id = run_id, task_id

    def xcom_push(self, key: str, value: Any) -> None:
        """Store a value."""
        from airflow.models.xcom import XComModel
        from airflow.utils.session import create_session

        with create_session() as session:
            XComModel.set(
                key=key, value=value, dag_id=DAG_ID, task_id=self.task_id, run_id=self.run_id, session=session
            )

    def xcom_pull(self, task_ids: str) -> Any:
        """Return the value that a task returned."""
        from airflow.models.xcom import XComModel
        from airflow.utils.session import create_session

        with create_session() as session:
            row = session.scalar(XComModel.get_many(run_id=self.run_id, key="return_value", task_ids=task_ids))
            return None if row is None else XComModel.deserialize_value(row)

    def ends(self, state: str, value: Any = None) -> None:
        """End the task with a return value."""
        from airflow.utils.session import create_session

        if value is not None:
            self.xcom_push("return_value", value)
        with create_session() as session:
            self._row(session).state = state

    def asks(self) -> None:
        """Let the task wait for a person, as Airflow's approval operator does."""
        from airflow.models.hitl import HITLDetail
        from airflow.utils.session import create_session

        with create_session() as session:
            row = self._row(session)
            row.state = "awaiting_input"
            session.add(HITLDetail(ti_id=row.id, options=["Approve", "Reject"], subject="?", defaults=["Reject"]))

    def _row(self, session: Any) -> Any:
        from airflow.models.taskinstance import TaskInstance
        from sqlalchemy import select

        where = (TaskInstance.run_id == self.run_id, TaskInstance.task_id == self.task_id)
        return session.scalars(select(TaskInstance).where(*where)).one()
