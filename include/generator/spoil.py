"""Rows that are bad on purpose: each breaks exactly one rule of the contract."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

from include.contract import COLUMN_NAMES, REJECT_RULES, Rule

_NAME = COLUMN_NAMES.index("product_name")
# "é" as Latin-1 has it, where UTF-8 wants two bytes: written through Python's escape for bytes that are not UTF-8.
_LATIN1_E_ACUTE = "\udce9"
# The csv module of Python 3.10 does not write NUL: this stands for it until the line is made.
_NUL = "\ue000"


def _in_name(addition: str) -> Callable[[list[str]], list[str]]:
    return lambda fields: [*fields[:_NAME], fields[_NAME] + addition, *fields[_NAME + 1 :]]


# What only the reader of files can see is not in the contract as values of fields.
_SPOIL_ROW: dict[str, Callable[[list[str]], list[str]]] = {
    "row_ragged": lambda fields: fields[:-1],
    "row_not_utf8": _in_name(_LATIN1_E_ACUTE),
    "row_has_nul": _in_name(_NUL),
}


def spoil(line: bytes, rule: Rule) -> bytes:
    """Break one rule in a valid line.

    Parameters
    ----------
    line:
        A line of CSV with its line feed, of an event of type ``rule.spoil_type``.
    rule:
        One of ``SPOILABLE_RULES``.
    """
    fields = next(csv.reader([line.decode()]))
    if rule.code in _SPOIL_ROW:
        fields = _SPOIL_ROW[rule.code](fields)
    else:
        fields = [
            (rule.spoil[name] or "") if name in rule.spoil else field
            for name, field in zip(COLUMN_NAMES, fields, strict=True)
        ]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(fields)
    return text.getvalue().replace(_NUL, "\0").encode("utf-8", "surrogateescape")


SPOILABLE_RULES = tuple(rule for rule in REJECT_RULES if rule.spoil or rule.code in _SPOIL_ROW)
