"""Render docs/settings.md from the settings: ``python -m include.settings_page`` rewrites it.

``tests/unit/test_settings_page.py`` fails when the page and the settings differ.
"""

from __future__ import annotations

from typing import get_args

from pydantic.fields import FieldInfo

from include.settings import PREFIX, REPOSITORY, Settings

PAGE = REPOSITORY / "docs" / "settings.md"

_HEAD = """\
# Settings

Each setting is an environment variable. All are validated together before anything starts, and an unknown `SHOPSTREAM_`
variable is refused with a suggestion of the right name. Passwords are not settings: they are in files that only their
owner can read ([operations](operations.md#secrets)). `make docs` generates this page.

| variable | default | bounds | meaning |
|---|---|---|---|
"""


def settings_page() -> str:
    """Return the page: one row per setting, in the order of the class."""
    return _HEAD + "".join(
        f"| `{PREFIX}{name.upper()}` | {_default(field)} | {_bounds(field)} | {field.description} |\n"
        for name, field in Settings.model_fields.items()
    )


def _default(field: FieldInfo) -> str:
    return "" if field.default is None else f"`{field.default}`"


def _bounds(field: FieldInfo) -> str:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "pattern": "matches"}
    bounds = [
        f"{sign} `{getattr(one, name)}`"
        for one in field.metadata
        for name, sign in signs.items()
        if getattr(one, name, None) is not None
    ]
    choices = [f"`{choice}`" for choice in get_args(field.annotation) if isinstance(choice, str)]
    return ", ".join(bounds or choices)


if __name__ == "__main__":
    PAGE.write_text(settings_page(), encoding="utf-8")
