"""What must be true of every DAG, whatever it does."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import ParamValidationError

from include.airflow.defaults import START_DATE
from include.airflow.notifier import RecoveryNotifier, ShopstreamNotifier
from include.settings import REPOSITORY

DAG_IDS = [
    "audit_facts",
    "check_quality",
    "evaluate_objectives",
    "generate_events",
    "maintain_partitions",
    "refresh_views",
    "stream_events",
    "sweep_quality",
    "watch_stream",
]
DAG_FILES = sorted((REPOSITORY / "dags").glob("*.py"))


@pytest.fixture(scope="module")
def dags() -> DagBag:
    bag = DagBag(str(REPOSITORY / "dags"))
    assert bag.import_errors == {}
    return bag


def test_the_set_of_dags(dags: DagBag) -> None:
    assert sorted(dags.dag_ids) == DAG_IDS


@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_a_dag_can_be_operated(dags: DagBag, dag_id: str) -> None:
    dag = dags.dags[dag_id]
    assert "**When it fails.**" in dag.doc_md
    assert "shopstream" in dag.tags
    assert len(dag.tags) > 1
    assert dag.start_date == START_DATE
    assert not dag.catchup
    assert isinstance(dag.on_failure_callback, ShopstreamNotifier)
    assert dag.dagrun_timeout or dag_id == "stream_events", "only the stream has no end"


@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_a_dag_has_a_deadline_before_its_timeout(dags: DagBag, dag_id: str) -> None:
    dag = dags.dags[dag_id]
    if dag_id == "stream_events":
        assert dag.deadline is None
        assert "**Deadline.** None" in dag.doc_md
        return
    (deadline,) = dag.deadline
    assert timedelta(0) < deadline.interval < dag.dagrun_timeout
    # The triggerer imports it by this path, and calls it with these.
    assert deadline.callback.path == "include.airflow.deadlines.tell_of_miss"
    assert deadline.callback.kwargs == {"seconds": deadline.interval.total_seconds()}


@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_a_task_can_be_operated(dags: DagBag, dag_id: str) -> None:
    for task in dags.dags[dag_id].tasks:
        assert task.owner == "shopstream"
        assert task.retries >= 1, f"{task.task_id}: a task that starts while the API restarts needs another try"
        assert task.execution_timeout > timedelta(0)
        for callbacks, kind in (
            (task.on_failure_callback, ShopstreamNotifier),
            (task.on_success_callback, RecoveryNotifier),
        ):
            (callback,) = callbacks if isinstance(callbacks, list) else [callbacks]
            assert isinstance(callback, kind)


@pytest.mark.parametrize("path", DAG_FILES, ids=lambda path: path.stem)
def test_a_dag_file_is_thin(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 120


def test_every_param_of_the_feed_says_what_it_is_and_refuses_nonsense(dags: DagBag) -> None:
    params = dags.dags["generate_events"].params
    for name, nonsense in {
        "events_per_second": 0,
        "duration_seconds": 0,
        "rows_per_file": 0.5,
        "seed": -1,
        "bad_share": 1,
        "duplicate_share": "none",
        "late_share": -0.1,
    }.items():
        param = params.get_param(name)
        assert param.description.endswith("."), name
        param.resolve()
        with pytest.raises(ParamValidationError):
            param.resolve(nonsense)


def test_parsing_imports_nothing_heavy() -> None:
    code = (
        "import runpy, sys\n"
        f"for path in {[str(path) for path in DAG_FILES]}: runpy.run_path(path)\n"
        "heavy = {'pyspark', 'great_expectations', 'pandas', 'pyarrow', 'numpy', 'faker'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
