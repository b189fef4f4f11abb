"""``python -m tests.programs.benchmarks``: measure the whole platform, each figure beside a reference of the same run.

One instance serves all benchmarks, in their order, so that history grows as it does in life. ``--quick`` measures a
part in less than four minutes and compares its ratios with the committed ones.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from include.settings import REPOSITORY
from include.stream.supervision.disk import free_gib
from tests.programs.benchmarks import (
    files,
    generator,
    guard,
    history,
    latency,
    machine,
    memory,
    queries,
    start,
    throughput,
)
from tests.programs.benchmarks.bench import Bench
from tests.programs.benchmarks.figures import Measured
from tests.programs.benchmarks.peers import jdbc, pathway
from tests.programs.benchmarks.report import write_report
from tests.programs.benchmarks.results import read_results, with_measured, write_results
from tests.programs.benchmarks.sizes import FULL, QUICK, Sizes
from tests.programs.chaos.instance import FEED, Instance
from tests.support.platform import Platform

RESULTS = REPOSITORY / "docs" / "performance.json"
PAGE = REPOSITORY / "docs" / "performance.md"
# History comes early, so the later parts are measured with 50 million stored events. The checks process these
# meanwhile, and the queries wait for them; latency comes afterwards.
FULL_RUN = ("start", "generator", "history", "files", "queries", "latency", "memory")
QUICK_RUN = ("generator", "latency", "throughput")
# Estimated for events, facts, the log, a turn of files, and what the audit sorts: a run that also kept all files and
# the copies, some 16 GiB, had filled 48.
_HISTORY_GIB = 45


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return 1 when a figure of a quick run has become worse."""
    arguments = _parser().parse_args(argv)
    size, sizes, names = ("quick", QUICK, QUICK_RUN) if arguments.quick else ("full", FULL, FULL_RUN)
    if arguments.only:
        names = tuple(arguments.only.split(","))
        if unknown := sorted(set(names) - {*FULL_RUN, *QUICK_RUN}):
            print(f"{', '.join(unknown)} is no benchmark: {', '.join(FULL_RUN)}", file=sys.stderr)
            return 2
    scratch = Path(tempfile.gettempdir())
    if "history" in names and (free := free_gib(scratch)) < _HISTORY_GIB:
        advice = f"history needs {_HISTORY_GIB} GiB: make room, or point TMPDIR at a larger disk"
        print(f"{scratch} has {free:.0f} GiB free. {advice}", file=sys.stderr)
        return 2
    committed = read_results(arguments.results)
    results = committed
    for name, measured, about in _measure(names, sizes):
        results = with_measured(results, size, name, measured, about)
        if arguments.save or not arguments.quick:
            write_results(arguments.results, results)
            write_report(arguments.report, results)
        for figure in measured.figures:
            ratio = "" if figure.ratio is None else f", {figure.ratio:.3f} of {figure.reference}"
            print(f"    {figure.title}: {figure.value:,.4g} {figure.unit}{ratio}")
    if not arguments.quick or arguments.save:
        return 0
    worse = guard.regressions({name: results["quick"][name] for name in names}, committed.get("quick", {}))
    for line in worse:
        print(f"WORSE  {line}")
    print("worse than committed" if worse else "no ratio is worse than the committed one")
    return 1 if worse else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.programs.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a part of it, compared with what is committed")
    parser.add_argument("--only", default="", help=f"some of {', '.join(FULL_RUN)}, comma-separated")
    parser.add_argument("--save", action="store_true", help="make a quick run the one to compare with")
    parser.add_argument("--results", type=Path, default=RESULTS, help="JSON file (%(default)s)")
    parser.add_argument("--report", type=Path, default=PAGE, help="page with the tables and plots (%(default)s)")
    return parser


def _measure(names: Sequence[str], sizes: Sizes) -> Iterator[tuple[str, Measured, dict[str, Any]]]:
    with _bench(sizes) as bench:
        peers = [peer for peer in (pathway.peer(), jdbc.peer()) if sizes.peer_rows]
        for absent in (peer for peer in peers if peer.absent):
            bench.say(f"without {absent.name}: {absent.absent}")
        present = [peer for peer in peers if not peer.absent]
        # Measured while the instance is new, whenever the comparison follows.
        first_files = files.first_thousand(bench) if "files" in names else []
        benchmarks: dict[str, Callable[[], Measured]] = {
            "start": lambda: start.starts(sizes.starts) + start.kills(bench),
            "generator": lambda: generator.measure(bench),
            "latency": lambda: latency.measure(bench),
            "throughput": lambda: throughput.measure(bench, present),
            "history": lambda: history.measure(bench, present),
            "queries": lambda: queries.measure(bench),
            "files": lambda: files.measure(bench, first_files),
            "memory": lambda: memory.measure(bench),
        }
        for name in names:
            bench.say(name)
            began = time.monotonic()
            measured = benchmarks[name]()
            about = {**machine.describe(), "minutes": round((time.monotonic() - began) / 60)}
            if name in ("history", "throughput"):
                about["absent"] = [f"{peer.name} ({peer.absent})" for peer in peers if peer.absent]
            yield name, measured, about


@contextmanager
def _bench(sizes: Sizes) -> Iterator[Bench]:
    home = Path(tempfile.mkdtemp(prefix="shopstream-bench-"))
    home.chmod(0o711)
    instance = Instance(Platform(home))
    bench = Bench(instance, sizes)
    try:
        returned, first_event = start.start(instance)
        bench.say(f"up after {returned:.1f} s, the first event after {first_event:.1f} s")
        instance.silence(FEED)
        (home / "bench").mkdir()
        bench.make_copy_database()
        bench.wait_until_idle()
        yield bench
    finally:
        instance.platform.run("include.platform", "down")
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
