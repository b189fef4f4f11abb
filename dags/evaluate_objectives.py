"""Hold what is promised against what is measured, each minute: the service level objectives.

**What it does.** `evaluate` judges each objective of `include/objectives/catalog.py` for the minute that has just
ended: freshness, backlog, share of rejects, age of the views, availability of the stream, age of the suites' verdicts.
Each judged minute is a row of `shop.objective_minutes`, each stretch of missed ones a row of `shop.objective_misses`:
when, how long, how bad, and why as far as the database can tell. `shop.objective_months` has the attainment by month.
A miss that lasts raises an alert, which ends with it. `docs/objectives.md` lists the objectives with their reasons.

**When.** Every minute. A run that is late judges the minutes before it, too, as far as that can be done honestly: those
in which the stream committed something. A minute in which nobody looked and nothing happened is left out, as are the
three minutes after the stream was started and the time in which it is wished to stop.

**When it fails.** A missed objective does not fail it: the miss is data. It fails when the database cannot be asked;
the next run makes up for it.

**When an objective is missed.** The alert names the cause and what to do; `make objectives` shows all of them. Each
minute keeps the bound of its time, so that a changed bound does not change the past.
"""

from datetime import timedelta

from airflow.sdk import dag, task

from include.airflow.defaults import defaults
from include.airflow.tasks.objectives import evaluate_objectives as evaluate

DEADLINE = timedelta(minutes=3)
# Before the tasks of other DAGs, when these take all the slots.
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
    """One task, one process: all of it is a few queries."""
    task(evaluate)()


evaluate_objectives()
