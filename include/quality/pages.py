"""Write the results of the suites as Data Docs: static, self-contained HTML pages.

There is an index that lists problems first, a page for each suite with its history, and a page for each run. The pages
contain no scripts, load no other resources and link to each other by relative paths, so they work without a network,
from a disk or below any URL path. All values from the data are escaped.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from include.db import load_queries, transaction
from include.quality.results import WORST_FIRST, CheckResult, SuiteOutcome

# Pages of passed runs are many and look alike, so they expire early. Other pages are kept as long as their results.
PASSED_PAGES_KEPT = timedelta(hours=24)
RUNS_LISTED = 100

_SQL = load_queries("quality") | load_queries("suite_runs")
_SCOPES = {"window": "new rows", "full": "all rows", "candidate": "candidate"}


def write_pages(outcomes: Iterable[SuiteOutcome], directory: Path, dsn: str, suites: Collection[str]) -> None:
    """Write the page of each outcome, then rewrite the index and the pages of the suites.

    Parameters
    ----------
    outcomes:
        Outcomes that have been stored.
    directory:
        The directory of the Data Docs; created when it is missing.
    dsn:
        Connection of the role ops.
    suites:
        The names of the existing suites. Runs of other suites are not part of the index.

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
    write_index(directory, dsn, suites)


def write_index(directory: Path, dsn: str, suites: Collection[str]) -> None:
    """Write the index and the page of each of these suites from the stored runs."""
    by_suite: dict[str, list[dict[str, Any]]] = {}
    with transaction(dsn) as cursor:
        for run in _rows(cursor, "newest_runs", limit=RUNS_LISTED):
            if run["suite"] in suites:
                # Oldest first.
                by_suite.setdefault(run["suite"], []).insert(0, run)
        newest = [runs[-1]["quality_run_id"] for runs in by_suite.values()]
        failing = _rows(cursor, "needs_a_look", quality_run_ids=newest)
    pages = [
        {"name": name, "runs": by_suite[name]}
        for name in sorted(by_suite, key=lambda name: (WORST_FIRST.index(by_suite[name][-1]["verdict"]), name))
    ]
    for page in pages:
        _write(directory / f"suites/{page['name']}.html", "suite.html", **page)
    failing.sort(key=_urgency)
    _write(directory / "index.html", "index.html", suites=pages, failing=failing, written_at=datetime.now(UTC))


def expire_pages(directory: Path, dsn: str, *, retention_days: int, now: float | None = None) -> int:
    """Remove pages that have expired or whose results are gone, and return their number.

    Parameters
    ----------
    directory:
        The directory of the Data Docs.
    dsn:
        Connection of the role ops.
    retention_days:
        Days for which results are kept.
    now:
        The time to count from, Unix seconds; the clock unless given.
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
    """Return the sort key of a result: errors first, then failed, not judged and passed, each by severity."""
    group = ("error", "failed", "not_judged", "passed").index(result["status"])
    return group, ("critical", "warning", "info").index(result["severity"])


def _rows(cursor: Any, query: str, **parameters: Any) -> list[dict[str, Any]]:
    cursor.execute(_SQL[query], parameters)
    names = [column.name for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _write(path: Path, template: str, **values: Any) -> None:
    """Write a page atomically, since it may be read at any time."""
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
