"""The materialized views of ``include/sql/views``: made from their files, refreshed while they are read.

One file holds one view with its comment, unique index and grants, and is named after it. Its first line says what the
view reads, tables and other views of the schema ``shop``; the views are made and refreshed in that order::

    -- depends on: events, rollup_minute

The statement is applied with the owner's rights and must name everything with its schema.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql

from include.db.connect import limit_time, one_row, transaction
from include.db.facts import advance_facts
from include.db.queries import SQL_DIR, load_queries
from include.errors import MigrationError, ShopstreamError

VIEWS_DIR = SQL_DIR / "views"

_HEADER = re.compile(r"\A-- depends on: (\w+(?:, \w+)*)$", re.MULTILINE)
_NAME = re.compile(r"^mart_[a-z0-9_]+$")
# Any constant serves: two processes that apply views must only agree on it.
_ADVISORY_LOCK = 5_340_002
_SQL = load_queries("views")


class RefreshError(ShopstreamError):
    """A materialized view could not be refreshed; its rows are as they were."""


@dataclass(frozen=True)
class View:
    """One file: the view's name, what it reads in schema ``shop``, its text and SHA-256."""

    name: str
    sources: frozenset[str]
    sql: str
    checksum: str


@dataclass(frozen=True)
class Refresh:
    """A refresh that succeeded: the rows that the view has now, and the seconds that it took."""

    view_name: str
    row_count: int
    seconds: float


@dataclass(frozen=True)
class StaleView:
    """A view that is out of date.

    ``age_seconds`` is the time since its last successful refresh, None when there is none on record;
    ``missing_batches`` is the number of committed batches that it does not contain.
    """

    view_name: str
    age_seconds: float | None
    missing_batches: int

    def __str__(self) -> str:
        age = "never refreshed" if self.age_seconds is None else f"refreshed {self.age_seconds:.0f} s ago"
        return f"{self.view_name}: {age}, {self.missing_batches} batches behind"


def read_views(directory: Path = VIEWS_DIR) -> list[View]:
    """Read the views of a directory, each after those that it reads.

    Raises
    ------
    MigrationError
        When a file is named wrongly, lacks its header or names a view that has no file, or when views read each
        other in a circle.
    """
    views = {path.stem: _read(path) for path in sorted(directory.glob("*.sql"))}
    for view in views.values():
        for unknown in sorted(source for source in view.sources if _NAME.match(source) and source not in views):
            raise MigrationError(f"{view.name}.sql:1 depends on {unknown}, which has no file", _suggest(unknown, views))
    try:
        order = list(TopologicalSorter({name: sorted(view.sources) for name, view in views.items()}).static_order())
    except CycleError as error:
        raise MigrationError(
            f"views read each other in a circle: {' -> '.join(error.args[1])}", "Take one of these dependencies out"
        ) from error
    return [views[name] for name in order if name in views]


def _read(path: Path) -> View:
    if not _NAME.match(path.stem):
        raise MigrationError(f"{path.name} is not named mart_<something>.sql", "Name the file after its view")
    text = path.read_bytes()
    header = _HEADER.search(text.decode("utf-8"))
    if not header:
        raise MigrationError(f"{path.name}:1 does not say what the view reads", "Begin it with -- depends on: <tables>")
    return View(path.stem, frozenset(header[1].split(", ")), text.decode("utf-8"), hashlib.sha256(text).hexdigest())


def view_names(directory: Path = VIEWS_DIR) -> tuple[str, ...]:
    """The names of all views, each after those that it reads."""
    return tuple(view.name for view in read_views(directory))


def apply_views(owner_dsn: str, directory: Path = VIEWS_DIR) -> list[str]:
    """Make the views that are missing or whose file changed, with those that read them; drop those without a file.

    All in one transaction, and with their rows: readers wait for the new view, they never find none or an empty one.

    Returns
    -------
    list of str
        The names of the views that were made now.

    Raises
    ------
    MigrationError
        When a file does not make the view that it is named after, or its header is not what the view reads.
    """
    views = read_views(directory)
    with transaction(owner_dsn) as cursor:
        cursor.execute(_SQL["lock"], {"key": _ADVISORY_LOCK})
        cursor.execute(_SQL["applied"])
        made = {name: checksum if exists else "" for name, checksum, exists in cursor.fetchall()}
        outdated = _outdated(views, made)
        removed = sorted(set(made) - {view.name for view in views})
        dropped = [*removed, *(view.name for view in outdated)]
        if dropped:
            cursor.execute(_compose("drop", *dropped))
            cursor.execute(_SQL["forget"], {"names": removed})
        made_now = []
        for view in outdated:
            made_now.append(_before_refresh(cursor, view.name))
            cursor.execute(view.sql)
            cursor.execute(_SQL["record"], {"name": view.name, "checksum": view.checksum})
        _check_sources(cursor, outdated)
        for before in made_now:
            # A view is made with its rows, and so is as fresh as after a refresh.
            _record_refresh(cursor, before)
    return [view.name for view in outdated]


