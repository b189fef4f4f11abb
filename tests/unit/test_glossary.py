"""The words that docs/glossary.md gave up stay out of the repository."""

from __future__ import annotations

import re
import subprocess

import pytest

from include.settings import REPOSITORY

# Files that keep their words: migrations and decisions are records, and so is the log of changes.
_RECORDS = re.compile(
    r"^(include/sql/migrations/|docs/decisions/|docs/performance|CHANGELOG\.md|docs/glossary\.md)|/vendor/"
)
_TEXTS = re.compile(r"\.(py|sql|js|css|html|yml|yaml|json|md|toml|sh|conf)$|(^|/)(Makefile|Dockerfile)$")


def given_up() -> list[tuple[str, str]]:
    """Each pattern of the glossary's table of words that were given up, with the term that took its place."""
    page = (REPOSITORY / "docs" / "glossary.md").read_text(encoding="utf-8")
    table = page.split("## Words that were given up")[1]
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \|$", table, re.MULTILINE)
    # A pipe within a cell of a Markdown table is escaped.
    return [(pattern.replace(r"\|", "|"), term) for pattern, term in rows]


def _tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    names = listed.stdout.splitlines()
    return [
        name
        for name in names
        if _TEXTS.search(name) and not _RECORDS.search(name) and name != "tests/unit/test_glossary.py"
    ]


@pytest.fixture(scope="module")
def texts() -> dict[str, list[str]]:
    """The lines of each text file by its name."""
    paths = ((name, REPOSITORY / name) for name in _tracked())
    return {name: path.read_text(encoding="utf-8").splitlines() for name, path in paths if path.is_file()}


def test_there_is_a_list() -> None:
    assert len(given_up()) > 15


@pytest.mark.parametrize(("pattern", "term"), given_up(), ids=lambda value: value.strip())
def test_a_word_that_was_given_up_is_used_nowhere(texts: dict[str, list[str]], pattern: str, term: str) -> None:
    word = re.compile(rf"(?<![A-Za-z0-9_])({pattern})(?![A-Za-z0-9_])")
    found = [
        f"{name}:{number}: {line.strip()}"
        for name, lines in texts.items()
        for number, line in enumerate(lines, 1)
        if word.search(line)
    ]
    assert found == [], f"write {term.strip()} instead"
