"""Remove customer data from error messages.

PostgreSQL quotes the row or the value at fault, while alerts, and most columns that hold an error, are read by analysts
who may not see customer data.
"""

from __future__ import annotations

import re

# Everything from there on may belong to a row, since a field can contain line ends and these very words.
_ROW = re.compile(r"^(?:DETAIL|CONTEXT|QUERY|STATEMENT|LINE \d+):.*", re.MULTILINE | re.DOTALL)
_VALUE = re.compile(
    r"((?:\binvalid|\bmalformed|\bout of range|\bcould not (?:convert|parse)|\b(?:failed|unable) to parse)[^:'\"\n]*: ?"
    r"|\bvalue )([\"']).*\2",
    re.IGNORECASE | re.DOTALL,
)


def without_rows(message: str) -> str:
    """Return a message of PostgreSQL, its driver or Arrow without the rows and values that it quotes."""
    return _VALUE.sub(r"\1\2…\2", _ROW.sub("", message)).strip()
