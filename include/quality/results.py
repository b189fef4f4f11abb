"""Represent the outcome of a suite: one result per check, as rows of ``shop.quality_results`` and as text.

Analysts can read the results, so samples and observed values of personal columns are masked.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from numbers import Number
from typing import Any, Literal

from include.contract import COLUMNS
from include.db.messages import without_rows
from include.quality.catalog import CUSTOM_SQL, CUSTOM_SQL_LIMIT
from include.quality.model import Check, Scope, Suite

# The raw text of a reject contains all its personal fields.
PERSONAL_COLUMNS = frozenset({column.name for column in COLUMNS if column.is_personal} | {"raw"})
MASK = "(personal)"
SAMPLE_SIZE = 5

# The name of the check that stands for a suite that could not run, for example because its table is missing.
SUITE_RUNS = "suite_runs"

Verdict = Literal["passed", "warned", "failed", "broken", "not_judged"]
# The order of suites in lists.
WORST_FIRST: tuple[Verdict, ...] = ("broken", "failed", "warned", "not_judged", "passed")
# error: the check could not run. not_judged: there was too little data to judge by, which does not count as passed.
Status = Literal["passed", "failed", "error", "not_judged"]


@dataclass(frozen=True)
class CheckResult:
    """The result of one check.

    ``observed`` and ``expected`` are readable texts. ``sample`` has up to SAMPLE_SIZE offending values or rows.
    ``error`` says why the check could not run. ``duration_ms`` is None for checks that share their queries.

    For a check that is not judged, ``observed`` says which data is missing, ``still_fails`` whether it failed when it
    was last judged, ``is_retracted`` whether the rows of that time have been retracted since, and ``waits`` whether the
    rows of the window will be judged later, together with more rows.
    """

    check: Check
    status: Status
    observed: str | None
    expected: str
    sample: tuple[Any, ...] = ()
    error: str | None = None
    still_fails: bool = False
    is_retracted: bool = False
    waits: bool = False
    duration_ms: float | None = None

    def __str__(self) -> str:
        columns = f" ({', '.join(self.check.columns)})" if self.check.columns else ""
        seen = self.error or f"{self.observed}; expected: {self.expected}"
        sample = f"; for example {json.dumps(self.sample, default=str)}" if self.sample else ""
        return f"{self.check.name}{columns}: {seen}{sample}"

    def row(self) -> dict[str, Any]:
        """Return the columns of the result in ``shop.quality_results``, except those of the whole run."""
        return {
            "check_name": self.check.name,
            "column_name": ", ".join(self.check.columns) or None,
            "severity": self.check.severity,
            "status": self.status,
            "observed": self.observed,
            "expected": self.expected,
            "sample": json.dumps(self.sample, default=str) if self.sample else None,
            "error": self.error,
            "duration_ms": self.duration_ms,
        }


@dataclass(frozen=True)
class SuiteOutcome:
    """The results of one run of a suite, and its duration in seconds.

    ``window`` is the checked range of the suite's window column. Its start is None in a full sweep, and the whole is
    None for a suite without a window. ``is_behind`` says whether there are newer rows beyond the window. ``error`` says
    why the suite could not be read or run. ``quality_run_id`` is set once the outcome has been stored.
    """

    suite: Suite
    run_id: str
    scope: Scope
    started_at: datetime
    results: tuple[CheckResult, ...]
    seconds: float
    window: tuple[datetime | None, datetime] | None = None
    is_behind: bool = False
    error: str | None = None
    quality_run_id: int | None = None

    @property
    def verdict(self) -> Verdict:
        """The verdict; ``broken`` when any check had an error, whatever its severity."""
        if any(one.status == "error" for one in self.results):
            return "broken"
        if self.critical_failures:
            return "failed"
        if self.results and all(one.status == "not_judged" for one in self.results):
            return "not_judged"
        return "warned" if self.warnings else "passed"

    @property
    def critical_failures(self) -> tuple[CheckResult, ...]:
        """Critical checks that failed, had an error, or failed before and cannot be judged now."""
        return tuple(
            one
            for one in self.results
            if one.check.severity == "critical" and (one.status in ("failed", "error") or one.still_fails)
        )

    @property
    def warnings(self) -> tuple[CheckResult, ...]:
        """Checks of severity warning that failed or had an error."""
        return self._failed("warning")

    @property
    def is_complete(self) -> bool:
        """Whether no critical check leaves rows of the window to be judged later."""
        return not any(one.waits and one.check.severity == "critical" for one in self.results)

    @property
    def blockers(self) -> tuple[CheckResult, ...]:
        """The results that fail a task: critical failures, and checks with an error."""
        return tuple(one for one in self.results if one in self.critical_failures or one.status == "error")

    @property
    def not_judged(self) -> tuple[CheckResult, ...]:
        """Checks for which there was too little data."""
        return tuple(one for one in self.results if one.status == "not_judged")

    def _failed(self, severity: str) -> tuple[CheckResult, ...]:
        return tuple(
            one for one in self.results if one.status in ("failed", "error") and one.check.severity == severity
        )

    def summary(self) -> str:
        """Return a headline, and a line for each check that failed or was not judged."""
        not_judged = f", {len(self.not_judged)} not judged" if self.not_judged else ""
        seen = f"; only rows up to {self.window[1]:%Y-%m-%d %H:%M:%S} UTC" if self.is_behind and self.window else ""
        headline = (
            f"{self.suite.name} ({self.suite.table}): {len(self.results)} checks in {self.seconds:.1f} s, "
            f"{len(self.critical_failures)} critical failures, {len(self.warnings)} warnings{not_judged}{seen}"
        )
        failed = [*self.critical_failures, *self.warnings, *self._failed("info")]
        lines = [f"  {one.check.severity:<8}  {one}" for one in failed]
        lines += [
            f"  {one.check.severity:<8}  {one.check.name}: {one.observed}"
            for one in self.not_judged
            if one not in failed
        ]
        return "\n".join([headline, *lines])


def interpret(check: Check, validation: Any | None, *, row_count: int, duration_ms: float | None = None) -> CheckResult:
    """Convert Great Expectations' result of one check; a missing result gives an error.

    ``row_count`` is reported for a check that read every row and whose successful result has no numbers.
    """
    expected = describe(check)
    if validation is None:
        return CheckResult(check, "error", None, expected, error="Great Expectations returned no result")
    error = _error_of(validation.exception_info)
    if error is not None:
        return CheckResult(check, "error", None, expected, error=error, duration_ms=duration_ms)
    result = validation.result or {"element_count": row_count}
    return CheckResult(
        check,
        "passed" if validation.success else "failed",
        _observed(check, result),
        expected,
        _sample(check, result),
        duration_ms=duration_ms,
    )


def not_judged(check: Check, missing: str, *, waits: bool = False) -> CheckResult:
    """Return the result of a check that has too little data; ``waits`` if later rows can supply it."""
    return CheckResult(check, "not_judged", f"not judged: {missing}", describe(check), waits=waits)


def could_not_check(check: Check, reason: str) -> CheckResult:
    """Return the result of a check that could not run."""
    return CheckResult(check, "error", None, describe(check), error=reason)


def could_not_run(reason: str) -> CheckResult:
    """Return the only result of a suite that could not run."""
    check = Check(SUITE_RUNS, SUITE_RUNS, {}, "critical", "Every suite must run.")
    return CheckResult(check, "error", None, "the suite runs", error=reason)


def has_error(validation: Any | None) -> bool:
    """Return whether Great Expectations could not run the check."""
    return validation is None or _error_of(validation.exception_info) is not None


def describe(check: Check) -> str:
    """Return a readable description of a check's expectation."""
    if check.expectation == CUSTOM_SQL:
        return "no rows"
    words = check.expectation.removeprefix("expect_").removeprefix("column_").replace("_", " ")
    given = [
        f"{name} {', '.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in check.parameters.items()
        if not name.startswith("column")
    ]
    return f"{words}: {', '.join(given)}" if given else words


