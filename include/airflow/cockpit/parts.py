"""The parts of the pages, below an address that changes when one of them does: a browser asks for each only once.

Without it every click would ask for each part anew, and each time for its visitor's rights.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Any

from fastapi.staticfiles import StaticFiles
from starlette.responses import Response

STATIC = Path(__file__).parent / "static"
_LASTING = "private, max-age=31536000, immutable"


class Parts(StaticFiles):
    """Files that may be kept: what they hold never changes at their address."""

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        """A file, or 304."""
        response = super().file_response(*arguments, **options)
        response.headers["Cache-Control"] = _LASTING
        return response


@functools.cache
def version() -> str:
    """Stands for the content of all parts."""
    digest = hashlib.sha256()
    for path in sorted(path for path in STATIC.rglob("*") if path.is_file()):
        digest.update(str(path.relative_to(STATIC)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


@functools.cache
def shell() -> str:
    """The page that all pages are, with the addresses of its parts."""
    return (STATIC / "index.html").read_text(encoding="utf-8").replace('"static/', f'"static/{version()}/')
