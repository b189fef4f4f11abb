"""Define suites: the checks of one table or view, as written in its file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, get_args

Severity = Literal["critical", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
# When a check runs: always; on published rows but not on a candidate; only in the nightly sweep.
When = Literal["always", "published", "nightly"]
WHENS: tuple[When, ...] = get_args(When)
# Which rows a run reads: those loaded since the last good check; all rows; the rows of a view's candidate.
Scope = Literal["window", "full", "candidate"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

OWNER = "shopstream"
COLUMN_PARAMETERS = ("column", "column_A", "column_B", "column_list")
QUERY = "unexpected_rows_query"


@dataclass(frozen=True)
class Needs:
    """A query that returns a row when there is enough data for a check; ``otherwise`` says what is missing.

    ``of`` says which data the query looks at. With too few rows in the ``window``, the rows wait, up to a day, and are
    judged together with later ones. With too little ``history`` to compare with, they do not wait.
    """

    query: str
    otherwise: str
    of: Literal["window", "history"] = "history"


@dataclass(frozen=True)
class Check:
    """One expectation: its name in the results, class name, parameters, severity, and reason.

    ``line`` is its line in the file.
    """

    name: str
    expectation: str
    parameters: dict[str, Any]
    severity: Severity
    why: str
    when: When = "always"
    needs: tuple[Needs, ...] = ()
    line: int = 0

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the check reads; empty for a check of the whole table."""
        given = [self.parameters[key] for key in COLUMN_PARAMETERS if key in self.parameters]
        return tuple(str(column) for value in given for column in listed(value))

    @property
    def key(self) -> str:
        """The identity of the check within its suite: its name and columns."""
        return ":".join([self.name, *([",".join(self.columns)] if self.columns else [])])

    def is_for(self, scope: Scope) -> bool:
        """Return whether the check runs in a run of this scope."""
        return self.when == "always" or (self.when == "published" and scope != "candidate") or scope == "full"


@dataclass(frozen=True)
class Window:
    """How a suite limits its runs to new rows.

    ``column`` has the time at which a row was loaded. The first run goes back by ``first``, later runs go back to the
    last good run, but no further than ``longest``.
    """

    column: str
    first: timedelta
    longest: timedelta


@dataclass(frozen=True)
class Suite:
    """The checks of one table or view.

    ``rows`` is an SQL condition for the rows to check, None for all. ``columns`` are the columns and types that the
    table must have, None when the suite declares none. ``is_gate`` says whether its critical failures hold back every
    materialized view. ``path`` is its file.
    """

    name: str
    table: str
    rows: str | None
    checks: tuple[Check, ...]
    path: Path = Path()
    owner: str = OWNER
    window: Window | None = None
    columns: dict[str, str] | None = None
    is_gate: bool = False


def listed(value: Any) -> list[Any]:
    """Return a list as it is, and a single value as a list of one."""
    return list(value) if isinstance(value, (list, tuple)) else [value]
