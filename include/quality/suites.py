"""Suites: one YAML file a table or view, validated strictly before anything runs.

Great Expectations' own loaders drop an expectation with a mistyped name and report success. Here every key, name,
parameter, severity and column must be known, and all faults of all files come in one message.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from yaml.nodes import Node, SequenceNode

from include.contract import COLUMN_NAMES
from include.errors import SuiteError
from include.quality import catalog
from include.quality.yaml_source import Entries, YamlSource, did_you_mean, line_of
from include.settings import REPOSITORY

SUITES_DIR = REPOSITORY / "expectations"

Severity = Literal["critical", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)

# Tables whose columns are known without a database: the contract's fields and what the batch transaction adds.
_COLUMNS = {"shop.events": (*COLUMN_NAMES, "batch_id", "file_id", "ingested_at")}

_SUITE_KEYS = ("table", "rows", "checks")
_CHECK_KEYS = ("name", "expect", "severity", "why")
_TABLE = re.compile(r"^[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*$")
_COLUMN_PARAMETERS = ("column", "column_A", "column_B", "column_list")
_REGEX_PARAMETERS = ("regex", "regex_list")


@dataclass(frozen=True)
class Check:
    """One expectation: its name in the results, class name, parameters, severity, and why it must hold."""

    name: str
    expectation: str
    parameters: dict[str, Any]
    severity: Severity
    why: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it looks at; none for a check of the whole table."""
        return tuple(
            column for key in _COLUMN_PARAMETERS if key in self.parameters for column in _listed(self.parameters[key])
        )


@dataclass(frozen=True)
class Suite:
    """The checks of one table or view.

    ``rows`` is an SQL condition for the rows that are checked, None for all of them.
    """

    name: str
    table: str
    rows: str | None
    checks: tuple[Check, ...]


def suite_names(directory: Path = SUITES_DIR) -> tuple[str, ...]:
    """The names of all suites, without reading them: fit for a DAG's parse time."""
    return tuple(path.stem for path in _files(directory))


def load_suites(directory: Path = SUITES_DIR) -> list[Suite]:
    """Read every suite of a directory, in the order of their names.

    Raises
    ------
    SuiteError
        With every fault of every file as ``file:line: what``, or when there is no suite at all.
    """
    files = _files(directory)
    if not files:
        raise SuiteError(f"{directory} holds no suite (*.yml)", "See expectations/README.md for how to write one")
    return _load(files)


def load_suite(name: str, directory: Path = SUITES_DIR) -> Suite:
    """Read one suite, whatever is wrong with the others.

    Raises
    ------
    SuiteError
        When there is no suite of that name, or with every fault of its file.
    """
    known = suite_names(directory)
    if name not in known:
        raise SuiteError(f"there is no suite {name} in {directory}", f"Choose one of {', '.join(known)}")
    (suite,) = _load([directory / f"{name}.yml"])
    return suite


def _load(files: list[Path]) -> list[Suite]:
    suites: list[Suite] = []
    faults: list[str] = []
    for path in files:
        source = YamlSource(path)
        root = source.root()
        if root is not None:
            suites.append(_read_suite(source, root))
        faults += source.faults
    if faults:
        count = f"{len(faults)} mistakes" if len(faults) > 1 else "1 mistake"
        raise SuiteError(
            f"{count} in the expectation suites:\n  " + "\n  ".join(faults) + "\nNothing was checked",
            "Correct the suites and try them with `make check-suites`",
        )
    return suites


def _files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.yml"))


def _read_suite(source: YamlSource, root: Node) -> Suite:
    entries = source.entries(root, "a suite")
    for key, (node, _) in entries.items():
        if key not in _SUITE_KEYS:
            source.fault(node, f"{key} is not a key of a suite{did_you_mean(key, _SUITE_KEYS)}")
    table, rows = "", None
    if "table" in entries:
        table = source.text(entries["table"][1], "table")
        if table and not _TABLE.match(table):
            source.fault(entries["table"][1], f"table {table} is not written as schema.table, for example shop.events")
    else:
        source.fault(root, "the suite does not say its table; add, for example, `table: shop.events`")
    if "rows" in entries:
        rows = source.text(entries["rows"][1], "rows")
        if ";" in rows:
            source.fault(entries["rows"][1], "rows must be one SQL condition, without a semicolon")
    return Suite(source.path.stem, table, rows, _read_checks(source, root, entries, table))


