"""What came out of a suite: one result a check, as rows for ``shop.quality_results`` and as text for people.

Analysts read the results, so nothing of a customer may stand in them: samples and observed values of personal columns
are masked.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from numbers import Number
from typing import Any, Literal

from include.contract import COLUMNS
from include.quality.catalog import CUSTOM_SQL, CUSTOM_SQL_LIMIT
from include.quality.model import Check, Scope, Suite

# The raw row of a reject holds every field of the customer.
PERSONAL_COLUMNS = frozenset({column.name for column in COLUMNS if column.is_personal} | {"raw"})
MASK = "(personal)"
SAMPLE_SIZE = 5

# Stands for the suite itself when nothing of it could be checked, for example because its table is missing.
SUITE_RUNS = "suite_runs"

Verdict = Literal["passed", "warned", "failed", "broken"]


@dataclass(frozen=True)
class CheckResult:
    """The result of one check.

    ``observed`` and ``expected`` are for people; ``sample`` holds up to SAMPLE_SIZE offending values or rows; ``error``
    says why the check could not be made, which is a failure. With too little to compare with it is not judged, and
    ``observed`` says what is missing. ``duration_ms`` is None for checks that share their queries.
    """

    check: Check
    is_success: bool
    observed: str | None
    expected: str
    sample: tuple[Any, ...] = ()
    error: str | None = None
    is_judged: bool = True
    duration_ms: float | None = None

    def __str__(self) -> str:
        columns = f" ({', '.join(self.check.columns)})" if self.check.columns else ""
        seen = self.error or f"{self.observed}; expected: {self.expected}"
        sample = f"; for example {json.dumps(self.sample, default=str)}" if self.sample else ""
        return f"{self.check.name}{columns}: {seen}{sample}"

    def row(self) -> dict[str, Any]:
        """Its columns in ``shop.quality_results``, but for those of the whole run."""
        return {
            "check_name": self.check.name,
            "column_name": ", ".join(self.check.columns) or None,
            "severity": self.check.severity,
            "is_success": self.is_success,
            "is_judged": self.is_judged,
            "observed": self.observed,
            "expected": self.expected,
            "sample": json.dumps(self.sample, default=str) if self.sample else None,
            "error": self.error,
            "duration_ms": self.duration_ms,
        }


@dataclass(frozen=True)
class SuiteOutcome:
    """The results of one run of a suite, and the seconds that it took.

    ``window`` is what it looked at, by the column of the suite's window: from None in a full sweep; None altogether for
    a suite without a window. ``is_behind`` says whether more is new than that. ``error`` says why the suite could not
    be read or run at all; ``quality_run_id`` is its number once it is stored.
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
        """``broken`` when a check could not be made, whatever its severity: what was not looked at cannot be good."""
        if any(one.error for one in self.results):
            return "broken"
        if self.critical_failures:
            return "failed"
        return "warned" if self.warnings else "passed"

    @property
    def critical_failures(self) -> tuple[CheckResult, ...]:
        """What must not be: failed or impossible checks of severity critical."""
        return self._failed("critical")

    @property
    def warnings(self) -> tuple[CheckResult, ...]:
        """What someone should look at: failed or impossible checks of severity warning."""
        return self._failed("warning")

    @property
    def blockers(self) -> tuple[CheckResult, ...]:
        """What fails a task: critical failures, and checks that could not be made."""
        return tuple(one for one in self.results if one in self.critical_failures or one.error)

    @property
    def not_judged(self) -> tuple[CheckResult, ...]:
        """Checks for which there was too little to compare with."""
        return tuple(one for one in self.results if not one.is_judged)

    def _failed(self, severity: str) -> tuple[CheckResult, ...]:
        return tuple(one for one in self.results if not one.is_success and one.check.severity == severity)

    def summary(self) -> str:
        """A headline, and a line for each check that failed or was not judged: name, columns, observed, expected."""
        not_judged = f", {len(self.not_judged)} not judged" if self.not_judged else ""
        seen = f"; of what came until {self.window[1]:%Y-%m-%d %H:%M:%S} UTC" if self.is_behind and self.window else ""
        headline = (
            f"{self.suite.name} ({self.suite.table}): {len(self.results)} checks in {self.seconds:.1f} s, "
            f"{len(self.critical_failures)} critical failures, {len(self.warnings)} warnings{not_judged}{seen}"
        )
        failed = [*self.critical_failures, *self.warnings, *self._failed("info")]
        lines = [f"  {one.check.severity:<8}  {one}" for one in failed]
        lines += [f"  {one.check.severity:<8}  {one.check.name}: {one.observed}" for one in self.not_judged]
        return "\n".join([headline, *lines])


def interpret(check: Check, validation: Any | None, *, row_count: int, duration_ms: float | None = None) -> CheckResult:
    """Read Great Expectations' result of one check; that it returned none is an error too.

    ``row_count`` is what to say of a check that looked at every row and has no numbers with its success.
    """
    expected = describe(check)
    if validation is None:
        return CheckResult(check, False, None, expected, error="Great Expectations returned no result")
    error = _error_of(validation.exception_info)
    if error is not None:
        return CheckResult(check, False, None, expected, error=error, duration_ms=duration_ms)
    result = validation.result or {"element_count": row_count}
    return CheckResult(
        check,
        bool(validation.success),
        _observed(check, result),
        expected,
        _sample(check, result),
        duration_ms=duration_ms,
    )


def not_judged(check: Check, missing: str) -> CheckResult:
    """The result of a check that has too little to compare with."""
    return CheckResult(check, True, f"not judged: {missing}", describe(check), is_judged=False)


def could_not_check(check: Check, reason: str) -> CheckResult:
    """The result of a check that could not be made."""
    return CheckResult(check, False, None, describe(check), error=reason)


def could_not_run(reason: str) -> CheckResult:
    """The only result of a suite of which nothing could be checked."""
    check = Check(SUITE_RUNS, SUITE_RUNS, {}, "critical", "Every suite runs.")
    return CheckResult(check, False, None, "the suite runs", error=reason)


def has_error(validation: Any | None) -> bool:
    """Whether Great Expectations could not make the check."""
    return validation is None or _error_of(validation.exception_info) is not None


def describe(check: Check) -> str:
    """What a check expects, in words."""
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
    """The messages of an exception; its place differs: one for the check, or one for each metric."""
    info = exception_info or {}
    parts = [info] if "raised_exception" in info else [part for part in info.values() if isinstance(part, dict)]
    messages = [str(part.get("exception_message")).strip() for part in parts if part.get("raised_exception")]
    return "; ".join(dict.fromkeys(messages)) if messages else None


def _observed(check: Check, result: dict[str, Any]) -> str | None:
    if check.expectation == CUSTOM_SQL:
        count = result["observed_value"]
        return f"{CUSTOM_SQL_LIMIT} rows or more" if count >= CUSTOM_SQL_LIMIT else f"{count} rows"
    if "element_count" in result:
        # All are None when no row was looked at.
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
    """One offending value, or one row as a dictionary, without what describes a customer."""
    if isinstance(row, dict):
        return {name: MASK if name in PERSONAL_COLUMNS else value for name, value in row.items()}
    return MASK if is_personal else row
