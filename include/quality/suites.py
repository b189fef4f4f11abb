"""Suites: one YAML file a table or view, validated strictly before anything runs.

Great Expectations' own loaders drop an expectation with a mistyped name and report success. Here every key, name,
parameter, severity and column must be known, and all faults of all files come in one message.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from include.errors import SuiteError
from include.quality.model import Suite
from include.quality.reading import read_suite
from include.settings import REPOSITORY

SUITES_DIR = REPOSITORY / "expectations"


@dataclass(frozen=True)
class Draft:
    """A suite as far as it can be read, and what is wrong with it: one with faults must not be run.

    ``suite`` is None when the file is not even YAML.
    """

    name: str
    suite: Suite | None
    faults: tuple[str, ...]

    @property
    def error(self) -> SuiteError | None:
        """All faults in one."""
        return _error(self.faults) if self.faults else None


def suite_names(directory: Path = SUITES_DIR) -> tuple[str, ...]:
    """The names of all suites, without reading them: fit for a DAG's parse time."""
    return tuple(path.stem for path in sorted(directory.glob("*.yml")))


def read_drafts(directory: Path = SUITES_DIR) -> list[Draft]:
    """Read every suite of a directory, in the order of their names, whatever is wrong with some.

    Raises
    ------
    SuiteError
        When there is no suite at all.
    """
    names = suite_names(directory)
    if not names:
        raise SuiteError(f"{directory} holds no suite (*.yml)", "See expectations/README.md for how to write one")
    return [_draft(name, directory) for name in names]


def load_suites(directory: Path = SUITES_DIR) -> list[Suite]:
    """Read every suite of a directory, in the order of their names.

    Raises
    ------
    SuiteError
        With every fault of every file as ``file:line: what``, or when there is no suite at all.
    """
    return _all_good(read_drafts(directory))


def load_suite(name: str, directory: Path = SUITES_DIR) -> Suite:
    """Read one suite, whatever is wrong with the others.

    Raises
    ------
    SuiteError
        When there is no suite of that name, or with every fault of its file.
    """
    known = suite_names(directory)
    if name not in known:
        raise SuiteError(f"there is no suite {name} in {directory}", f"Choose one of {', '.join(known)}")
    (suite,) = _all_good([_draft(name, directory)])
    return suite


def _draft(name: str, directory: Path) -> Draft:
    suite, faults = read_suite(directory / f"{name}.yml")
    return Draft(name, suite, tuple(faults))


def _all_good(drafts: Iterable[Draft]) -> list[Suite]:
    drafts = list(drafts)
    if faults := [fault for draft in drafts for fault in draft.faults]:
        raise _error(faults)
    return [draft.suite for draft in drafts if draft.suite is not None]


def _error(faults: Iterable[str]) -> SuiteError:
    faults = list(faults)
    count = f"{len(faults)} mistakes" if len(faults) > 1 else "1 mistake"
    return SuiteError(
        f"{count} in the expectation suites:\n  " + "\n  ".join(faults) + "\nNothing was checked",
        "Correct the suites and try them with `make check-suites`",
    )
