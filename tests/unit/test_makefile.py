"""Tests of the Makefile and its documentation."""

from __future__ import annotations

import re
import subprocess

import pytest

from include.settings import REPOSITORY

MAKEFILE = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
TARGETS = re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE)


def test_every_target_is_documented_and_phony() -> None:
    documented = re.findall(r"^([a-z-]+):.*## \S", MAKEFILE, re.MULTILINE)
    (phony,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert documented == TARGETS
    assert sorted(phony.split()) == sorted([*TARGETS, "$(TEST_PARTS)"])


def test_make_test_runs_every_directory_of_tests() -> None:
    (parts,) = re.findall(r"^TEST_PARTS := (.*)$", MAKEFILE, re.MULTILINE)
    run = [REPOSITORY / "tests" / part.removeprefix("test-").replace("-", "/") for part in parts.split()]
    # These need minutes or root, and have targets of their own.
    apart = [REPOSITORY / "tests" / name for name in ("unit", "cluster", "deploy/parity")]
    for path in (REPOSITORY / "tests").rglob("test_*.py"):
        assert any(directory in path.parents for directory in [*run, *apart]), path


def test_help_lists_every_target() -> None:
    done = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    plain = re.sub(r"\x1b\[\d*m", "", done.stdout)
    assert [line.split()[0] for line in plain.splitlines()] == TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_the_operations_page_documents_the_target(target: str) -> None:
    assert f"make {target}" in (REPOSITORY / "docs" / "operations.md").read_text(encoding="utf-8")


def test_load_without_files_prints_its_usage() -> None:
    command = ["make", "--no-print-directory", "load", "PYTHON=true"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 2
    assert "make load FILES=" in done.stderr
