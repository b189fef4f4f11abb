"""Hook of mkdocs: links from docs/ to other files of the repository, which the site does not have, become plain text.

They work where the repository is shown, and this program checks that each of them leads to a file.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path, PurePosixPath
from typing import Any

_DOCS = Path(__file__).resolve().parents[2] / "docs"
_LINK = re.compile(r"\[([^\]]+)\]\((\.\./[^)#\s]+)(?:#[^)\s]*)?\)")

_log = logging.getLogger("mkdocs.docs_site")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return the text of a page without links that lead out of docs/; a link that leads nowhere is a warning."""
    folder = _DOCS / PurePosixPath(page.file.src_uri).parent

    def replace(link: re.Match[str]) -> str:
        target = (folder / link[2]).resolve()
        if target.is_relative_to(_DOCS):
            return link[0]
        if not target.exists():
            _log.warning("%s links to %s, which does not exist", page.file.src_uri, link[2])
        return link[1]

    return _LINK.sub(replace, markdown)
