"""Tests that every test named in docs/faults.md exists."""

from __future__ import annotations

import re

import pytest

from include.settings import REPOSITORY

PAGE = (REPOSITORY / "docs" / "faults.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/.]+\.py)::(\w+)(?:\[[^`]*\])?`", PAGE)))


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_the_test_exists(file: str, name: str) -> None:
    assert f"def {name}(" in (REPOSITORY / file).read_text(encoding="utf-8")


def test_every_row_names_a_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| fault |")]
    assert len(rows) > 100
    assert [row for row in rows if "`tests/" not in row.split(" | ")[-1] and "`make " not in row] == []