def _error_of(exception_info: dict[str, Any] | None) -> str | None:
    """Return the exception messages of a result, which the library stores for the check or for each metric."""
    info = exception_info or {}
    parts = [info] if "raised_exception" in info else [part for part in info.values() if isinstance(part, dict)]
    messages = [without_rows(str(part.get("exception_message"))) for part in parts if part.get("raised_exception")]
    return "; ".join(dict.fromkeys(messages)) if messages else None


def _observed(check: Check, result: dict[str, Any]) -> str | None:
    if check.expectation == CUSTOM_SQL:
        count = result["observed_value"]
        return f"{CUSTOM_SQL_LIMIT} rows or more" if count >= CUSTOM_SQL_LIMIT else f"{count} rows"
    if "element_count" in result:
        # These are None when no row was read.
        count, percent = result.get("unexpected_count") or 0, result.get("unexpected_percent") or 0.0
        return f"{count} of {result['element_count']} rows ({percent:.3g} %)"
    value = result.get("observed_value")
    if value is None or isinstance(value, Number) or not PERSONAL_COLUMNS.intersection(check.columns):
        return None if value is None else str(value)
    return MASK


def _sample(check: Check, result: dict[str, Any]) -> tuple[Any, ...]:
    rows = result.get("details", {}).get("unexpected_rows") or result.get("partial_unexpected_list") or []
    is_personal = not PERSONAL_COLUMNS.isdisjoint(check.columns)
    distinct = {json.dumps(row, default=str, sort_keys=True): _masked(row, is_personal=is_personal) for row in rows}
    return tuple(distinct.values())[:SAMPLE_SIZE]


def _masked(row: Any, *, is_personal: bool) -> Any:
    """Mask the personal data in one offending value, or in one row given as a dictionary."""
    if isinstance(row, dict):
        return {name: MASK if name in PERSONAL_COLUMNS else value for name, value in row.items()}
    return MASK if is_personal else row
