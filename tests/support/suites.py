"""Write suites for tests that concern only some of them: the other required ones pass."""

from __future__ import annotations

from pathlib import Path

from include.db.views import view_names
from include.quality.required import GATES
from include.quality.suites import suite_names

_PASSES = """\
table: {table}
{gate}checks:
  - {{name: passes, expect: expect_table_row_count_to_be_between, min_value: 0, severity: critical}}
"""


def fill_up(directory: Path) -> Path:
    """Write the required suites that are missing in a directory, and return it."""
    present = [path.read_text(encoding="utf-8") for path in directory.glob("*.yml")]
    for name, table in GATES.items():
        if name not in suite_names(directory):
            write_passing(directory, name, table, is_gate=True)
    for view in view_names():
        if not any(f"table: shop.{view}\n" in text for text in present):
            write_passing(directory, view, f"shop.{view}", is_gate=False)
    return directory


def write_passing(directory: Path, name: str, table: str, *, is_gate: bool) -> Path:
    """Write a suite with one check that passes, and return its file."""
    path = directory / f"{name}.yml"
    path.write_text(_PASSES.format(table=table, gate="holds_publication: true\n" if is_gate else ""), encoding="utf-8")
    return path
