"""Corrupt rows on purpose, so that each breaks exactly one rule of the contract."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

from include.contract import COLUMN_NAMES, REJECT_RULES, Rule

_NAME = COLUMN_NAMES.index("product_name")
# The Latin-1 byte of "é", which is not valid UTF-8, as Python's surrogate escape.
_LATIN1_E_ACUTE = "\udce9"
# A placeholder for NUL, which the csv module of Python 3.10 cannot write. It is replaced in the finished line.
_NUL = "\ue000"
# A placeholder for a quote that the csv module must not double.
_QUOTE = "\ue001"


def _misquoted(fields: list[str]) -> list[str]:
    return [*fields[:_NAME], f"{_QUOTE}Tin{_QUOTE} Kettle", *fields[_NAME + 1 :]]


def _in_name(addition: str) -> Callable[[list[str]], list[str]]:
    return lambda fields: [*fields[:_NAME], fields[_NAME] + addition, *fields[_NAME + 1 :]]


# Rules that the file reader checks have no field values in the contract, so their rows are corrupted here.
_CORRUPT_ROW: dict[str, Callable[[list[str]], list[str]]] = {
    "row_ragged": lambda fields: fields[:-1],
    "row_misquoted": _misquoted,
    "row_not_utf8": _in_name(_LATIN1_E_ACUTE),
    "row_has_nul": _in_name(_NUL),
}


def corrupt(line: bytes, rule: Rule) -> bytes:
    """Break one rule in a valid line.

    Parameters
    ----------
    line:
        A line of CSV with its line feed, of an event of type ``rule.corrupt_type``.
    rule:
        One of ``CORRUPTIBLE_RULES``.
    """
    fields = next(csv.reader([line.decode()]))
    if rule.code in _CORRUPT_ROW:
        fields = _CORRUPT_ROW[rule.code](fields)
    else:
        fields = [
            (rule.corrupt[name] or "") if name in rule.corrupt else field
            for name, field in zip(COLUMN_NAMES, fields, strict=True)
        ]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(fields)
    return text.getvalue().replace(_NUL, "\0").replace(_QUOTE, '"').encode("utf-8", "surrogateescape")


CORRUPTIBLE_RULES = tuple(rule for rule in REJECT_RULES if rule.corrupt or rule.code in _CORRUPT_ROW)
