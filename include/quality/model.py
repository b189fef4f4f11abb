"""What a suite is: the checks of one table or view, as its file says them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, get_args

Severity = Literal["critical", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
# When a check is made: always; of what people read, not of a candidate; in the nightly sweep only.
When = Literal["always", "published", "nightly"]
WHENS: tuple[When, ...] = get_args(When)
# What is looked at: what was loaded since the last good check; all rows; rows of a view that are not published yet.
Scope = Literal["window", "full", "candidate"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

OWNER = "shopstream"
COLUMN_PARAMETERS = ("column", "column_A", "column_B", "column_list")
QUERY = "unexpected_rows_query"


@dataclass(frozen=True)
class Needs:
    """A query that returns a row when there is enough to compare with, and what is missing ``otherwise``."""

    query: str
    otherwise: str


@dataclass(frozen=True)
class Check:
    """One expectation: its name in the results, class name, parameters, severity, and why it must hold.

    ``line`` is where it stands in its file.
    """

    name: str
    expectation: str
    parameters: dict[str, Any]
    severity: Severity
    why: str
    when: When = "always"
    needs: Needs | None = None
    line: int = 0

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it looks at; none for a check of the whole table."""
        return tuple(
            column for key in COLUMN_PARAMETERS if key in self.parameters for column in listed(self.parameters[key])
        )

    @property
    def key(self) -> str:
        """What tells it from the other checks of its suite."""
        return ":".join([self.name, *([",".join(self.columns)] if self.columns else [])])

    def is_for(self, scope: Scope) -> bool:
        """Whether it is made when so much is looked at."""
        return self.when == "always" or (self.when == "published" and scope != "candidate") or scope == "full"


@dataclass(frozen=True)
class Window:
    """How a suite keeps to what is new.

    ``column`` says when a row was loaded; the first check looks back for ``first``, later ones to the last good one,
    but no further than ``longest``.
    """

    column: str
    first: timedelta
    longest: timedelta


@dataclass(frozen=True)
class Suite:
    """The checks of one table or view.

    ``rows`` is an SQL condition for the rows that are checked, None for all of them. ``columns`` are the columns and
    types that the table must have, None when the suite does not say. ``is_gate`` says whether its critical failures
    hold back every materialized view. ``path`` is its file.
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
    """A value that may be one or several, as several."""
    return list(value) if isinstance(value, (list, tuple)) else [value]
