"""Deliver a run of event files: ``python -m include.generator``."""

from __future__ import annotations

import argparse
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from include.errors import ShopstreamError
from include.generator.options import GeneratorOptions
from include.generator.run import Totals, generate
from include.manifest import Manifest
from include.settings import Settings

_BACKFILL_ROWS_PER_FILE = 50_000
_PLAIN_LINE_SECONDS = 10.0
# A paced run that ends further behind than this had a rate too high for the machine or the disk.
_NOTABLE_DELAY_SECONDS = 1.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code, which is 0 also for a run that was stopped."""
    try:
        settings = Settings.from_env()
        arguments = _parser(settings).parse_args(argv)
        options = _options(arguments)
        stopped = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopped.set())
        with _progress(options.total_rows) as on_file:
            totals = generate(options, arguments.landing, arguments.manifests, on_file, stop=stopped.is_set)
    except ShopstreamError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    _print_totals(totals, options, was_stopped=stopped.is_set())
    return 0


def _parser(settings: Settings) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m include.generator",
        description="Write the traffic of a shop as CSV event files, each with a manifest of its exact content.",
    )
    parser.add_argument(
        "--rate",
        type=_finite,
        default=settings.feed_events_per_second,
        help="rows per second, bad rows and duplicates included (default: %(default)g)",
    )
    parser.add_argument(
        "--duration", type=_finite, help="seconds of traffic (default: until stopped; needed with --no-pace)"
    )
    parser.add_argument(
        "--rows-per-file",
        type=int,
        help=f"rows per file (default: one second of traffic; {_BACKFILL_ROWS_PER_FILE} with --no-pace)",
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="same seed and start give the same bytes (default: %(default)s)"
    )
    parser.add_argument(
        "--start",
        type=_instant,
        help="first event time, ISO 8601 with an offset or Z (default: now; with --no-pace: now minus --duration)",
    )
    parser.add_argument("--bad-share", type=float, default=0.01, help="share of bad rows (default: %(default)g)")
    parser.add_argument(
        "--duplicate-share", type=float, default=0.005, help="share of repeated rows (default: %(default)g)"
    )
    parser.add_argument(
        "--late-share", type=float, default=0.005, help="share of rows 2-48 h late (default: %(default)g)"
    )
    parser.add_argument(
        "--no-pace", action="store_true", help="write as fast as possible instead of in real time (backfill)"
    )
    parser.add_argument("--landing", type=Path, default=settings.landing_dir, help="folder of the files (%(default)s)")
    parser.add_argument(
        "--manifests", type=Path, default=settings.manifest_dir, help="folder of the manifests (%(default)s)"
    )
    return parser


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text} is not a finite number")
    return number


def _instant(text: str) -> datetime:
    try:
        # fromisoformat() of Python 3.10 does not parse Z.
        return datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} is not an ISO 8601 time such as 2026-11-22T09:30:00Z") from error


def _options(arguments: argparse.Namespace) -> GeneratorOptions:
    is_paced = not arguments.no_pace
    start = arguments.start or datetime.now(UTC)
    if not is_paced and not arguments.start and arguments.duration:
        start -= timedelta(seconds=arguments.duration)
    rows_per_file = arguments.rows_per_file
    if rows_per_file is None:
        rows_per_file = max(1, round(arguments.rate)) if is_paced else _BACKFILL_ROWS_PER_FILE
    return GeneratorOptions(
        seed=arguments.seed,
        start=start,
        events_per_second=arguments.rate,
        duration_seconds=arguments.duration,
        rows_per_file=rows_per_file,
        bad_share=arguments.bad_share,
        duplicate_share=arguments.duplicate_share,
        late_share=arguments.late_share,
        is_paced=is_paced,
    )


@contextmanager
def _progress(total_rows: int | None) -> Iterator[Callable[[Manifest], None]]:
    """Yield a function to call after each file; it moves a progress bar on a terminal, else prints some lines."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain_progress()
        return
    columns = (SpinnerColumn(), BarColumn(), MofNCompleteColumn(), TextColumn("rows"), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.description}"), console=console) as bar:
        task = bar.add_task("", total=total_rows)
        yield lambda manifest: bar.update(task, advance=manifest.rows, description=manifest.file)


def _plain_progress() -> Callable[[Manifest], None]:
    files = rows = 0
    next_line = time.monotonic() + _PLAIN_LINE_SECONDS

    def on_file(manifest: Manifest) -> None:
        nonlocal files, rows, next_line
        files += 1
        rows += manifest.rows
        if time.monotonic() >= next_line:
            next_line += _PLAIN_LINE_SECONDS
            print(f"{files} files, {rows} rows, newest {manifest.file}", file=sys.stderr, flush=True)

    return on_file


def _print_totals(totals: Totals, options: GeneratorOptions, *, was_stopped: bool) -> None:
    print(
        f"{'stopped after ' if was_stopped else ''}{totals.files} files, {totals.rows} rows: {totals.valid} valid "
        f"({totals.late} late), {totals.bad} bad, {totals.duplicates} duplicates; "
        f"{totals.elapsed_seconds:.1f} s, {totals.rows_per_second:.0f} rows/s"
    )
    if totals.behind_seconds > _NOTABLE_DELAY_SECONDS:
        print(
            f"note: the last file was delivered {totals.behind_seconds:.1f} s late. The run began in the past, or this "
            f"machine cannot sustain {options.events_per_second:g} rows/s in files of {options.rows_per_file} rows: "
            "lower --rate or raise --rows-per-file.",
            file=sys.stderr,
        )


if __name__ == "__main__":
    sys.exit(main())
