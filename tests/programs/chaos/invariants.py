"""Check after the last fault that every event is stored exactly once and that all tables agree."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from include.manifest import Manifest
from tests.programs.chaos.feed import Feed
from tests.programs.chaos.instance import Instance
from tests.programs.chaos.waiting import wait_for

_DRAIN_SECONDS = 180.0
_REPORT_LINES = 25


@dataclass(frozen=True)
class Check:
    """A condition that must hold."""

    what: str
    expected: object
    found: object

    @property
    def holds(self) -> bool:
        """Return whether it holds."""
        return self.expected == self.found


@dataclass(frozen=True)
class Totals:
    """The numbers of delivered and stored rows."""

    files: int
    rows: int
    events: int
    duplicate: int
    rejected: int
    quarantined: int
    batches: int
    epochs: int
    lost: int
    doubled: int


def drain(instance: Instance) -> None:
    """Wait until every delivered file is finished."""
    wait_for(lambda: not _waiting(instance), seconds=_DRAIN_SECONDS, what="everything to be loaded")


def check(instance: Instance, feed: Feed, *, after_file: int, expected_faults: dict[str, str]) -> list[Check]:
    """Check everything that was delivered.

    Parameters
    ----------
    instance, feed:
        Drained, and stopped.
    after_file:
        Files up to this id came before the run: only the sums include them.
    expected_faults:
        The fault of each file that was to be quarantined, by name.
    """
    manifests = feed.manifests()
    events, distinct = instance.rows("SELECT count(*), count(DISTINCT event_id) FROM shop.events")[0]
    ledger = "SELECT coalesce(sum({0}), 0)::bigint FROM shop.{1}"
    reconciled = instance.platform.run("include.reconcile", "--wait", "60")
    problem = "" if reconciled.returncode == 0 else "\n".join(reconciled.stdout.splitlines()[-_REPORT_LINES:])
    return [
        Check("events with an id of their own", events, distinct),
        Check("files that wait", [], _waiting(instance)),
        Check("files whose balance is off", 0, _off_balance(instance)),
        Check("valid rows that are missing, by file", {}, _missing(instance, manifests)),
        Check("manifests = files = events = rollups = rejects (make reconcile)", "", problem + reconciled.stderr),
        *(
            Check(f"{column} rows: sum of the batches = sum of the files", *_sums(instance, ledger, column))
            for column in ("read", "accepted", "duplicate", "rejected")
        ),
        Check("batches that no run accounts for", 0, instance.value(_BATCHES_WITHOUT_RUN)),
        Check("files in quarantine, with their fault", expected_faults, _quarantined(instance, after_file)),
        Check("finished files that are not where they belong", [], _misplaced(instance, after_file)),
    ]


def totals(instance: Instance, feed: Feed, *, after_file: int) -> Totals:
    """Return the totals of the files that came after the given one."""
    files, rows, events, duplicate, rejected, quarantined = instance.rows(_TOTALS, after=after_file)[0]
    batches, epochs = instance.rows(_BATCHES, after=after_file)[0]
    lost = sum(_missing(instance, feed.manifests()).values())
    doubled = instance.value("SELECT count(*) - count(DISTINCT event_id) FROM shop.events")
    return Totals(files, rows, events, duplicate, rejected, quarantined, batches, epochs, lost, doubled)


_TOTALS = """
SELECT count(*), coalesce(sum(read), 0)::bigint, coalesce(sum(accepted), 0)::bigint,
    coalesce(sum(duplicate), 0)::bigint, coalesce(sum(rejected), 0)::bigint,
    count(*) FILTER (WHERE state = 'quarantined')
FROM shop.files WHERE file_id > %(after)s
"""
_BATCHES = """
SELECT count(*), count(DISTINCT epoch) FROM shop.batches
WHERE batch_id >= (SELECT min(batch_id) FROM shop.files WHERE file_id > %(after)s)
"""
_BATCHES_WITHOUT_RUN = "SELECT count(*) FROM shop.batches WHERE epoch NOT IN (SELECT epoch FROM shop.runs)"
_ACCEPTED_BY_NAME = """
SELECT files.name, count(events.event_id)
FROM shop.files LEFT JOIN shop.events USING (file_id)
WHERE files.state = 'loaded' GROUP BY files.name
"""
_OFF_BALANCE = "SELECT count(*) FROM shop.files WHERE read <> accepted + duplicate + rejected"
_SETTLED = """
SELECT file_id, name, finished_at, state = 'quarantined'
FROM shop.files WHERE state <> 'admitted' AND file_id > %(after)s
"""


def _waiting(instance: Instance) -> list[str]:
    names = [entry.name for entry in instance.landing.waiting()]
    names += [path.name for path in instance.landing.admitted_files()]
    return names + [name for (name,) in instance.rows("SELECT name FROM shop.files WHERE state = 'admitted'")]


def _off_balance(instance: Instance) -> int:
    return int(instance.value(_OFF_BALANCE))


def _missing(instance: Instance, manifests: list[Manifest]) -> dict[str, int]:
    """Return the number of valid rows of each file that are not in shop.events, without files that lack none."""
    stored = dict(instance.rows(_ACCEPTED_BY_NAME))
    missing = {one.file: one.valid - stored.get(one.file, 0) for one in manifests}
    return {name: count for name, count in missing.items() if count}


def _sums(instance: Instance, query: str, column: str) -> tuple[int, int]:
    return instance.value(query.format(column, "batches")), instance.value(query.format(column, "files"))


def _quarantined(instance: Instance, after_file: int) -> dict[str, str]:
    return dict(
        instance.rows(
            "SELECT name, fault FROM shop.files WHERE state = 'quarantined' AND file_id > %(after)s", after=after_file
        )
    )


def _misplaced(instance: Instance, after_file: int) -> list[str]:
    """Return loaded files that are not in the archive, and quarantined ones that are not in the quarantine."""
    landing = instance.landing
    rows: list[tuple[int, str, datetime, bool]] = instance.rows(_SETTLED, after=after_file)
    return [
        f"{file_id}-{name}"
        for file_id, name, finished_at, is_quarantined in rows
        if not landing.final_path(file_id, name, finished_at, is_quarantined=is_quarantined).exists()
    ]
