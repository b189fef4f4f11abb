"""Read one suite from its file: one function per key, and every fault is reported with its line."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

from yaml.nodes import Node, SequenceNode

from include.contract import COLUMN_NAMES, COLUMNS, FILE_FAULTS
from include.quality import catalog
from include.quality.model import (
    COLUMN_PARAMETERS,
    OWNER,
    QUERY,
    SEVERITIES,
    WHENS,
    Check,
    Needs,
    Severity,
    Suite,
    When,
    Window,
    listed,
)
from include.quality.sql_text import fault_of_query
from include.quality.yaml_source import Entries, YamlSource, did_you_mean, line_of

# Columns that are known without a database and without a declaration: those that the batch transaction writes.
_COLUMNS = {"shop.events": (*COLUMN_NAMES, "batch_id", "file_id", "ingested_at", "extra")}

SUITE_KEYS = ("table", "owner", "columns", "window", "rows", "holds_publication", "checks")
CHECK_KEYS = ("name", "expect", "severity", "when", "needs", "why")
WINDOW_KEYS = ("column", "first", "longest")
NEEDS_KEYS = ("query", "otherwise", "of")
_NAME = re.compile(r"^[a-z0-9_]+$")
_TABLE = re.compile(r"^[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*$")
_SPAN = re.compile(r"^(\d+) (minute|hour|day)s?$")
_REGEX_PARAMETERS = ("regex", "regex_list")
# The sets of the contract, which a suite names instead of repeating their values.
CONTRACT_SETS = {f"contract.{column.name}": list(column.values) for column in COLUMNS if column.values}
CONTRACT_SETS["contract.faults"] = list(FILE_FAULTS)


def read_suite(path: Path) -> tuple[Suite | None, list[str]]:
    """Return the suite of a file and all its faults as ``file:line: message``; a suite with faults must not run."""
    source = YamlSource(path)
    root = source.root()
    suite = _read(source, root) if root is not None else None
    return suite, source.faults


def _read(source: YamlSource, root: Node) -> Suite:
    if not _NAME.match(source.path.stem):
        source.fault(root, f"the file's name, {source.path.name}, names the suite and may contain only a-z, 0-9 and _")
    entries = source.entries(root, "a suite")
    _refuse_unknown(source, entries, SUITE_KEYS, "a suite")
    table = ""
    if "table" in entries:
        table = source.text(entries["table"][1], "table")
        if table and not _TABLE.match(table):
            source.fault(entries["table"][1], f"table {table} is not written as schema.table, for example shop.events")
    else:
        source.fault(root, "the suite names no table; add, for example, `table: shop.events`")
    columns = _read_columns(source, entries)
    known = tuple(columns) if columns is not None else _COLUMNS.get(table)
    is_gate = source.value(entries["holds_publication"][1]) if "holds_publication" in entries else False
    if not isinstance(is_gate, bool):
        source.fault(entries["holds_publication"][1], f"holds_publication must be true or false, not {is_gate}")
    return Suite(
        source.path.stem,
        table,
        _read_rows(source, entries),
        _read_checks(source, root, entries, table, known),
        path=source.path,
        owner=source.text(entries["owner"][1], "owner") if "owner" in entries else OWNER,
        window=_read_window(source, entries, table, known),
        columns=columns,
        is_gate=bool(is_gate),
    )


def _read_columns(source: YamlSource, entries: Entries) -> dict[str, str] | None:
    if "columns" not in entries:
        return None
    columns = source.entries(entries["columns"][1], "columns")
    return {name: source.text(node, f"the type of {name}") for name, (_, node) in columns.items()}


def _read_rows(source: YamlSource, entries: Entries) -> str | None:
    if "rows" not in entries:
        return None
    rows = source.text(entries["rows"][1], "rows")
    if ";" in rows:
        source.fault(entries["rows"][1], "rows must be one SQL condition, without a semicolon")
    return rows


def _read_window(source: YamlSource, entries: Entries, table: str, known: tuple[str, ...] | None) -> Window | None:
    if "window" not in entries:
        return None
    node = entries["window"][1]
    parts = source.entries(node, "window")
    _refuse_unknown(source, parts, WINDOW_KEYS, "a window")
    if missing := [key for key in WINDOW_KEYS if key not in parts]:
        example = "`window: {column: ingested_at, first: 1 hour, longest: 1 day}`"
        source.fault(node, f"the window lacks {', '.join(missing)}; write, for example, {example}")
        return None
    column = source.text(parts["column"][1], "column")
    if known is not None and column not in known:
        source.fault(parts["column"][1], f"{table} has no column {column}{did_you_mean(column, known)}")
    return Window(column, _span(source, parts, "first"), _span(source, parts, "longest"))


def _span(source: YamlSource, parts: Entries, key: str) -> timedelta:
    text = source.text(parts[key][1], key)
    match = _SPAN.match(text)
    if not match:
        source.fault(parts[key][1], f"{key}: {text!r} is not a time such as 10 minutes, 1 hour or 2 days")
        return timedelta()
    try:
        return timedelta(**{f"{match[2]}s": int(match[1])})
    except OverflowError:
        source.fault(parts[key][1], f"{key}: {text!r} is longer than a million days")
        return timedelta()


def _read_checks(
    source: YamlSource, root: Node, entries: Entries, table: str, known: tuple[str, ...] | None
) -> tuple[Check, ...]:
    node = entries["checks"][1] if "checks" in entries else None
    if not isinstance(node, SequenceNode) or not node.value:
        source.fault(node or root, "the suite has no checks; add a list `checks:` with at least one `- expect: ...`")
        return ()
    checks: list[Check] = []
    lines: dict[str, int] = {}
    for item in node.value:
        check = _read_check(source, item, table, known)
        if check is None:
            continue
        if check.key in lines:
            source.fault(
                item, f"this check has the name and columns of the one in line {lines[check.key]}; give it a `name:`"
            )
        lines.setdefault(check.key, check.line)
        checks.append(check)
    return tuple(checks)


def _read_check(source: YamlSource, item: Node, table: str, known: tuple[str, ...] | None) -> Check | None:
    entries = source.entries(item, "a check")
    if not entries:
        return None
    severity = _read_severity(source, item, entries)
    why = source.text(entries["why"][1], "why") if "why" in entries else ""
    if "expect" not in entries:
        source.fault(item, f"the check does not say what to expect{_nearest_key('expect', entries)}")
        return None
    expectation = source.text(entries["expect"][1], "expect")
    types = catalog.expectation_types()
    if expectation not in types:
        if expectation:
            source.fault(
                entries["expect"][1], f"there is no expectation {expectation}{did_you_mean(expectation, types)}"
            )
        return None
    name = source.text(entries["name"][1], "name") if "name" in entries else expectation
    if expectation == catalog.CUSTOM_SQL and "name" not in entries:
        source.fault(item, f"{catalog.CUSTOM_SQL} needs a `name:`, which identifies it in the results")
    parameters = _read_parameters(source, item, entries, expectation, severity)
    _check_columns(source, entries, table, known)
    when, needs = _read_when(source, entries), _read_needs(source, entries)
    return Check(name, expectation, parameters, severity, why, when, needs, line_of(item))


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


def _read_when(source: YamlSource, entries: Entries) -> When:
    if "when" not in entries:
        return "always"
    given = source.value(entries["when"][1])
    if given not in WHENS:
        source.fault(entries["when"][1], f"when {given} does not exist{did_you_mean(str(given), WHENS)}")
        return "always"
    return given


def _read_needs(source: YamlSource, entries: Entries) -> tuple[Needs, ...]:
    """Read what a check needs: one mapping, or a list of them."""
    if "needs" not in entries:
        return ()
    node = entries["needs"][1]
    nodes = node.value if isinstance(node, SequenceNode) else [node]
    found = (_read_need(source, one) for one in nodes)
    return tuple(one for one in found if one is not None)


def _read_need(source: YamlSource, node: Node) -> Needs | None:
    parts = source.entries(node, "needs")
    _refuse_unknown(source, parts, NEEDS_KEYS, "needs")
    if missing := [key for key in ("query", "otherwise") if key not in parts]:
        source.fault(
            node,
            f"needs lacks {', '.join(missing)}; it takes a `query:` and a message `otherwise:` for when it has no row",
        )
        return None
    query = source.text(parts["query"][1], "query")
    if fault := fault_of_query(query):
        source.fault(parts["query"][1], f"query {fault}")
    of: Any = source.value(parts["of"][1]) if "of" in parts else "history"
    if of not in ("window", "history"):
        source.fault(parts["of"][1], f"of {of} does not exist{did_you_mean(str(of), ('window', 'history'))}")
        return None
    return Needs(query, source.text(parts["otherwise"][1], "otherwise"), of)


def _read_parameters(
    source: YamlSource, item: Node, entries: Entries, expectation: str, severity: str
) -> dict[str, Any]:
    known = catalog.parameters_of(expectation)
    parameters: dict[str, Any] = {}
    for key, (key_node, value_node) in entries.items():
        if key in known:
            parameters[key] = _contract_set(source, value_node, source.value(value_node))
        elif key not in CHECK_KEYS:
            source.fault(key_node, f"{expectation} takes no {key}{did_you_mean(key, [*known, *CHECK_KEYS])}")
    _check_regexes(source, entries, parameters)
    query = parameters.get(QUERY)
    if isinstance(query, str) and (fault := fault_of_query(query)):
        source.fault(entries[QUERY][1], f"{QUERY} {fault}")
        return parameters
    try:
        catalog.build(expectation, parameters, severity=severity, number=0)
    except ValueError as error:
        _explain(source, item, entries, expectation, error)
    return parameters


def _contract_set(source: YamlSource, node: Node, value: Any) -> Any:
    """Return the set of the contract that a value names, or the value itself when it names none."""
    if not isinstance(value, str) or not value.startswith("contract."):
        return value
    if value not in CONTRACT_SETS:
        source.fault(node, f"{value} does not exist{did_you_mean(value, CONTRACT_SETS)}")
    return CONTRACT_SETS.get(value, [])


def _explain(source: YamlSource, item: Node, entries: Entries, expectation: str, error: ValueError) -> None:
    """Report pydantic's errors at the lines of the parameters, only the first for each parameter.

    pydantic reports one error for each member of a union.
    """
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
        for pattern in listed(parameters.get(key, [])):
            try:
                re.compile(str(pattern))
            except re.error as error:
                source.fault(entries[key][1], f"{key} {pattern} is not a regular expression: {error}")


def _check_columns(source: YamlSource, entries: Entries, table: str, known: tuple[str, ...] | None) -> None:
    if known is None:
        return
    for key in COLUMN_PARAMETERS:
        if key not in entries:
            continue
        node = entries[key][1]
        for one in node.value if isinstance(node, SequenceNode) else [node]:
            if one.value not in known:
                source.fault(one, f"{table} has no column {one.value}{did_you_mean(str(one.value), known)}")


def _refuse_unknown(source: YamlSource, entries: Entries, known: tuple[str, ...], what: str) -> None:
    for key, (node, _) in entries.items():
        if key not in known:
            source.fault(node, f"{key} is not a key of {what}{did_you_mean(key, known)}")


def _nearest_key(wanted: str, entries: Entries) -> str:
    """Return a hint about a mandatory key that is missing or mistyped."""
    mistyped = [key for key in entries if did_you_mean(key, [wanted]).startswith("; did")]
    return f"; {mistyped[0]} should probably be {wanted}" if mistyped else f"; add `{wanted}: <expectation>`"
