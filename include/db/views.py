"""The materialized views of ``include/sql/views``: read from their files, and made.

One file holds one view and is named after it. Its first line says what the view reads, tables and other views of the
schema ``shop``; the views are made and refreshed in that order. Then comes its statement, which ends with a semicolon
at the end of a line, and then its comments, its unique index and its grants::

    -- depends on: events, rollup_minute
    CREATE MATERIALIZED VIEW shop.mart_example AS
    SELECT ...;

All is applied with the owner's rights and must name everything with its schema. A view is made as three relations: its
query (``shop_next.mart_example_query``), the rows to be published next (``shop_next.mart_example``), and what people
read, which is a copy of those (``shop.mart_example``). ``include.db.refresh`` brings rows from one to the next.
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

_HEADER = re.compile(r"\A-- depends on: (\w+(?:, \w+)*)$", re.MULTILINE)
_NAME = re.compile(r"^mart_[a-z0-9_]+$")
_STATEMENT = re.compile(r"^CREATE MATERIALIZED VIEW shop\.(\w+) AS\s(.*?);[ \t]*$(.*)\Z", re.MULTILINE | re.DOTALL)
# Any constant serves: two processes that apply views must only agree on it.
_ADVISORY_LOCK = 5_340_002
_SQL = load_queries("views")


@dataclass(frozen=True)
class View:
    """One file: the view's name, what it reads in schema ``shop``, its query, what comes after it, and its SHA-256."""

    name: str
    sources: frozenset[str]
    query: str
    attributes: str
    checksum: str


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
            raise MigrationError(f"{view.name}.sql:1 depends on {unknown}, which has no file", suggest(unknown, views))
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
    content = path.read_bytes()
    text = content.decode("utf-8")
    header = _HEADER.search(text)
    if not header:
        raise MigrationError(f"{path.name}:1 does not say what the view reads", "Begin it with -- depends on: <tables>")
    statement = _STATEMENT.search(text)
    if not statement or statement[1] != path.stem:
        raise MigrationError(
            f"{path.name} does not make shop.{path.stem}",
            f"Name the file after its view; write CREATE MATERIALIZED VIEW shop.{path.stem} AS at the start of a line, "
            "then its query, with a semicolon at the end of a line",
        )
    sources = frozenset(header[1].split(", "))
    return View(path.stem, sources, statement[2], statement[3], hashlib.sha256(content).hexdigest())


def view_names(directory: Path = VIEWS_DIR) -> tuple[str, ...]:
    """The names of all views, each after those that it reads."""
    return tuple(view.name for view in read_views(directory))


def apply_views(owner_dsn: str, directory: Path = VIEWS_DIR) -> list[str]:
    """Make the views that are missing or whose file changed, with those that read them; drop those without a file.

    All in one transaction, and with their rows: readers wait for the new view, they never find none or an empty one.
    These first rows are published without a check, for there are no earlier ones of the new form to keep.

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
    cursor.execute(_SQL["clock"])
    (started_at,) = one_row(cursor)
    cursor.execute(
        sql.SQL(_SQL["make"]).format(
            query=sql.Identifier("shop_next", f"{view.name}_query"),
            candidate=sql.Identifier("shop_next", view.name),
            published=sql.Identifier("shop", view.name),
            select=sql.SQL(view.query),
            attributes=sql.SQL(view.attributes),
        )
    )
    cursor.execute(_SQL["record"], {"name": view.name, "checksum": view.checksum})
    cursor.execute(
        sql.SQL(_SQL["record_made"]).format(published=sql.Identifier("shop", view.name)),
        {"view_name": view.name, "started_at": started_at},
    )


def _listed(schema: str, names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(schema, name) for name in names)


def _outdated(views: Iterable[View], made: dict[str, str]) -> list[View]:
    """The views to make, in order: missing, changed, or reading one of these."""
    outdated: list[View] = []
    for view in views:
        if made.get(view.name) != view.checksum or view.sources & {earlier.name for earlier in outdated}:
            outdated.append(view)
    return outdated


def _check_sources(cursor: Any, views: list[View]) -> None:
    """Compare the headers with what PostgreSQL says that the queries read: a wrong header is a wrong order."""
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
    """The end of a message about an unknown view: the nearest name, or all of them."""
    near = difflib.get_close_matches(name, names, n=1)
    return f"Perhaps {near[0]} is meant" if near else f"Known are {', '.join(names)}"
