"""Measure the service level objectives every minute, record misses and alert about those that last.

**What it does.** `evaluate` measures each objective of `include/objectives/catalog.py` for the minute that has just
ended: freshness, backlog, share of rejects, age of the views, availability of the stream, age of the suites' verdicts.
Each evaluated minute is a row of `shop.objective_minutes`. Each stretch of missed minutes is a row of
`shop.objective_misses`, with its time, its length, its worst value, and its cause if the database shows one.
`shop.objective_months` has the attainment by month. A miss that lasts raises an alert, which ends with the miss.
`docs/objectives.md` lists the objectives and the reasons for them.

**When.** Every minute. A late run also evaluates every minute before it, because an outage of PostgreSQL, Airflow or
the machine counts against the objectives. Planned work does not count (a pause of the stream, `make down`, a window
announced with `make maintenance`), nor do the three minutes after it.

**When it fails.** A missed objective does not fail the task, because a miss is data. The task fails when the database
is unavailable; the next run evaluates the missing minutes.

**When an objective is missed.** The alert names the cause and the remedy; `make objectives` shows all objectives. Each
minute keeps the bound that was in force, so changing a bound does not change the past.
"""

from datetime import timedelta

from airflow.sdk import dag, task

from include.airflow.defaults import defaults
from include.airflow.tasks.objectives import evaluate_objectives as evaluate

DEADLINE = timedelta(minutes=3)
# Runs before the tasks of other DAGs when all slots are taken.
PRIORITY = 90


@dag(
    doc_md=__doc__,
    **defaults(
        schedule="* * * * *",
        tags=["objectives", "watch"],
        deadline=DEADLINE,
        dagrun_timeout=timedelta(minutes=5),
        task_timeout=timedelta(minutes=2),
        severity="warning",
        priority_weight=PRIORITY,
    ),
)
def evaluate_objectives() -> None:
    """Define one task, since the evaluation is only a few queries."""
    task(evaluate)()


evaluate_objectives()
