"""Load suites: YAML files about one table or view each, validated strictly before anything runs.

Great Expectations' own loaders drop an expectation with a mistyped name and report success. Here every key, name,
parameter, severity and column must be known, and one message reports all faults of all files.
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
    """A suite as far as it could be read, and its faults; a draft with faults must not run.

    ``suite`` is None when the file is not valid YAML.
    """

    name: str
    suite: Suite | None
    faults: tuple[str, ...]

    @property
    def error(self) -> SuiteError | None:
        """One error with all faults; None when there are none."""
        return _error(self.faults) if self.faults else None


def suite_names(directory: Path = SUITES_DIR) -> tuple[str, ...]:
    """Return the names of all suites without reading the files, fast enough for DAG parsing."""
    return tuple(path.stem for path in sorted(directory.glob("*.yml")))


def read_drafts(directory: Path = SUITES_DIR) -> list[Draft]:
    """Read every suite of a directory, sorted by name, including those with faults.

    A file whose name ends in ``.yaml`` or ``.YML`` gives a draft with a fault. If it were ignored, its checks would
    seem to pass.

    Raises
    ------
    SuiteError
        When the directory has no suite.
    """
    names = suite_names(directory)
    misnamed = [path for path in sorted(directory.glob("*")) if _is_misnamed(path) and path.stem not in names]
    if not names and not misnamed:
        raise SuiteError(f"{directory} contains no suite (*.yml)", "See expectations/README.md for how to write one")
    drafts = [_draft(name, directory) for name in names]
    drafts += [
        Draft(path.stem, None, (f"{path}:1: the name of a suite ends in .yml; rename it to {path.stem}.yml",))
        for path in misnamed
    ]
    return sorted(drafts, key=lambda draft: draft.name)


def _is_misnamed(path: Path) -> bool:
    return path.suffix != ".yml" and path.suffix.lower() in (".yml", ".yaml")


def load_suites(directory: Path = SUITES_DIR) -> list[Suite]:
    """Read every suite of a directory, sorted by name.

    Raises
    ------
    SuiteError
        With every fault of every file as ``file:line: message``, or when the directory has no suite.
    """
    return _all_good(read_drafts(directory))


def load_suite(name: str, directory: Path = SUITES_DIR) -> Suite:
    """Read one suite, regardless of faults in the others.

    Raises
    ------
    SuiteError
        When no suite has that name, or with every fault of its file.
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
