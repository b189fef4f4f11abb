"""Hide texts that may quote customer data from viewers, who see only that a text exists."""

from __future__ import annotations

import re
from typing import Any

HIDDEN = "Your role does not show this text, since it may quote customers' data."
# PostgreSQL quotes the offending row, including its line breaks.
_QUOTED_ROW = re.compile(r"^(DETAIL|CONTEXT): .*", re.MULTILINE | re.DOTALL)


def hide(row: dict[str, Any], *names: str, may_see: bool) -> dict[str, Any]:
    """Return a row with the named texts hidden from users who may not see them. Null stays null."""
    if may_see:
        return row
    return row | {name: HIDDEN for name in names if row.get(name) is not None}


def without_quoted_rows(text: str | None) -> str | None:
    """Return a message up to the point where PostgreSQL quotes a row."""
    return None if text is None else _QUOTED_ROW.sub("", text).rstrip()
