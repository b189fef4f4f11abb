"""Find the suites that must pass before views are published; a view without a suite is held back.

A suite that is missing, renamed, mistyped or unreadable becomes a draft with faults. Running this draft gives a broken
outcome, which holds back the views that the suite should have checked and raises its own alert.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from pathlib import Path

from include.db.views import view_names
from include.errors import SuiteError
from include.quality.model import Suite
from include.quality.suites import SUITES_DIR, Draft, read_drafts

# The suites that must be gates, with their tables. Every view is computed from these tables.
GATES = {"events": "shop.events", "rollup_minute": "shop.rollup_minute"}
_GATE_KEY = "holds_publication"


def required_drafts(directory: Path, views: Iterable[str]) -> tuple[list[Draft], dict[str, list[Draft]]]:
    """Return the gates, which must pass before anything is published, and the suites of each view.

    Parameters
    ----------
    directory:
        The directory of the suites.
    views:
        Names of materialized views.

    Returns
    -------
    tuple
        The gates, and for each view at least one draft.
    """
    try:
        drafts = read_drafts(directory)
    except SuiteError:
        # The directory has no suites, so all required ones are missing.
        drafts = []
    named = {draft.name: draft for draft in drafts}
    by_view = {view: _of_view(view, drafts, directory) for view in views}
    gates = [_as_gate(name, table, named.get(name), drafts, directory) for name, table in GATES.items()]
    gates += [draft for draft in drafts if draft.name not in GATES and _may_be_gate(draft, by_view)]
    return gates, by_view


def known_suites(directory: Path = SUITES_DIR) -> frozenset[str]:
    """Return the names of all suites in the directory, valid or not, and of those that are required."""
    written = {path.stem for path in directory.glob("*") if path.suffix.lower() in (".yml", ".yaml")}
    return frozenset({*written, *GATES, *view_names()})


def _may_be_gate(draft: Draft, views: Collection[str]) -> bool:
    """Return whether a suite is a gate, or was perhaps meant to be one."""
    if draft.suite is None:
        return draft.name not in views
    return draft.suite.is_gate or any(_GATE_KEY in fault for fault in draft.faults)


def _as_gate(name: str, table: str, draft: Draft | None, drafts: list[Draft], directory: Path) -> Draft:
    if draft is None:
        return _missing(name, table, drafts, directory)
    if draft.faults or draft.suite is None:
        return draft
    if draft.suite.table != table:
        fault = (
            f"{draft.suite.path}: table is {draft.suite.table}; nothing is published unless this suite checks {table}"
        )
        return Draft(name, draft.suite, (fault,))
    if not draft.suite.is_gate:
        fault = f"{draft.suite.path}: `{_GATE_KEY}: true` is missing; nothing is published without this gate"
        return Draft(name, draft.suite, (fault,))
    return draft


def _of_view(view: str, drafts: list[Draft], directory: Path) -> list[Draft]:
    """Return the suites of a view; a draft about the missing suite when there is none."""
    table = f"shop.{view}"
    found = [
        draft
        for draft in drafts
        if (draft.suite is not None and draft.suite.table == table) or (draft.name == view and draft.faults)
    ]
    if not found:
        return [_missing(view, table, drafts, directory)]
    return found if any(map(_looks_before_publication, found)) else [_idle(draft) for draft in found]


def _looks_before_publication(draft: Draft) -> bool:
    return bool(draft.faults) or (
        draft.suite is not None and any(one.is_for("candidate") for one in draft.suite.checks)
    )


def _idle(draft: Draft) -> Draft:
    assert draft.suite is not None
    fault = f"{draft.suite.path}: none of its checks runs before publication; at least one must have no `when:`"
    return Draft(draft.name, draft.suite, (fault,))


def _missing(name: str, table: str, drafts: list[Draft], directory: Path) -> Draft:
    """Return a draft whose fault names the missing suite and the file that may have been meant."""
    path = directory / f"{name}.yml"
    same_name = next((draft.suite for draft in drafts if draft.name == name and draft.suite), None)
    same_table = next((draft for draft in drafts if draft.suite and draft.suite.table == table), None)
    near = difflib.get_close_matches(name, [draft.name for draft in drafts], n=1)
    if same_name is not None:
        hint = f"{path} checks {same_name.table}; did you mean `table: {table}`?"
    elif same_table is not None:
        hint = f"{directory / same_table.name}.yml checks that table; rename it to {path.name}"
    elif near and near[0] not in GATES and not near[0].startswith("mart_"):
        hint = f"there is a {near[0]}.yml; did you mean {path.name}?"
    else:
        hint = f"put {path} back"
    return Draft(name, Suite(name, table, None, (), path=path), (f"{path}: no suite {name} checks {table}: {hint}",))
