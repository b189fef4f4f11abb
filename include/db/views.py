"""Read the materialized views of ``include/sql/views`` from their files, and create them.

Each file defines one view and is named after it. Its first line lists the tables and other views of the schema ``shop``
that the view reads; views are created and refreshed in the resulting order. Then comes its statement, which ends with a
semicolon at the end of a line, and then its comments, its unique index and its grants::

    -- depends on: agg_day
    -- changes by: day
    CREATE TABLE shop.mart_example AS
    SELECT ...;

The second line is only for a view whose rows of a day or hour depend on nothing but the rows of the same day in its
sources: a refresh then recomputes only the days that changed (``include.db.changes``). A view without this line is
recomputed as a whole.

The files are applied with the owner's privileges and must qualify every name with its schema. A view consists of three
relations: its query (``shop_next.mart_example_query``), the candidate rows to be published next
(``shop_next.mart_example``), and the published table, a copy of those (``shop.mart_example``). ``include.db.refresh``
moves rows from one to the next.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from psycopg2 import sql

from include.db.connect import one_row, transaction
from include.db.queries import SQL_DIR, load_queries
from include.errors import MigrationError

VIEWS_DIR = SQL_DIR / "views"
# The tables for which triggers record the days that change.
RECORDED_BY_DAY = frozenset({"agg_day", "agg_hour", "fact_days", "fact_funnel"})

_HEADER = re.compile(r"\A-- depends on: (\w+(?:, \w+)*)$", re.MULTILINE)
_NAME = re.compile(r"^mart_[a-z0-9_]+$")
_CHANGES_BY = re.compile(r"\A.*\n-- changes by: (day|hour)$", re.MULTILINE)
_STATEMENT = re.compile(r"^CREATE TABLE shop\.(\w+) AS\s(.*?);[ \t]*$(.*)\Z", re.MULTILINE | re.DOTALL)
# The value is arbitrary, but all processes that apply views must use the same one.
_ADVISORY_LOCK = 5_340_002
_SQL = load_queries("views")


@dataclass(frozen=True)
class View:
    """One file: the view's name, its sources in schema ``shop``, its query, the rest of the file, and its SHA-256.

    ``changes_by`` is the column ``day`` or ``hour`` when a refresh may recompute single days, None when it may not.
    """

    name: str
    sources: frozenset[str]
    query: str
    attributes: str
    checksum: str
    changes_by: str | None = None


def read_views(directory: Path = VIEWS_DIR) -> list[View]:
    """Read the views of a directory, each after the views that it reads.

    Raises
    ------
    MigrationError
        When a file has a wrong name, has no header, or names a view that has no file, or when views depend on each
        other in a circle.
    """
    views = {path.stem: _read(path) for path in sorted(directory.glob("*.sql"))}
    for view in views.values():
        for unknown in sorted(source for source in view.sources if _NAME.match(source) and source not in views):
            raise MigrationError(f"{view.name}.sql:1 depends on {unknown}, which has no file", suggest(unknown, views))
    try:
        order = list(TopologicalSorter({name: sorted(view.sources) for name, view in views.items()}).static_order())
    except CycleError as error:
        raise MigrationError(
            f"views read each other in a circle: {' -> '.join(error.args[1])}", "Remove one of these dependencies"
        ) from error
    return [views[name] for name in order if name in views]


def _read(path: Path) -> View:
    if not _NAME.match(path.stem):
        raise MigrationError(f"{path.name} is not named mart_<something>.sql", "Name the file after its view")
    content = path.read_bytes()
    text = content.decode("utf-8")
    header = _HEADER.search(text)
    if not header:
        raise MigrationError(f"{path.name}:1 does not say what the view reads", "Begin it with -- depends on: <tables>")
    statement = _STATEMENT.search(text)
    if not statement or statement[1] != path.stem:
        raise MigrationError(
            f"{path.name} does not create shop.{path.stem}",
            f"Name the file after its view; write CREATE TABLE shop.{path.stem} AS at the start of a line, "
            "then its query, with a semicolon at the end of a line",
        )
    sources = frozenset(header[1].split(", "))
    by_day = _CHANGES_BY.search(text)
    if by_day and (unrecorded := sources - RECORDED_BY_DAY):
        raise MigrationError(
            f"{path.name}:2 says that the view changes by {by_day[1]}, but the changes of "
            f"{', '.join(sorted(unrecorded))} are not recorded by day",
            "Remove the line: the view is then recomputed as a whole",
        )
    checksum = hashlib.sha256(content).hexdigest()
    return View(path.stem, sources, statement[2], statement[3], checksum, by_day[1] if by_day else None)


def view_names(directory: Path = VIEWS_DIR) -> tuple[str, ...]:
    """Return the names of all views, each after those that it reads."""
    return tuple(view.name for view in read_views(directory))


def apply_views(owner_dsn: str, directory: Path = VIEWS_DIR) -> list[str]:
    """Create the views that are missing or whose file changed, with their dependents; drop those without a file.

    This happens in one transaction that also fills the views, so readers wait for the new view and never find none or
    an empty one. These first rows are published without a check, because no earlier rows in the new form exist to keep.

    Returns
    -------
    list of str
        The names of the views created by this call.

    Raises
    ------
    MigrationError
        When a file does not create the view that it is named after, or its header differs from what the view reads.
    """
    views = read_views(directory)
    with transaction(owner_dsn) as cursor:
        cursor.execute(_SQL["lock"], {"key": _ADVISORY_LOCK})
        cursor.execute(_SQL["applied"])
        made = {name: checksum if exists else "" for name, checksum, exists in cursor.fetchall()}
        outdated = _outdated(views, made)
        removed = sorted(set(made) - {view.name for view in views})
        _drop(cursor, [*removed, *(view.name for view in outdated)])
        cursor.execute(_SQL["forget"], {"names": removed})
        for view in outdated:
            _make(cursor, view)
        _check_sources(cursor, outdated)
    return [view.name for view in outdated]


def _drop(cursor: Any, names: list[str]) -> None:
    if names:
        cursor.execute(
            sql.SQL(_SQL["drop"]).format(
                queries=_listed("shop_next", (f"{name}_query" for name in names)),
                published=_listed("shop", names),
                candidates=_listed("shop_next", names),
            )
        )


def _make(cursor: Any, view: View) -> None:
    cursor.execute(_SQL["before"], {"sources": sorted(view.sources)})
    started_at, change_id = one_row(cursor)
    cursor.execute(
        sql.SQL(_SQL["make"]).format(
            query=sql.Identifier("shop_next", f"{view.name}_query"),
            candidate=sql.Identifier("shop_next", view.name),
            published=sql.Identifier("shop", view.name),
            select=sql.SQL(view.query),
            attributes=sql.SQL(view.attributes),
        )
    )
    if view.changes_by:
        cursor.execute(
            sql.SQL(_SQL["index_candidate"]).format(
                candidate=sql.Identifier("shop_next", view.name), changes_by=sql.Identifier(view.changes_by)
            )
        )
    cursor.execute(_SQL["record"], {"name": view.name, "checksum": view.checksum})
    cursor.execute(
        sql.SQL(_SQL["record_made"]).format(published=sql.Identifier("shop", view.name)),
        {"view_name": view.name, "started_at": started_at, "change_id": change_id},
    )


def _listed(schema: str, names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(schema, name) for name in names)


def _outdated(views: Iterable[View], made: dict[str, str]) -> list[View]:
    """Return the views to create, in order: missing, changed, or reading one of these."""
    outdated: list[View] = []
    for view in views:
        if made.get(view.name) != view.checksum or view.sources & {earlier.name for earlier in outdated}:
            outdated.append(view)
    return outdated


def _check_sources(cursor: Any, views: list[View]) -> None:
    """Compare the headers with the dependencies that PostgreSQL knows, since a wrong header gives a wrong order."""
    cursor.execute(_SQL["dependencies"], {"names": [view.name for view in views]})
    actual: dict[str, set[str]] = {}
    for view_name, source in cursor:
        actual.setdefault(view_name, set()).add(source)
    for view in views:
        sources = actual.get(view.name, set())
        if sources != view.sources:
            raise MigrationError(
                f"{view.name}.sql says that it depends on {', '.join(sorted(view.sources))}",
                f"Make its first line: -- depends on: {', '.join(sorted(sources))}",
            )


def suggest(name: str, names: Iterable[str]) -> str:
    """Return the end of a message about an unknown view: the nearest name, or all of them."""
    near = difflib.get_close_matches(name, names, n=1)
    return f"Perhaps {near[0]} is meant" if near else f"The known views are {', '.join(names)}"
