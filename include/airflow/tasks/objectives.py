"""Evaluate the service level objectives as a task."""

from __future__ import annotations

import logging
from typing import Any

from airflow.sdk import conf

from include.airflow.connections import OPS_CONN_ID, dsn_of
from include.objectives.announce import announce
from include.objectives.catalog import Objective, describe
from include.objectives.evaluate import evaluate
from include.objectives.misses import EvaluatedMinute
from include.settings import Settings

_log = logging.getLogger(__name__)


def evaluate_objectives(ti: Any = None) -> None:
    """Evaluate the minutes that have ended, record misses and raise alerts; a miss does not fail the task."""
    dsn = dsn_of(OPS_CONN_ID)
    evaluation = evaluate(dsn, Settings.from_env())
    _log.info("%s minutes evaluated", evaluation.minutes)
    for objective, minutes in evaluation.evaluated.items():
        if minutes:
            _log.info("%s", _verdict(objective, minutes[-1]))
    base_url = conf.get("api", "base_url", fallback="").rstrip("/")
    alerts = announce(dsn, evaluation, run_id=ti.run_id, url=ti.log_url, runbook_url=f"{base_url}/dags/{ti.dag_id}")
    for alert in alerts:
        _log.warning("%s\n%s", alert.title, alert.detail)


def _verdict(objective: Objective, newest: EvaluatedMinute) -> str:
    value = "nothing to measure" if newest.value is None else describe(newest.value, objective.unit)
    verdict = "met" if newest.is_met else "MISSED"
    return f"{newest.minute:%H:%M} {objective.name}: {verdict}, {value}; bound: {objective.promise}"
