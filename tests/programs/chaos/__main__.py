"""``python -m tests.programs.chaos``: break a real instance repeatedly, and check that no event is lost or doubled."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.programs.chaos.faults import FAULTS
from tests.programs.chaos.instance import Instance
from tests.programs.chaos.journal import Journal
from tests.programs.chaos.run import run
from tests.programs.chaos.schedule import schedule
from tests.programs.chaos.table import markdown, write_into


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return 1 when a promise was not kept, and keep the instance's home then."""
    arguments = _parser().parse_args(argv)
    if arguments.list:
        for fault in FAULTS.values():
            print(f"{fault.name:32} {fault.title}")
        return 0
    only = [name for name in arguments.only.split(",") if name]
    if unknown := sorted(set(only) - set(FAULTS)):
        print(f"{', '.join(unknown)} is not a fault: see --list", file=sys.stderr)
        return 2
    home = arguments.home or Path(tempfile.mkdtemp(prefix="shopstream-chaos-"))
    instance = Instance.with_disks(home)
    journal = Journal(home / "chaos.jsonl")
    journal.write("start", f"an instance at {home}, seed {arguments.seed}", **vars(arguments))
    if instance.why_no_disks and len(instance.disks) < 3:
        journal.write("disks", f"without disks of its own: {instance.why_no_disks}")
    is_good = False
    try:
        instance.platform.up()
        result = run(
            instance,
            journal,
            schedule(arguments.seed, only),
            faults=arguments.faults,
            minutes=arguments.minutes,
            rate=arguments.rate,
            seed=arguments.seed,
        )
        section = markdown(result)
        print(f"\n{section}\n")
        if arguments.report:
            write_into(arguments.report, section)
        for violation in result.violations:
            print(f"VIOLATION  {violation}")
        for overrun in result.late:
            print(f"LATE       {overrun}")
        is_good = not result.violations and not result.late
    finally:
        instance.platform.run("include.platform", "down")
        if is_good and not arguments.keep:
            instance.unmount()
            shutil.rmtree(home, ignore_errors=True)
        else:
            mounted = f"; mounted there: {', '.join(instance.disks)}" if instance.disks else ""
            print(f"the instance is kept at {home}{mounted}; its journal is {journal.path}")
    return 0 if is_good else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.programs.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30, help="shortest duration (default %(default)g)")
    parser.add_argument("--rate", type=int, default=2000, help="events per second (default %(default)s)")
    parser.add_argument("--faults", type=int, default=60, help="fewest faults (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same faults (default %(default)s)")
    parser.add_argument("--only", default="", help="names of faults, comma-separated; see --list")
    parser.add_argument("--report", type=Path, help="page to write the table into")
    parser.add_argument("--home", type=Path, help="directory of the instance (default: a new one)")
    parser.add_argument("--keep", action="store_true", help="keep the instance's home also after success")
    parser.add_argument("--list", action="store_true", help="list the faults, and do nothing")
    return parser


if __name__ == "__main__":
    sys.exit(main())
