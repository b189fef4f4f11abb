"""Validate or run the suites: ``python -m include.quality validate`` and ``... check``."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from include.errors import ShopstreamError, SuiteError
from include.quality.model import Scope, Suite
from include.quality.run import catch_up, run_suite
from include.quality.suites import SUITES_DIR, load_suite, load_suites
from include.settings import Settings


def main(argv: list[str] | None = None) -> int:
    """Run a command and return its exit code: 1 when a suite is invalid or a critical check failed, else 0."""
    arguments = _parser().parse_args(argv)
    try:
        if arguments.command == "validate":
            return _validate(arguments.directory)
        return _check(arguments.directory, arguments.suite, arguments.table, "full" if arguments.full else "window")
    except ShopstreamError as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m include.quality", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    validate = commands.add_parser("validate", help="validate all suites and report every mistake, without a database")
    validate.add_argument("directory", nargs="?", type=Path, default=SUITES_DIR, help="default: %(default)s")
    check = commands.add_parser("check", help="run suites against Postgres and store the results")
    check.add_argument("--suite", action="append", default=[], metavar="NAME", help="only this suite; may be repeated")
    check.add_argument("--table", metavar="TABLE", help="only the suites of this table, for example shop.events")
    check.add_argument("--full", action="store_true", help="check all rows, not only new ones")
    check.add_argument("--directory", type=Path, default=SUITES_DIR, help="default: %(default)s")
    return parser


def _validate(directory: Path) -> int:
    for suite in load_suites(directory):
        print(f"{suite.name}: {len(suite.checks)} checks of {suite.table}")
    return 0


def _check(directory: Path, names: list[str], table: str | None, scope: Scope) -> int:
    settings = Settings.from_env()
    read_dsn, write_dsn = settings.dsn("quality"), settings.dsn("ops")
    suites = _choose(directory, names, table)
    run_id = f"manual__{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    failures = 0
    for suite in suites:
        run = partial(run_suite, suite, read_dsn=read_dsn, write_dsn=write_dsn, run_id=run_id, scope=scope)
        for outcome in catch_up(run):
            failures += len(outcome.blockers)
            print(outcome.summary(), flush=True)
    return 1 if failures else 0


def _choose(directory: Path, names: list[str], table: str | None) -> list[Suite]:
    suites = [load_suite(name, directory) for name in names] or load_suites(directory)
    chosen = [suite for suite in suites if table in (None, suite.table)]
    if not chosen:
        tables = dict.fromkeys(suite.table for suite in suites)
        raise SuiteError(f"no suite checks {table}", f"Choose one of {', '.join(tables)}")
    return chosen


if __name__ == "__main__":
    sys.exit(main())
