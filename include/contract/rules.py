"""Define the rules for a row: code, severity, predicate, message, and a value that breaks the rule.

A predicate returns which rows of a block *pass*, as a mask over :class:`include.contract.fields.Fields`. All broken
rules are reported, not only the first. A predicate for the value of a field passes when the field is empty. Only the
``*_missing`` rule reports an empty field, so one fault gives one reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from include.contract.columns import COLUMNS, Column
from include.contract.patterns import COUNTRY_PATTERN

if TYPE_CHECKING:
    # DAG files import the contract, and Airflow parses them every minute, so this module must not import Arrow.
    from include.contract.fields import Fields, Mask

    Predicate = Callable[[Fields], Mask]

Severity = Literal["reject", "warn"]

FUTURE_TOLERANCE_MINUTES = 10
LATE_AFTER_MINUTES = 60
MAX_QUANTITY = 1000
MAX_TEXT_LENGTH = 1000

_MINUTE_US = 60_000_000


@dataclass(frozen=True)
class Rule:
    """A condition that a row must meet.

    Parameters
    ----------
    code:
        Stored in ``shop.rejects.reasons``. It must not change, since users and alerts refer to it.
    severity:
        ``reject`` keeps the row out of ``shop.events``; ``warn`` stores the row and counts it in the batch ledger.
    predicate:
        Returns which rows pass. None for a rule that depends on more than the fields of a row; the file reader or the
        database checks it.
    message:
        What is wrong, for the reader of the reject.
    corrupt:
        Field values that break this rule and no other in an otherwise valid row of type ``corrupt_type``; ``None``
        empties the field. The generator's bad rows and the tests of the predicates use it. Empty for rules without a
        predicate and for warnings.
    column:
        The column whose value is wrong, which the reject shows. None when the fault is not in one value.
    """

    code: str
    severity: Severity
    predicate: Predicate | None
    message: str
    corrupt: Mapping[str, str | None] = field(default_factory=dict)
    corrupt_type: str = "purchase"
    column: str | None = None


def _required(column: Column) -> Rule:
    """Return the rule that a field is present for the event types that need it."""
    name, types = column.name, column.required_for

    def is_present(rows: Fields) -> Mask:
        is_present = ~rows.is_empty(name)
        if not column.is_nullable or is_present.all():
            return is_present
        return is_present | ~rows.is_in("event_type", types)

    needed = f", but {', '.join(types)} events need it" if column.is_nullable else ""
    return Rule(f"{name}_missing", "reject", is_present, f"{name} is empty{needed}", {name: None}, types[-1])


def _in_set(column: Column) -> Rule:
    """Return the rule that a field has one of its allowed values."""
    name, values = column.name, column.values
    return Rule(
        f"{name}_unknown",
        "reject",
        lambda rows: rows.is_empty(name) | rows.is_in(name, values),
        f"{name} is not one of {', '.join(values)}",
        {name: "unheard-of"},
        column=name,
    )


def _short_enough(column: Column) -> Rule:
    """Return the rule that free text is short enough for every downstream tool to show."""
    name = column.name
    return Rule(
        f"{name}_too_long",
        "reject",
        lambda rows: ~rows.is_longer(name, MAX_TEXT_LENGTH),
        f"{name} is longer than {MAX_TEXT_LENGTH} characters",
        {name: "x" * (MAX_TEXT_LENGTH + 1)},
        column=name,
    )


def _event_id_is_of_the_past(rows: Fields) -> Mask:
    latest_ms = (rows.read_at_us + FUTURE_TOLERANCE_MINUTES * _MINUTE_US) // 1000
    return rows.event_id_ms < latest_ms


def _event_time_is_valid(rows: Fields) -> Mask:
    return rows.is_empty("event_time") | (rows.event_time.is_valid & (rows.event_time_us >= 0))


def _event_time_is_of_the_past(rows: Fields) -> Mask:
    return rows.event_time_us <= rows.read_at_us + FUTURE_TOLERANCE_MINUTES * _MINUTE_US


def _unit_price_is_positive(rows: Fields) -> Mask:
    return ~rows.unit_price.is_valid | (rows.unit_price_cents > 0)


def _quantity_is_valid(rows: Fields) -> Mask:
    quantity = rows.quantity.array.fill_null(0).to_numpy()
    return rows.is_empty("quantity") | ((quantity >= 1) & (quantity <= MAX_QUANTITY))


def _event_is_on_time(rows: Fields) -> Mask:
    earliest = rows.read_at_us - LATE_AFTER_MINUTES * _MINUTE_US
    return ~rows.event_time.is_valid | (rows.event_time_us >= earliest)


_FREE_TEXT = tuple(
    column for column in COLUMNS if column.postgres_type == "text" and not column.values and column.name != "country"
)

_READER_RULES = (
    Rule("row_ragged", "reject", None, "the row has more or fewer fields than the header"),
    Rule(
        "row_misquoted",
        "reject",
        None,
        "text follows the closing quote of a quoted field; write a quote inside a field twice",
    ),
    Rule("row_not_utf8", "reject", None, "the row contains bytes that are not UTF-8"),
    Rule("row_has_nul", "reject", None, "the row contains a NUL byte, which PostgreSQL cannot store"),
    Rule("row_too_long", "reject", None, "the row is longer than 1 MiB, or a quote in it is never closed"),
)

PAST_RETENTION = "event_past_retention"

# Only the database can check these rules.
_STORAGE_RULES = (
    Rule(
        PAST_RETENTION,
        "reject",
        None,
        "retention has removed events of the day in event_id, so whether this event was counted before is unknown; "
        "raise SHOPSTREAM_RETENTION_DAYS if events arrive later than it allows",
    ),
)

_VALUE_RULES = (
    Rule(
        "event_id_invalid",
        "reject",
        lambda rows: rows.is_empty("event_id") | rows.event_id.is_valid,
        "event_id is not a UUIDv7 in lower case",
        {"event_id": "9b2e4f10-0000-4000-8000-000000000000"},
        column="event_id",
    ),
    Rule(
        "event_id_in_future",
        "reject",
        _event_id_is_of_the_past,
        f"the time in event_id is more than {FUTURE_TOLERANCE_MINUTES} minutes later than the time of reading",
        {"event_id": "ffffffff-ffff-7fff-bfff-ffffffffffff"},
        column="event_id",
    ),
    Rule(
        "event_time_invalid",
        "reject",
        _event_time_is_valid,
        "event_time is not an ISO 8601 time with an offset, is finer than a microsecond, or is before 1970",
        {"event_time": "2026-02-30T12:00:00Z"},
        column="event_time",
    ),
    Rule(
        "event_time_in_future",
        "reject",
        _event_time_is_of_the_past,
        f"event_time is more than {FUTURE_TOLERANCE_MINUTES} minutes later than the time of reading",
        {"event_time": "2099-01-01T00:00:00Z"},
        column="event_time",
    ),
    Rule(
        "unit_price_invalid",
        "reject",
        lambda rows: rows.is_empty("unit_price") | rows.unit_price.is_valid,
        "unit_price is not a plain number with at most ten digits and two decimals",
        {"unit_price": "12,99"},
        column="unit_price",
    ),
    Rule(
        "unit_price_not_positive",
        "reject",
        _unit_price_is_positive,
        "unit_price is zero or negative",
        {"unit_price": "-5.00"},
        column="unit_price",
    ),
    Rule(
        "quantity_invalid",
        "reject",
        _quantity_is_valid,
        f"quantity is not a whole number from 1 to {MAX_QUANTITY}",
        {"quantity": "-3"},
        column="quantity",
    ),
    Rule(
        "country_invalid",
        "reject",
        lambda rows: rows.is_empty("country") | rows.matches("country", COUNTRY_PATTERN),
        "country is not a code of two capital letters",
        {"country": "Germany"},
        column="country",
    ),
)

_WARNINGS = (
    Rule("last_line_unfinished", "warn", None, "the last line of the file has no line end, so it may be truncated"),
    Rule(
        "event_late",
        "warn",
        _event_is_on_time,
        f"event_time is more than {LATE_AFTER_MINUTES} minutes before the time of reading",
    ),
)

RULES: tuple[Rule, ...] = (
    *_READER_RULES,
    *(_required(column) for column in COLUMNS if column.required_for),
    *(_in_set(column) for column in COLUMNS if column.values),
    *_VALUE_RULES,
    *_STORAGE_RULES,
    *(_short_enough(column) for column in _FREE_TEXT),
    *_WARNINGS,
)

REJECT_RULES = tuple(rule for rule in RULES if rule.severity == "reject")
WARN_RULES = tuple(rule for rule in RULES if rule.severity == "warn")

if len({rule.code for rule in RULES}) != len(RULES):
    raise ValueError("two rules of the contract share a code")
if len(RULES) > 63:
    raise ValueError("the flags of a row are the bits of one 64-bit integer: at most 63 rules fit")
