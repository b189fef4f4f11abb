"""Data Docs: what the suites found, as pages that need nothing but themselves.

An index with what needs a look first, a page for each suite with its history, and a page for each run. They hold no
script and ask nobody for anything, so they open without a network, from a disk or below whichever path they are served;
links between them are relative. All that comes from the data is escaped.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from include.db import load_queries, transaction
from include.quality.results import CheckResult, SuiteOutcome

# Runs that passed are many and alike; those that did not are kept as long as their results.
PASSED_PAGES_KEPT = timedelta(hours=24)
RUNS_LISTED = 100

_SQL = load_queries("quality")
_SCOPES = {"window": "what is new", "full": "all rows", "candidate": "candidate"}


def write_pages(outcomes: Iterable[SuiteOutcome], directory: Path, dsn: str) -> None:
    """Write the page of each outcome, then the index and the suites' pages anew.

    Parameters
    ----------
    outcomes:
        Stored ones.
    directory:
        Where the Data Docs are; made when it is missing.
    dsn:
        Connection of the role ops.

    Raises
    ------
    OSError
        When a page cannot be written.
    """
    for outcome in outcomes:
        path = f"runs/{outcome.suite.name}/{outcome.quality_run_id}.html"
        results = sorted((_shown(one) for one in outcome.results), key=_urgency)
        _write(directory / path, "run.html", run=outcome, suite=outcome.suite, results=results)
        with transaction(dsn) as cursor:
            cursor.execute(_SQL["record_page"], {"quality_run_id": outcome.quality_run_id, "docs_path": path})
    write_index(directory, dsn)


def write_index(directory: Path, dsn: str) -> None:
    """Write the index and the page of each suite from what is stored."""
    with transaction(dsn) as cursor:
        runs = _rows(cursor, "recent_runs", listed=RUNS_LISTED)
        failing = _rows(cursor, "needs_a_look")
    by_suite: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        by_suite.setdefault(run["suite"], []).append(run)
    worst = {"broken": 0, "failed": 1, "warned": 2, "passed": 3}
    suites = [
        {"name": name, "runs": by_suite[name]}
        for name in sorted(by_suite, key=lambda name: (worst[by_suite[name][-1]["verdict"]], name))
    ]
    for suite in suites:
        _write(directory / f"suites/{suite['name']}.html", "suite.html", **suite)
    failing.sort(key=_urgency)
    _write(directory / "index.html", "index.html", suites=suites, failing=failing, written_at=datetime.now(UTC))


def expire_pages(directory: Path, dsn: str, *, retention_days: int, now: float | None = None) -> int:
    """Remove pages past their age, and those whose results are gone; returns how many.

    Parameters
    ----------
    directory:
        Where the Data Docs are.
    dsn:
        Connection of the role ops.
    retention_days:
        How long the results are kept.
    now:
        The moment to count from, Unix seconds; default the clock.
    """
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["expire_pages"], {"passed_kept": PASSED_PAGES_KEPT})
        expired = {directory / path for (path,) in cursor.fetchall()}
    before = (time.time() if now is None else now) - retention_days * 86_400.0
    expired |= {path for path in directory.glob("*/**/*.html") if path.stat().st_mtime < before}
    for path in expired:
        path.unlink(missing_ok=True)
    for path in directory.glob("runs/*"):
        with contextlib.suppress(OSError):
            path.rmdir()
    return len(expired)


def _shown(result: CheckResult) -> dict[str, Any]:
    return {**result.row(), "why": result.check.why}


def _urgency(result: dict[str, Any]) -> tuple[int, int]:
    """What could not be checked first, then what failed, by severity, then what was not judged, then the rest."""
    group = 0 if result["error"] else 1 if not result["is_success"] else 2 if not result["is_judged"] else 3
    return group, ("critical", "warning", "info").index(result["severity"])


def _rows(cursor: Any, query: str, **parameters: Any) -> list[dict[str, Any]]:
    cursor.execute(_SQL[query], parameters)
    names = [column.name for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _write(path: Path, template: str, **values: Any) -> None:
    """Whole or not at all: readers come at any time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(_templates().get_template(template).render(**values), encoding="utf-8")
    partial.replace(path)


@lru_cache(maxsize=1)
def _templates() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    templates.filters["moment"] = lambda moment: moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    templates.filters["scope"] = lambda scope: _SCOPES[scope]
    return templates
