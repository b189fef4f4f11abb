"""Tests that docs/settings.md shows the current settings."""

from __future__ import annotations

from include.settings import Settings
from include.settings_page import PAGE, settings_page


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == settings_page(), "run `make docs` and commit docs/settings.md"


def test_every_setting_has_a_description() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
