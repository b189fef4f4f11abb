"""Test that an approval is requested only once, even if Airflow retries the task after a user has answered."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.db import transaction
from include.platform.instance.environment import AIRFLOW_DATABASE
from include.platform.services.airflow_api import AirflowApi
from tests.support.csv_files import csv_text, valid_row
from tests.support.platform import Platform
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(900)

DAG = "retract_delivery"
APPROVE = "SELECT id, state, try_number FROM task_instance WHERE dag_id = %s AND run_id = %s AND task_id = 'approve'"


def test_a_retried_approval_uses_the_answer_it_received(platform: Platform, tmp_path: Path) -> None:
    path = tmp_path / "retried-approval.csv"
    path.write_text(csv_text([valid_row()]), encoding="utf-8")
    wait_until(lambda: platform.status()["stream"]["is_alive"], seconds=120, what="the stream to be alive")
    platform.succeed("include.platform", "load", str(path))
    api = AirflowApi(platform.settings)
    run_id = api.trigger(DAG, {"name": path.name, "reason": "an answer that must not be lost"}, "a test")
    metadata = platform.settings.dsn("airflow", AIRFLOW_DATABASE)

    def approval() -> tuple[str, str, int]:
        with transaction(metadata) as cursor:
            cursor.execute(APPROVE, (DAG, run_id))
            return cursor.fetchone() or ("", "", 0)

    wait_until(lambda: approval()[1] == "awaiting_input", seconds=180, what="the request for an approval")
    task_instance_id, _, tries_before = approval()
    with transaction(metadata) as cursor:
        # The scheduler does the same when it mistakes the end of the first worker for the end of the resumed task.
        cursor.execute(
            "UPDATE hitl_detail SET responded_at = now(), chosen_options = '[\"Approve\"]',"
            ' responded_by = \'{"id": "1", "name": "ada"}\' WHERE ti_id = %s',
            (task_instance_id,),
        )
        cursor.execute(
            "UPDATE task_instance SET state = 'up_for_retry', end_date = now() - interval '1 hour',"
            " next_method = NULL, next_kwargs = NULL WHERE id = %s",
            (task_instance_id,),
        )
    # Other tests may have left runs of this DAG that wait for an answer.
    wait_until(lambda: run_id not in api.active_runs(DAG), seconds=420, what="the end of the run")
    _, state, all_tries = approval()
    assert state == "success"
    # There may be further tries, if Airflow mistakes the resumed task for a killed one again.
    assert all_tries > tries_before
    with transaction(platform.settings.dsn("ops")) as cursor:
        cursor.execute("SELECT done_by, reason FROM shop.retractions ORDER BY retraction_id DESC LIMIT 1")
        assert cursor.fetchone() == ("ada", "an answer that must not be lost")
