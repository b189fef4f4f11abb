"""What the outcome of a suite means for the alerts: one a check, open for as long as the check fails.

A check that is also made of a view's candidate belongs to its publication: that people read rows that are good says
nothing of those that are held back, so the alert ends when a candidate passes.
"""

from __future__ import annotations

from collections.abc import Collection

from include.alerts import Alert, raise_alert, resolve_alert
from include.db import load_queries, transaction
from include.quality.model import Check
from include.quality.results import SUITE_RUNS, CheckResult, SuiteOutcome

_SQL = load_queries("quality")


def report(
    outcome: SuiteOutcome,
    dsn: str,
    *,
    source: str,
    url: str | None = None,
    runbook_url: str | None = None,
    views: Collection[str] = (),
) -> None:
    """Raise an alert for each check that failed or could not be made; end those of checks that do not any more.

    Parameters
    ----------
    outcome:
        Of one suite; what is only information raises nothing.
    dsn:
        Connection of the role ops.
    source, url, runbook_url:
        Who looked, where, and what to do.
    views:
        The tables, as ``shop.<view>``, that are checked before they are published.
    """
    failing = {}
    for result in outcome.results:
        if not result.is_success and (result.error or result.check.severity != "info"):
            failing[_key(outcome, result.check)] = result
    for key, result in failing.items():
        raise_alert(dsn, _alert(outcome, result, key, source=source, url=url, runbook_url=runbook_url))
    if outcome.error is not None:
        # Nothing was looked at, so nothing is over.
        return
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["open_alerts"], {"prefix": f"quality/{outcome.suite.name}/"})
        still_open = {key for (key,) in cursor.fetchall()}
    unjudged = {_key(outcome, one.check) for one in outcome.not_judged}
    kept = _kept(outcome, is_published=outcome.suite.table in views and outcome.scope != "candidate")
    for key in sorted(still_open - set(failing) - kept):
        resolve_alert(dsn, key, "not judged any more" if key in unjudged else "recovered")


def _kept(outcome: SuiteOutcome, *, is_published: bool) -> set[str]:
    """The keys of checks of which this outcome cannot say that they pass."""
    return {
        _key(outcome, check)
        for check in outcome.suite.checks
        if not check.is_for(outcome.scope) or (is_published and check.is_for("candidate"))
    }


def _key(outcome: SuiteOutcome, check: Check) -> str:
    return f"quality/{outcome.suite.name}/{check.key}"


def _alert(
    outcome: SuiteOutcome, result: CheckResult, key: str, *, source: str, url: str | None, runbook_url: str | None
) -> Alert:
    check = result.check
    broken = result.error is not None
    columns = f" ({', '.join(check.columns)})" if check.columns else ""
    what = "could not be checked" if broken else "failed"
    title = f"{outcome.suite.name}: {check.name}{columns} {what}"
    if check.name == SUITE_RUNS:
        title = f"{outcome.suite.name}: the suite cannot be used"
    held = "\nPeople keep reading the rows of before." if outcome.scope == "candidate" else ""
    return Alert(
        # What could not be looked at may be anything.
        severity="critical" if broken or check.severity == "critical" else "warning",
        source=source,
        title=title,
        detail="\n".join(part for part in (str(result), check.why) if part) + held,
        run_id=outcome.run_id,
        url=url,
        key=key,
        owner=outcome.suite.owner,
        runbook_url=runbook_url,
    )
