"""The rules for a row: code, severity, predicate and message, and a spoilt value that breaks each one.

A predicate says what *passes*, in Spark SQL over the text fields of the row as they stood in the file; NULL is a
failure unless the predicate says otherwise (``coalesce(predicate, false)``). Every broken rule is reported, not the
first one. Predicates for the value of a field pass when the field is absent: absence is the business of the
``*_missing`` rule, so that one fault gives one reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from include.contract.columns import COLUMNS, EVENT_TYPES, Column

Severity = Literal["reject", "warn"]

# What the reader of files adds to the fields of a row: what no predicate over parsed fields can see, the time at which
# it read, and the first UUIDv7 that lies too far ahead of that time. Predicates compare with these columns rather than
# with current_timestamp(), which Spark would compile into the code of every micro-batch anew.
ROW_ERROR = "row_error"
READ_AT = "read_at"
FUTURE_EVENT_ID = "future_event_id"

FUTURE_TOLERANCE_MINUTES = 10
LATE_AFTER_MINUTES = 60
MAX_QUANTITY = 1000
MAX_TEXT_LENGTH = 1000

UUID7_PATTERN = "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
TIME_PATTERN = "^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})$"
PRICE_PATTERN = "^-?[0-9]{1,10}([.][0-9]{1,2})?$"
QUANTITY_PATTERN = "^[0-9]{1,4}$"


@dataclass(frozen=True)
class Rule:
    """One thing that must hold for a row.

    Parameters
    ----------
    code:
        Stored in ``shop.rejects.reasons``; stable, since people and alerts refer to it.
    severity:
        ``reject`` keeps the row out of ``shop.events``; ``warn`` lets it in and counts it in the batch ledger.
    predicate:
        Spark SQL over the row's text fields; true means that the row passes.
    message:
        What is wrong, for the person who reads the reject.
    spoil:
        Field values that break this rule and no other in an otherwise valid row of type ``spoil_type``; ``None``
        empties the field. The generator's bad rows and the tests of the predicates are made from it. Empty for the
        rules that only the reader of files can break.
    """

    code: str
    severity: Severity
    predicate: str
    message: str
    spoil: Mapping[str, str | None] = field(default_factory=dict)
    spoil_type: str = "purchase"


def _sql_list(values: tuple[str, ...]) -> str:
    return ", ".join(f"'{value}'" for value in values)


def _required(column: Column) -> Rule:
    """The rule that a field is present for the event types that need it."""
    name = column.name
    if column.is_nullable:
        predicate = f"{name} <> '' or event_type is null or event_type not in ({_sql_list(column.required_for)})"
        message = f"{name} is empty, but {', '.join(column.required_for)} events need it"
    else:
        predicate = f"{name} <> ''"
        message = f"{name} is empty"
    return Rule(f"{name}_missing", "reject", predicate, message, {name: None}, (column.required_for or EVENT_TYPES)[-1])


def _in_set(column: Column) -> Rule:
    """The rule that a field holds one of its allowed values."""
    name = column.name
    return Rule(
        f"{name}_unknown",
        "reject",
        f"nullif({name}, '') is null or {name} in ({_sql_list(column.values)})",
        f"{name} is none of {', '.join(column.values)}",
        {name: "unheard-of"},
    )


def _short_enough(column: Column) -> Rule:
    """The rule that free text stays within a length that every tool downstream can show."""
    name = column.name
    return Rule(
        f"{name}_too_long",
        "reject",
        f"{name} is null or length({name}) <= {MAX_TEXT_LENGTH}",
        f"{name} is longer than {MAX_TEXT_LENGTH} characters",
        {name: "x" * (MAX_TEXT_LENGTH + 1)},
    )


def _reader(code: str, message: str) -> Rule:
    """A fault that the reader of files reports in ROW_ERROR."""
    return Rule(code, "reject", f"{ROW_ERROR} is null or {ROW_ERROR} <> '{code}'", message)


_EVENT_TIME = "try_cast(event_time as timestamp)"
_FREE_TEXT = tuple(
    column for column in COLUMNS if column.postgres_type == "text" and not column.values and column.name != "country"
)

_VALUE_RULES = (
    Rule(
        "event_id_invalid",
        "reject",
        f"nullif(event_id, '') is null or event_id rlike '{UUID7_PATTERN}'",
        "event_id is not a UUIDv7 in lower case",
        {"event_id": "9b2e4f10-0000-4000-8000-000000000000"},
    ),
    Rule(
        "event_id_in_future",
        "reject",
        # A UUIDv7 begins with its time (RFC 9562, section 5.7), so ids compare like times.
        f"nullif(event_id, '') is null or not event_id rlike '{UUID7_PATTERN}' or event_id < {FUTURE_EVENT_ID}",
        f"the time inside event_id is more than {FUTURE_TOLERANCE_MINUTES} minutes ahead of the time of reading",
        {"event_id": "ffffffff-ffff-7fff-bfff-ffffffffffff"},
    ),
    Rule(
        "event_time_invalid",
        "reject",
        f"nullif(event_time, '') is null or (event_time rlike '{TIME_PATTERN}' and {_EVENT_TIME} >= "
        "timestamp'1970-01-01T00:00:00Z')",
        "event_time is not an ISO 8601 time with an offset, or not a date that exists since 1970",
        {"event_time": "2026-02-30T12:00:00Z"},
    ),
    Rule(
        "event_time_in_future",
        "reject",
        f"{_EVENT_TIME} is null or {_EVENT_TIME} <= {READ_AT} + interval {FUTURE_TOLERANCE_MINUTES} minutes",
        f"event_time is more than {FUTURE_TOLERANCE_MINUTES} minutes ahead of the time of reading",
        {"event_time": "2099-01-01T00:00:00Z"},
    ),
    Rule(
        "unit_price_invalid",
        "reject",
        f"nullif(unit_price, '') is null or unit_price rlike '{PRICE_PATTERN}'",
        "unit_price is not a plain number with at most ten digits and two decimals",
        {"unit_price": "12,99"},
    ),
    Rule(
        "unit_price_not_positive",
        "reject",
        f"nullif(unit_price, '') is null or not unit_price rlike '{PRICE_PATTERN}' or "
        "try_cast(unit_price as decimal(12,2)) > 0",
        "unit_price is zero or negative",
        {"unit_price": "-5.00"},
    ),
    Rule(
        "quantity_invalid",
        "reject",
        f"nullif(quantity, '') is null or (quantity rlike '{QUANTITY_PATTERN}' and "
        f"try_cast(quantity as int) between 1 and {MAX_QUANTITY})",
        f"quantity is not a whole number from 1 to {MAX_QUANTITY}",
        {"quantity": "-3"},
    ),
    Rule(
        "country_invalid",
        "reject",
        "nullif(country, '') is null or country rlike '^[A-Z]{2}$'",
        "country is not a code of two capital letters",
        {"country": "Germany"},
    ),
)

_WARNINGS = (
    Rule(
        "event_late",
        "warn",
        f"{_EVENT_TIME} is null or {_EVENT_TIME} >= {READ_AT} - interval {LATE_AFTER_MINUTES} minutes",
        f"event_time is more than {LATE_AFTER_MINUTES} minutes behind the time of reading",
    ),
)

RULES: tuple[Rule, ...] = (
    _reader("row_ragged", "the row has more or fewer fields than the header"),
    _reader("row_not_utf8", "the row holds bytes that are not UTF-8"),
    _reader("row_has_nul", "the row holds a NUL byte, which PostgreSQL cannot store"),
    _reader("row_too_long", "the row is longer than 1 MiB, or a quote in it is never closed"),
    *(_required(column) for column in COLUMNS if column.required_for),
    *(_in_set(column) for column in COLUMNS if column.values),
    *_VALUE_RULES,
    *(_short_enough(column) for column in _FREE_TEXT),
    *_WARNINGS,
)

REJECT_RULES = tuple(rule for rule in RULES if rule.severity == "reject")
WARN_RULES = tuple(rule for rule in RULES if rule.severity == "warn")

if len({rule.code for rule in RULES}) != len(RULES):
    raise ValueError("two rules of the contract share a code")
if len(RULES) > 63:
    raise ValueError("the flags of a row are the bits of one 64-bit integer: at most 63 rules fit")
