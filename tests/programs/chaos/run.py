"""Run the harness on an instance that is up: feed, faults, drain, and the check of the invariants."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from random import Random

from tests.programs.chaos.faults import Fault
from tests.programs.chaos.feed import Feed
from tests.programs.chaos.injection import Injection, inject
from tests.programs.chaos.instance import FEED, Instance
from tests.programs.chaos.invariants import check, drain, totals
from tests.programs.chaos.journal import Journal
from tests.programs.chaos.table import Result
from tests.programs.chaos.waiting import BrokenPromiseError

_FIRST_CALM_SECONDS = 180.0
_POISON = "poison-"


def run(
    instance: Instance,
    journal: Journal,
    schedule: Iterable[tuple[Fault, Random]],
    *,
    faults: int,
    minutes: float,
    rate: int,
    seed: int,
) -> Result:
    """Inject at least ``faults`` faults over at least ``minutes`` minutes, one after the other.

    The instance's own feed is silenced meanwhile. A run in which the instance does not find back to calm ends early.
    """
    instance.silence(FEED)
    after_file = int(instance.value("SELECT coalesce(max(file_id), 0) FROM shop.files"))
    feed = Feed(instance, rate=rate, seed=seed)
    began = journal.seconds
    feed.start()
    injections: list[Injection] = []
    try:
        instance.wait_for_calm(seconds=_FIRST_CALM_SECONDS, with_airflow=True)
        for number, (fault, chance) in enumerate(schedule, start=1):
            if len(injections) >= faults and journal.seconds - began >= 60 * minutes:
                break
            journal.write("inject", f"#{number} {fault.title}", fault=fault.name, number=number)
            injection = inject(fault, chance, instance, feed)
            injections.append(injection)
            facts = {name: value for name, value in vars(injection).items() if name != "fault"}
            journal.write("injected", f"     {injection.line}", fault=fault.name, number=number, **facts)
            if not injection.is_calm:
                journal.write("stuck", "the instance does not find back to calm: the run ends")
                break
    finally:
        feed.stop()
    elapsed = (journal.seconds - began) / 60
    try:
        drain(instance)
    except BrokenPromiseError as error:
        journal.write("drain", str(error))
    poison = {name: "poison" for (name,) in instance.rows(_POISON_FILES, after=after_file, names=f"{_POISON}%")}
    checks = check(instance, feed, after_file=after_file, expected_faults=poison)
    for one in checks:
        found = "" if one.holds else f": expected {one.expected}, found {one.found}"
        journal.write("check", f"{'ok ' if one.holds else 'NO '} {one.what}{found}", holds=one.holds)
    result = Result(seed, rate, elapsed, injections, checks, totals(instance, feed, after_file=after_file))
    journal.write("end", f"{len(result.violations)} violations", totals=asdict(result.totals))
    return result


_POISON_FILES = "SELECT name FROM shop.files WHERE file_id > %(after)s AND name LIKE %(names)s"
