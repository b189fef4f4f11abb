"""Describe the value that caused a reject, and for a time which part of it is wrong.

Rejected rows are few, so this is plain Python, one value at a time.
"""

from __future__ import annotations

import re

from include.contract.rules import Rule

_SHOWN_CHARACTERS = 100

_TIME = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)[T ](?P<clock>\d\d:\d\d)(?::(?P<second>\d\d)(?:[.,](?P<decimals>\d+))?)?(?P<offset>.*)",
    re.DOTALL,
)
_OFFSET = re.compile(r"Z|[+-](?:0\d|1[0-7])(?::?[0-5]\d)?|[+-]18(?::?00)?")
_SIGNIFICANT_DECIMALS = 6


def evidence(rule: Rule, value: str) -> str:
    """Return the value that breaks a rule, shortened, with an explanation if the rule does not give one."""
    shown = shortened(value)
    why = _fault_of_time(value) if rule.code == "event_time_invalid" else None
    return f"{shown} ({why})" if why else shown


def shortened(text: str) -> str:
    """Shorten a long text to the beginning that is shown with the reason of a reject."""
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _fault_of_time(text: str) -> str:
    """Return what is wrong with a rejected time."""
    parts = _TIME.fullmatch(text)
    if parts is None:
        if re.fullmatch(r"[\d.,]+", text):
            return "a number; write it as YYYY-MM-DDThh:mm:ss with its offset from UTC"
        return "not of the form YYYY-MM-DDThh:mm:ss with an offset from UTC"
    if not parts["offset"]:
        return "the offset from UTC is missing: end it with Z or, for example, +01:00"
    if not _OFFSET.fullmatch(parts["offset"]):
        return "the offset from UTC is neither Z nor +hh:mm, +hhmm or +hh, up to 18 hours"
    if (parts["decimals"] or "")[_SIGNIFICANT_DECIMALS:].strip("0"):
        return "finer than a microsecond, and nothing is rounded"
    if parts["clock"] > "23:59" or parts["clock"][3:] > "59" or (parts["second"] or "") > "59":
        return "no such time of day"
    return "no such date, or one before 1970"
