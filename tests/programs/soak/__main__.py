"""Feeds the real job what is too large for a test of minutes: ``python -m tests.programs.soak --help``.

Each case has a database and folders of its own. It fails when a row is missing, or when the driver and its Python
processes together were larger than the limit at any moment.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.programs.soak.inputs import gzip_bomb, large_fields, large_file, tiny_files
from tests.programs.soak.job import Drained, database, drain

MIB = 1024 * 1024
GIB = 1024 * MIB


@dataclass(frozen=True)
class Case:
    """One input: who makes it, of what size, and what must become of it beside its good rows.

    ``unit`` is the number of files or bytes that ``size`` counts; ``loaded`` None stands for all files that are made.
    """

    make: Callable[[Path, int], int]
    size: float
    unit: int
    what: str
    loaded: int | None = 1
    rejected: int = 0
    faults: tuple[str, ...] = ()


CASES = {
    "tiny-files": Case(tiny_files, 100_000, 1, "files of one row", loaded=None),
    "large-file": Case(large_file, 2, GIB, "GiB in one file"),
    "gzip-bomb": Case(gzip_bomb, 4.1, GIB, "GiB unpacked", loaded=0, faults=("too_large",)),
    "large-fields": Case(large_fields, 100, MIB, "MiB in one field, bare and quoted", loaded=2, rejected=2),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the chosen cases, and return 1 if one of them failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.programs.soak", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)} (default all)")
    for name, case in CASES.items():
        parser.add_argument(f"--{name}", type=float, default=case.size, metavar="N", help=f"{case.what} (%(default)s)")
    parser.add_argument("--limit-mib", type=int, default=3072, help="peak memory of the driver (%(default)s)")
    parser.add_argument("--timeout", type=float, default=3600, help="seconds for one case (%(default)s)")
    arguments = parser.parse_args(argv)
    if unknown := set(arguments.cases) - set(CASES):
        parser.error(f"{', '.join(sorted(unknown))} is not a case; choose from {', '.join(CASES)}")
    print("case | rows | batches | seconds | rows/s | peak MiB: JVM, Python, together")
    failed = False
    for name in arguments.cases or CASES:
        case, size = CASES[name], getattr(arguments, name.replace("-", "_"))
        faults = run(name, case, size, timeout_seconds=arguments.timeout, limit_mib=arguments.limit_mib)
        for fault in faults:
            print(f"  FAILED: {fault}", file=sys.stderr)
        failed = failed or bool(faults)
    return int(failed)


def run(name: str, case: Case, size: float, *, timeout_seconds: float, limit_mib: int) -> list[str]:
    """Run one case and print its line; return what is wrong with the outcome."""
    with tempfile.TemporaryDirectory(prefix="shopstream-soak-") as directory:
        Path(directory).chmod(0o711)
        with database(Path(directory) / "home") as settings:
            rows = case.make(settings.landing_dir, round(size * case.unit))
            found = drain(settings, timeout_seconds=timeout_seconds)
    print(line(f"{name}, {size:g} {case.what}", found), flush=True)
    expected = {
        "accepted": rows,
        "rejected": case.rejected,
        "loaded": rows if case.loaded is None else case.loaded,
        "faults": case.faults,
    }
    wrong = [
        f"{name}: {what} is {getattr(found, what)}, not {value}"
        for what, value in expected.items()
        if getattr(found, what) != value
    ]
    if not found.memory.samples or found.memory.together > limit_mib * MIB:
        wrong.append(f"{name}: {found.memory.together / MIB:,.0f} MiB of memory, the limit is {limit_mib:,} MiB")
    return wrong


def line(what: str, found: Drained) -> str:
    """Return the figures of a case."""
    rate = f"{found.accepted / found.stream_seconds:,.0f}" if found.accepted and found.stream_seconds else "-"
    peaks = (found.memory.jvm, found.memory.python, found.memory.together)
    return (
        f"{what} | {found.accepted:,} | {found.batches:,} | {found.stream_seconds:,.0f} of {found.seconds:,.0f} "
        f"| {rate} | {', '.join(f'{peak / MIB:,.0f}' for peak in peaks)}"
    )


if __name__ == "__main__":
    sys.exit(main())
