"""Make text storable in PostgreSQL."""

from __future__ import annotations

import re

# Lone surrogates that represent no byte (PEP 383): no file name has them, but a message may.
_NO_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def storable(text: str) -> str:
    r"""Escape the characters of a text that PostgreSQL refuses.

    File names, and messages that quote them, may contain bytes that are not UTF-8. Python carries these as lone
    surrogates, which become ``\xe9`` and the like. NUL characters are escaped too.
    """
    text = _NO_BYTE.sub(lambda found: f"\\u{ord(found[0]):04x}", text).replace("\0", "\\x00")
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
