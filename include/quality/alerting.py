"""Raise and resolve the alerts of a suite: one alert per check, open for as long as the check fails.

The alert about a check that also runs on a view's candidate is resolved only when a candidate passes. A pass of the
published rows is not enough, because it does not cover the rows that are held back.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import get_args

from include.alerts import Alert, raise_alert, resolve_alert
from include.db import load_queries, transaction
from include.quality.model import Check, Scope
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
    """Raise an alert for each check that failed or had an error, and resolve the alerts of checks that pass now.

    A check that was not judged resolves nothing, unless it is critical and the rows on which it failed have been
    retracted since.

    Parameters
    ----------
    outcome:
        The outcome of one suite. Failed checks of severity info raise no alert.
    dsn:
        Connection of the role ops.
    source, url, runbook_url:
        The origin of the alert, a link to the run, and a link to the runbook.
    views:
        The tables, as ``shop.<view>``, that are checked before they are published.
    """
    failing = {}
    for result in outcome.results:
        is_failing = result.status in ("failed", "error") or result.still_fails
        if is_failing and (result.error or result.check.severity != "info"):
            failing[_key(outcome, result.check)] = result
    for key, result in failing.items():
        raise_alert(dsn, _alert(outcome, result, key, source=source, url=url, runbook_url=runbook_url))
    if outcome.error is not None:
        # The suite did not run, so no alert can be resolved.
        return
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["open_alerts"], {"prefix": f"quality/{outcome.suite.name}/"})
        still_open = {key for (key,) in cursor.fetchall()}
    passed = {_key(outcome, one.check) for one in outcome.results if one.status == "passed"}
    # The suite ran, so the alert that it could not run is resolved too.
    passed |= {f"quality/{outcome.suite.name}/{SUITE_RUNS}", f"quality/{outcome.suite.name}/{SUITE_RUNS}/sweep"}
    kept = _kept(outcome, is_published=outcome.suite.table in views and outcome.scope != "candidate")
    for key in sorted((still_open & passed) - kept):
        resolve_alert(dsn, key, "recovered")
    retracted = {_key(outcome, one.check) for one in outcome.results if one.is_retracted}
    for key in sorted((still_open & retracted) - kept):
        resolve_alert(dsn, key, "the failing rows were retracted")
    known = {_key(outcome, check, scope) for check in outcome.suite.checks for scope in get_args(Scope)}
    known |= {_key(outcome, one.check, scope) for one in outcome.results for scope in get_args(Scope)}
    for key in sorted(still_open - known):
        resolve_alert(dsn, key, "the suite has no such check any more")


def _kept(outcome: SuiteOutcome, *, is_published: bool) -> set[str]:
    """Return the alert keys of the checks that this outcome does not cover."""
    return {
        _key(outcome, check)
        for check in outcome.suite.checks
        if not check.is_for(outcome.scope) or (is_published and check.is_for("candidate"))
    }


def end_alerts_of_gone_suites(dsn: str, suites: Collection[str]) -> None:
    """Resolve the alerts about suites that were deleted or renamed, since no run will resolve them."""
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["open_alerts"], {"prefix": "quality/"})
        still_open = [key for (key,) in cursor.fetchall()]
    for key in still_open:
        if key.split("/")[1] not in suites:
            resolve_alert(dsn, key, "there is no such suite any more")


def _key(outcome: SuiteOutcome, check: Check, scope: Scope | None = None) -> str:
    """Return the key of the alert about a check.

    A failure that the nightly sweep finds in all rows has its own key, because a run over new rows cannot resolve it.
    """
    is_sweep = (scope or outcome.scope) == "full" and outcome.suite.window is not None
    return f"quality/{outcome.suite.name}/{check.key}{'/sweep' if is_sweep else ''}"


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
    held = "\nReaders keep seeing the rows that were published before." if outcome.scope == "candidate" else ""
    return Alert(
        # A check that could not run may hide a failure of any severity.
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