def _read_checks(source: YamlSource, root: Node, entries: Entries, table: str) -> tuple[Check, ...]:
    node = entries["checks"][1] if "checks" in entries else None
    if not isinstance(node, SequenceNode) or not node.value:
        source.fault(node or root, "the suite has no checks; add a list `checks:` with at least one `- expect: ...`")
        return ()
    checks: list[Check] = []
    lines: dict[tuple[str, tuple[str, ...]], int] = {}
    for item in node.value:
        check = _read_check(source, item, table)
        if check is None:
            continue
        identity = (check.name, check.columns)
        if identity in lines:
            source.fault(
                item, f"this check has the name and columns of the one in line {lines[identity]}; give it a `name:`"
            )
        lines.setdefault(identity, line_of(item))
        checks.append(check)
    return tuple(checks)


def _read_check(source: YamlSource, item: Node, table: str) -> Check | None:
    entries = source.entries(item, "a check")
    if not entries:
        return None
    severity = _read_severity(source, item, entries)
    why = source.text(entries["why"][1], "why") if "why" in entries else ""
    if "expect" not in entries:
        source.fault(item, f"the check does not say what to expect{_nearest_key('expect', entries)}")
        return None
    expectation = source.text(entries["expect"][1], "expect")
    known = catalog.expectation_types()
    if expectation not in known:
        if expectation:
            source.fault(
                entries["expect"][1], f"there is no expectation {expectation}{did_you_mean(expectation, known)}"
            )
        return None
    name = source.text(entries["name"][1], "name") if "name" in entries else expectation
    if expectation == catalog.CUSTOM_SQL and "name" not in entries:
        source.fault(item, f"{catalog.CUSTOM_SQL} needs a `name:`, by which people recognise it in the results")
    parameters = _read_parameters(source, item, entries, expectation, severity)
    check = Check(name, expectation, parameters, severity, why)
    _check_columns(source, entries, table)
    return check


def _read_severity(source: YamlSource, item: Node, entries: Entries) -> Severity:
    if "severity" not in entries:
        source.fault(item, f"the check has no severity; add one of {', '.join(SEVERITIES)}")
        return "critical"
    node = entries["severity"][1]
    given = source.value(node)
    if given not in SEVERITIES:
        source.fault(node, f"severity {given} does not exist{did_you_mean(str(given), SEVERITIES)}")
        return "critical"
    return given


def _read_parameters(
    source: YamlSource, item: Node, entries: Entries, expectation: str, severity: str
) -> dict[str, Any]:
    known = catalog.parameters_of(expectation)
    parameters: dict[str, Any] = {}
    for key, (key_node, value_node) in entries.items():
        if key in known:
            parameters[key] = source.value(value_node)
        elif key not in _CHECK_KEYS:
            source.fault(key_node, f"{expectation} takes no {key}{did_you_mean(key, [*known, *_CHECK_KEYS])}")
    _check_regexes(source, entries, parameters)
    try:
        catalog.build(expectation, parameters, severity=severity, number=0)
    except ValueError as error:
        _explain(source, item, entries, expectation, error)
    return parameters


def _explain(source: YamlSource, item: Node, entries: Entries, expectation: str, error: ValueError) -> None:
    """Put what pydantic says of the parameters at their places; of a union it reports each part, the first will do."""
    explained = set()
    for one in error.errors():  # type: ignore[attr-defined]
        key = str(one["loc"][0])
        if key in explained:
            continue
        explained.add(key)
        if one["type"] == "value_error.missing":
            source.fault(item, f"{expectation} needs {key}")
        elif key in entries:
            value = source.value(entries[key][1])
            source.fault(entries[key][1], f"{key}: {value!r}: {one['msg']}")
        else:
            source.fault(item, f"{expectation}: {one['msg']}")


def _check_regexes(source: YamlSource, entries: Entries, parameters: dict[str, Any]) -> None:
    for key in _REGEX_PARAMETERS:
        for pattern in _listed(parameters.get(key, [])):
            try:
                re.compile(str(pattern))
            except re.error as error:
                source.fault(entries[key][1], f"{key} {pattern} is not a regular expression: {error}")


def _check_columns(source: YamlSource, entries: Entries, table: str) -> None:
    known = _COLUMNS.get(table)
    if known is None:
        return
    for key in _COLUMN_PARAMETERS:
        if key not in entries:
            continue
        node = entries[key][1]
        for one in node.value if isinstance(node, SequenceNode) else [node]:
            if one.value not in known:
                source.fault(one, f"{table} has no column {one.value}{did_you_mean(str(one.value), known)}")


def _nearest_key(wanted: str, entries: Entries) -> str:
    """A hint when a mandatory key was mistyped."""
    mistyped = [key for key in entries if did_you_mean(key, [wanted]).startswith("; did")]
    return f"; {mistyped[0]} should probably be {wanted}" if mistyped else f"; add `{wanted}: <expectation>`"


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]
