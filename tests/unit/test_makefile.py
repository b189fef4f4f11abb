"""Tests of the Makefile and its documentation."""

from __future__ import annotations

import re
import subprocess

import pytest

from include.settings import REPOSITORY

MAKEFILE = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
TARGETS = re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE)
TEST_PARTS = re.findall(r"^TEST_PARTS := (.*)$", MAKEFILE, re.MULTILINE)[0].split()
# The pages from which people copy commands.
PAGES = {name: (REPOSITORY / name).read_text(encoding="utf-8") for name in ("CONTRIBUTING.md", "README.md")}


def test_every_target_is_documented_and_phony() -> None:
    documented = re.findall(r"^([a-z-]+):.*## \S", MAKEFILE, re.MULTILINE)
    (phony,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert documented == TARGETS
    assert sorted(phony.split()) == sorted([*(set(TARGETS) - set(TEST_PARTS)), "$(TEST_PARTS)"])


def test_make_test_runs_every_directory_of_tests() -> None:
    run = [REPOSITORY / "tests" / part.removeprefix("test-").replace("-", "/") for part in TEST_PARTS]
    # These need minutes or root, and have targets of their own.
    apart = [REPOSITORY / "tests" / name for name in ("cluster", "deploy/parity")]
    for path in (REPOSITORY / "tests").rglob("test_*.py"):
        assert any(directory in path.parents for directory in [*run, *apart]), path


def test_help_lists_every_target() -> None:
    done = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    plain = re.sub(r"\x1b\[\d*m", "", done.stdout)
    assert [line.split()[0] for line in plain.splitlines()] == TARGETS


@pytest.mark.parametrize("part", TEST_PARTS)
def test_each_part_of_the_tests_has_a_target_that_installs_what_it_needs_and_runs_it(part: str) -> None:
    plan = subprocess.run(["make", "--dry-run", part], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    directory = part.removeprefix("test-").replace("-", "/")
    first, second = plan.stdout.splitlines()
    assert first.endswith("include.platform.installation.install --dev")
    assert f" -m pytest tests/{directory} " in second
    assert part in PAGES["CONTRIBUTING.md"]


def named_targets(page: str) -> set[str]:
    """Return the targets that a page names: after ``make``, and alone in backquotes in a cell that begins with one."""
    cells = "".join(re.findall(r"^\| (`make [^|]*) \|", page, re.MULTILINE))
    return set(re.findall(r"[`$] ?make ([a-z][a-z0-9-]+)", page)) | set(re.findall(r"`([a-z][a-z0-9-]+)`", cells))


def named_paths(page: str) -> set[str]:
    """Return the paths of this repository that a page names: in its links, and in backquotes when they have a slash."""
    links = {target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", page) if "://" not in target}
    quoted = set(re.findall(r"`(?:make test T=)?([\w.-]+/[\w./-]*(?:::\w+)?)`", page))
    return {path for path in links | quoted if path}


@pytest.mark.parametrize("name", PAGES)
def test_each_target_that_a_page_names_exists(name: str) -> None:
    named = named_targets(PAGES[name])
    assert len(named) > 5
    assert named - {*TARGETS, *TEST_PARTS} == set()


@pytest.mark.parametrize("name", PAGES)
def test_each_path_and_test_that_a_page_names_exists(name: str) -> None:
    named = named_paths(PAGES[name])
    assert len(named) > 5
    for path in named:
        file, _, test = path.partition("::")
        assert (REPOSITORY / file).exists(), path
        assert not test or f"\ndef {test}(" in (REPOSITORY / file).read_text(encoding="utf-8"), path


def test_names_that_do_not_exist_are_found() -> None:
    page = (
        "$ make nothing  # creates nothing\n| `make none`, `test-none` | [a](nowhere.md#b) |\n"
        "`make test T=tests/unit/test_makefile.py::test_nothing`"
    )
    assert named_targets(page) == {"nothing", "none", "test-none", "test"}
    assert named_paths(page) == {"tests/unit/test_makefile.py::test_nothing", "nowhere.md"}


@pytest.mark.parametrize("target", TARGETS)
def test_the_operations_page_documents_the_target(target: str) -> None:
    assert f"make {target}" in (REPOSITORY / "docs" / "operations.md").read_text(encoding="utf-8")


def test_load_without_files_prints_its_usage() -> None:
    command = ["make", "--no-print-directory", "load", "PYTHON=true"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 2
    assert "make load FILES=" in done.stderr
