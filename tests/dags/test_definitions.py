"""Test the properties that every DAG must have."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG
from airflow.sdk.exceptions import ParamValidationError

from include.airflow.alerting.notifier import RecoveryNotifier, ShopstreamNotifier
from include.airflow.defaults import START_DATE
from include.airflow.sensors import StreamSensor
from include.platform.services.pools import FEED, HEAVY, POOLS
from include.settings import REPOSITORY, Settings

DAG_IDS = [
    "audit_facts",
    "check_quality",
    "evaluate_objectives",
    "generate_events",
    "maintain_partitions",
    "publish_held_views",
    "refresh_views",
    "retract_delivery",
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


def test_the_folder_contains_exactly_these_dags(dags: DagBag) -> None:
    assert sorted(dags.dag_ids) == DAG_IDS


@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_a_dag_has_a_runbook_tags_a_callback_and_a_timeout(dags: DagBag, dag_id: str) -> None:
    dag = dags.dags[dag_id]
    assert "**When it fails.**" in dag.doc_md
    assert "shopstream" in dag.tags
    assert len(dag.tags) > 1
    assert dag.start_date == START_DATE
    assert not dag.catchup
    assert isinstance(dag.on_failure_callback, ShopstreamNotifier)
    assert dag.dagrun_timeout or dag_id == "stream_events", "only the stream runs without a timeout"


@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_a_dag_has_a_deadline_before_its_timeout(dags: DagBag, dag_id: str) -> None:
    dag = dags.dags[dag_id]
    if dag_id == "stream_events":
        assert dag.deadline is None
        assert "**Deadline.** None" in dag.doc_md
        return
    (deadline,) = dag.deadline
    assert timedelta(0) < deadline.interval < dag.dagrun_timeout
    # The triggerer imports the callback by this path, and calls it with these arguments.
    assert deadline.callback.path == "include.airflow.deadlines.notify_miss"
    assert deadline.callback.kwargs == {"seconds": deadline.interval.total_seconds()}


@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_a_task_has_an_owner_retries_a_timeout_and_callbacks(dags: DagBag, dag_id: str) -> None:
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
def test_a_dag_file_is_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 120


def test_every_param_of_the_feed_is_described_and_validated(dags: DagBag) -> None:
    params = dags.dags["generate_events"].params
    for name, invalid_value in {
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
            param.resolve(invalid_value)


def test_parsing_the_dags_imports_no_heavy_package() -> None:
    code = (
        "import runpy, sys\n"
        f"for path in {[str(path) for path in DAG_FILES]}: runpy.run_path(path)\n"
        "heavy = {'pyspark', 'great_expectations', 'pandas', 'pyarrow', 'numpy', 'faker'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    completed = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert completed.returncode == 0, completed.stderr


def slots_of(dag: DAG) -> dict[str, int]:
    """Return how many slots of each pool all runs of a DAG can hold at once; sensors wait in the triggerer."""
    tasks_by_pool: dict[str, int] = {}
    for task in dag.tasks:
        if not isinstance(task, StreamSensor):
            tasks_by_pool[task.pool] = tasks_by_pool.get(task.pool, 0) + 1
    return {pool: dag.max_active_runs * min(tasks, dag.max_active_tasks) for pool, tasks in tasks_by_pool.items()}


def test_every_watcher_gets_a_slot_whatever_else_runs(dags: DagBag) -> None:
    slots_by_pool: dict[str, int] = {}
    for dag in dags.dags.values():
        for pool, slots in slots_of(dag).items():
            slots_by_pool[pool] = slots_by_pool.get(pool, 0) + slots
    unknown = set(slots_by_pool) - {"default_pool", *POOLS}
    assert not unknown, "bootstrap creates only the pools of include.platform.services.pools"
    max_slots = sum(min(slots, POOLS[pool][0]) if pool in POOLS else slots for pool, slots in slots_by_pool.items())
    # The sum includes a slot for each watcher.
    assert max_slots <= Settings.model_fields["parallelism"].default


@pytest.mark.parametrize(
    ("dag_id", "pool", "slots"), [("generate_events", FEED, 2), ("audit_facts", HEAVY, 1), ("sweep_quality", HEAVY, 1)]
)
def test_long_tasks_have_few_slots(dags: DagBag, dag_id: str, pool: str, slots: int) -> None:
    tasks = [task for task in dags.dags[dag_id].tasks if not isinstance(task, StreamSensor)]
    assert {task.pool for task in tasks} == {pool}
    assert POOLS[pool][0] == slots


def test_the_stream_may_be_paused_for_months(dags: DagBag) -> None:
    gate = dags.dags["stream_events"].get_task("stream_is_wanted")
    for limit in (timedelta(seconds=gate.timeout), gate.execution_timeout):
        assert limit > timedelta(days=365)


def test_the_stream_takes_no_params(dags: DagBag) -> None:
    assert not dags.dags["stream_events"].params
