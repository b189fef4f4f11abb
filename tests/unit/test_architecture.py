"""Tests of the import directions: dags and jobs import include, and never each other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.settings import REPOSITORY


def modules_of(folder: str) -> list[Path]:
    """Return every Python file below a folder of the repository."""
    found = sorted((REPOSITORY / folder).rglob("*.py"))
    assert found, f"no Python files below {folder}"
    return found


def imports_of(path: Path) -> Iterator[str]:
    """Yield the full name of every import in a file, including imports inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def offenders(folder: str, forbidden: str, *, except_below: str | None = None) -> list[str]:
    """Return the files below ``folder`` that import ``forbidden`` or something in it."""
    return [
        f"{path.relative_to(REPOSITORY)} imports {name}"
        for path in modules_of(folder)
        if except_below is None or REPOSITORY / except_below not in path.parents
        for name in imports_of(path)
        if name == forbidden or name.startswith(forbidden + ".")
    ]


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        ("include", "pyspark"),
        ("include", "dags"),
        ("include", "jobs"),
        ("include", "tests"),
        ("dags", "jobs"),
        ("dags", "pyspark"),
        ("dags", "tests"),
        ("jobs", "dags"),
        ("jobs", "airflow"),
        ("jobs", "include.airflow"),
        ("jobs", "tests"),
    ],
)
def test_a_folder_never_imports_a_forbidden_package(folder: str, forbidden: str) -> None:
    assert offenders(folder, forbidden) == []


def test_airflow_is_imported_only_below_include_airflow() -> None:
    assert offenders("include", "airflow", except_below="include/airflow") == []
    assert offenders("include", "include.airflow", except_below="include/airflow") == []


@pytest.mark.parametrize(
    ("heavy", "home"),
    [("great_expectations", "include/quality"), ("faker", "include/generator"), ("pandas", "include/quality")],
)
def test_heavy_libraries_are_imported_only_in_their_own_folder(heavy: str, home: str) -> None:
    assert offenders("include", heavy, except_below=home) == []
    assert offenders("dags", heavy) == []


def test_the_architecture_page_names_existing_files() -> None:
    page = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:dags|docs|expectations|include|jobs|tests)/[\w/.]*)`", page)
    assert len(named) > 30
    assert [path for path in named if not (REPOSITORY / path).exists()] == []


def test_the_check_itself_sees_an_import(tmp_path: Path) -> None:
    source = tmp_path / "one.py"
    source.write_text("def f():\n    from pyspark.sql import functions\n    import airflow.sdk\n")
    assert list(imports_of(source)) == ["pyspark.sql.functions", "airflow.sdk"]
