"""Read the header of a delivered file, and describe a faulty one without quoting it.

The description goes into alerts and into ``shop.files``, which are open to more people than customer data may be. A
first line that is no header may be a row about a customer, so its fields are described and never quoted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from include.contract import COLUMN_NAMES
from include.contract.patterns import UUID7_PATTERN
from include.stream.reading.delivered import FileFaultError
from include.stream.reading.records import MAX_RECORD_BYTES, LongLine, RecordScanner, split_fields

# Each row stores the names of its unknown columns, so an unlimited header would multiply the size of the file. A
# thousand names of the greatest length that PostgreSQL allows are more than any table has.
MAX_COLUMNS = 1000
MAX_HEADER_BYTES = 64 * 1024

_SEPARATORS = {";": "a semicolon", "\t": "a tab", "|": "a vertical bar", ":": "a colon"}
_SEPARATOR_LINE = re.compile(r'"?sep=(.?)"?,*', re.IGNORECASE)
_SHAPES = (
    (UUID7_PATTERN, "a UUIDv7"),
    ("^[-0-9a-fA-F{}]{32,38}$", "a UUID"),
    ("^[0-9]{4}-[0-9]{2}-[0-9]{2}", "a date"),
    ("^[-+]?[0-9][0-9.,]*$", "a number"),
    ("^$", "empty"),
)


def read_header(scanner: RecordScanner) -> list[str]:
    """Return the column names of the first record; an empty list for an empty file, which has no rows and no fault.

    The last name is empty when the header ends with a comma. Such files usually end every line with one, so that column
    is no fault as long as it holds nothing.

    Raises
    ------
    FileFaultError
        When the first record is not a header with the contract's columns.
    """
    piece = scanner.next(stop=1)
    if piece is None:
        return []
    raw = piece.head if isinstance(piece, LongLine) else piece.data
    text = _decoded(raw).strip("\r\n")
    size = piece.size if isinstance(piece, LongLine) else len(raw)
    if isinstance(piece, LongLine) and piece.size <= MAX_RECORD_BYTES:
        raise FileFaultError("header_missing", f"a quote in the first line, of {size:,} bytes, is never closed")
    # Senders vary case and surrounding space; neither changes the meaning of a name.
    header = _names(split_fields(text)) if len(raw) <= MAX_HEADER_BYTES else []
    if len(raw) > MAX_HEADER_BYTES or len(header) > MAX_COLUMNS:
        raise FileFaultError(
            "header_too_wide",
            f"{size:,} bytes, {text.count(',') + 1:,} columns; at most {MAX_HEADER_BYTES:,} bytes and "
            f"{MAX_COLUMNS:,} columns are read",
        )
    _check_names(text, header)
    return header


def _decoded(raw: bytes) -> str:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise FileFaultError("not_utf8", "the file begins with a byte order mark of UTF-16")
    if b"\0" in raw:
        raise FileFaultError("not_utf8", f"byte {raw.index(0) + 1:,} of the first line is NUL, as in UTF-16")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FileFaultError(
            "not_utf8", f"byte {error.start + 1:,} of the first line, 0x{raw[error.start]:02X}, is not UTF-8"
        ) from None


def _names(fields: Sequence[str]) -> list[str]:
    return [name.strip().lower() for name in fields]


def _check_names(text: str, header: Sequence[str]) -> None:
    """Raise the fault of a header that does not name each contract column exactly once."""
    if line := _SEPARATOR_LINE.fullmatch(text.strip()):
        raise FileFaultError("separator_line", f"the first line is 'sep={line[1]}'")
    missing = [name for name in COLUMN_NAMES if name not in header]
    if len(missing) == len(COLUMN_NAMES):
        raise _no_header(text, header)
    if missing:
        raise FileFaultError("header_column_missing", f"missing: {', '.join(missing)}")
    nameless = [place for place, name in enumerate(header, start=1) if not name]
    if nameless and nameless != [len(header)]:
        raise FileFaultError(
            "header_column_unnamed",
            f"{_listed(nameless)} of {len(header)} {'has' if len(nameless) == 1 else 'have'} no name",
        )
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        known = [name for name in repeated if name in COLUMN_NAMES]
        unknown = [place for place, name in enumerate(header, start=1) if name in repeated and name not in known]
        named = [*known, *([f"{_listed(unknown)}, which the contract does not know"] if unknown else [])]
        raise FileFaultError("header_column_repeated", f"repeated: {', '.join(named)}")


def _no_header(text: str, fields: Sequence[str]) -> FileFaultError:
    """Return the fault of a first line that names no column, which may be due only to the separator."""
    for separator, called in _SEPARATORS.items():
        names = _names([field.strip('"') for field in text.split(separator)])
        found = sum(name in COLUMN_NAMES for name in names)
        if found > 1:
            return FileFaultError(
                "separator_not_comma",
                f"the first line has {found} names of the contract's {len(COLUMN_NAMES)} columns, separated by "
                f"{called} ({separator!r})",
            )
    return FileFaultError(
        "header_missing",
        f"the first line has {len(fields)} {'field' if len(fields) == 1 else 'fields'}, and none is the name of a "
        f"column; the first one is {_shape(fields[0])}",
    )


def _shape(field: str) -> str:
    """Describe a field without quoting any of it."""
    return next(
        (shape for pattern, shape in _SHAPES if re.search(pattern, field)), f"a text of {len(field):,} characters"
    )


def _listed(places: Sequence[int]) -> str:
    numbers = [str(place) for place in places[:20]]
    if len(places) == 1:
        return f"column {numbers[0]}"
    more = f" and {len(places) - 20} more" if len(places) > 20 else ""
    return f"columns {', '.join(numbers)}{more}"
