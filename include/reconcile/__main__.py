"""Reconcile manifests and Postgres: ``python -m include.reconcile``.

The exit code is 0 when they agree, and 1 when they differ or nothing was compared.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from include.errors import ShopstreamError
from include.reconcile.run import reconcile
from include.settings import Settings

# While a feed runs, its newest file is usually not loaded yet.
_WAIT_SECONDS = 30.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    try:
        settings = Settings.from_env()
        arguments = _parser(settings).parse_args(argv)
        report = reconcile(
            settings.dsn("ops"),
            arguments.manifests,
            wait_seconds=arguments.wait,
            retention_days=settings.retention_days,
            is_ledger_only=arguments.ledger_only,
        )
    except ShopstreamError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    report.show(Console())
    return 0 if report.agrees else 1


def _parser(settings: Settings) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m include.reconcile",
        description="Compare the manifests of generated files with Postgres, and its tables with one another.",
    )
    parser.add_argument(
        "--manifests", type=Path, default=settings.manifest_dir, help="folder of the manifests (%(default)s)"
    )
    parser.add_argument(
        "--wait",
        type=float,
        default=_WAIT_SECONDS,
        metavar="SECONDS",
        help="maximum wait for files that are not loaded yet (default: %(default)g)",
    )
    parser.add_argument("--ledger-only", action="store_true", help="compare only the tables, without manifests")
    return parser


if __name__ == "__main__":
    sys.exit(main())
