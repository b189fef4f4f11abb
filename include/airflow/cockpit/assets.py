"""Serve the static files of the pages below a versioned URL, so that a browser requests each file only once.

The version changes whenever a file changes. Without it, every click would request each file again, and every request
would check the user's permissions.
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


class Assets(StaticFiles):
    """Static files that browsers may cache for good, because the content at a URL never changes."""

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        """Return the file, or 304, with a long cache lifetime."""
        response = super().file_response(*arguments, **options)
        response.headers["Cache-Control"] = _LASTING
        return response


@functools.cache
def version() -> str:
    """Return a hash of the content of all static files."""
    digest = hashlib.sha256()
    for path in sorted(path for path in STATIC.rglob("*") if path.is_file()):
        digest.update(str(path.relative_to(STATIC)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


@functools.cache
def shell() -> str:
    """Return the HTML that all pages share, with the versioned URLs of its static files."""
    return (STATIC / "index.html").read_text(encoding="utf-8").replace('"static/', f'"static/{version()}/')