def _outdated(views: Iterable[View], made: dict[str, str]) -> list[View]:
    """The views to make, in order: missing, changed, or reading one of these."""
    outdated: list[View] = []
    for view in views:
        if made.get(view.name) != view.checksum or view.sources & {earlier.name for earlier in outdated}:
            outdated.append(view)
    return outdated


def _check_sources(cursor: Any, views: list[View]) -> None:
    """Compare the headers with what PostgreSQL says that the views read: a wrong header is a wrong order."""
    cursor.execute(_SQL["dependencies"], {"names": [view.name for view in views]})
    actual: dict[str, set[str]] = {}
    for view_name, source in cursor:
        actual.setdefault(view_name, set()).add(source)
    for view in views:
        sources = actual.get(view.name)
        if sources is None:
            raise MigrationError(f"{view.name}.sql does not make shop.{view.name}", "Name the file after its view")
        if sources != view.sources:
            raise MigrationError(
                f"{view.name}.sql says that it depends on {', '.join(sorted(view.sources))}",
                f"Make its first line: -- depends on: {', '.join(sorted(sources))}",
            )


def refresh_view(ops_dsn: str, name: str, *, timeout_seconds: float = 0) -> Refresh:
    """Bring one view up to date without keeping readers waiting, and record it in ``shop.refreshes``.

    Parameters
    ----------
    ops_dsn:
        A connection as role ops.
    name:
        One of ``view_names()``.
    timeout_seconds:
        The longest that a statement may take, seconds; 0 sets no limit.

    Raises
    ------
    RefreshError
        When it fails; the failure has been recorded, the driver's error is the cause.
    """
    if name not in view_names():
        raise RefreshError(f"there is no view {name!r}", _suggest(name, view_names()))
    with transaction(ops_dsn) as cursor:
        before = _before_refresh(cursor, name)
    try:
        advance_facts(ops_dsn, timeout_seconds=timeout_seconds)
        with transaction(ops_dsn) as cursor:
            limit_time(cursor, timeout_seconds)
            start = time.monotonic()
            cursor.execute(_compose("refresh" if before["is_populated"] else "populate", name))
            seconds = time.monotonic() - start
            row_count = _record_refresh(cursor, before)
    except psycopg2.Error as error:
        message = str(error).strip()
        with transaction(ops_dsn) as cursor:
            cursor.execute(_SQL["record_refresh"], {**before, "row_count": None, "error": message})
        raise RefreshError(
            f"shop.{name} could not be refreshed: {message}",
            "Its rows are as they were. `make up` makes a view that is missing; after a timeout, allow more time",
        ) from error
    return Refresh(name, row_count, seconds)


def _before_refresh(cursor: Any, name: str) -> dict[str, Any]:
    """What the record of a refresh says of its beginning."""
    cursor.execute(_SQL["before_refresh"], {"view": f"shop.{name}"})
    started_at, last_batch_id, is_populated = one_row(cursor)
    return {
        "view_name": name,
        "started_at": started_at,
        "last_batch_id": last_batch_id,
        "is_populated": is_populated,
    }


def _record_refresh(cursor: Any, before: dict[str, Any]) -> int:
    """Record a refresh that succeeded, in its transaction; returns the number of rows."""
    cursor.execute(_compose("count", before["view_name"]))
    row_count = int(one_row(cursor)[0])
    cursor.execute(_SQL["record_refresh"], {**before, "row_count": row_count, "error": None})
    return row_count


def stale_views(dsn: str, *, max_age_seconds: float) -> list[StaleView]:
    """The views that were not refreshed for ``max_age_seconds``, or lack a batch that was committed that long ago.

    Under a running stream every view lacks the batches of the last seconds; that alone does not make it stale.
    """
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["stale"], {"names": list(view_names()), "max_age_seconds": max_age_seconds})
        return [StaleView(*row) for row in cursor]


def _compose(statement: str, *views: str) -> sql.Composed:
    return sql.SQL(_SQL[statement]).format(views=sql.SQL(", ").join(sql.Identifier("shop", view) for view in views))


def _suggest(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return f"Perhaps {near[0]} is meant" if near else f"Known are {', '.join(names)}"
