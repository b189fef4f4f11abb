"""Compare manifests with the loads of their files.

A duplicate repeats a row of its own file or of an earlier file of the run. If the files of a run were loaded in order,
each file must agree with its manifest. If they were loaded out of order, only the sums over the run must agree, because
the repetition may have been stored and its original counted as the duplicate. A file that was delivered several times
adds only duplicates.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from include.contract import CURRENCIES, EVENT_TYPES
from include.manifest import Manifest
from include.reconcile.report import Comparison, Number


@dataclass
class Loaded:
    """The contents of Postgres for one file name, summed over all its loads.

    Parameters
    ----------
    first_file_id:
        The file_id of the first load. The order of first loads decides which of two equal rows was stored.
    loads:
        The number of loads.
    read, accepted, duplicate, rejected:
        The sums of its balances.
    has_all_events, has_all_rejects:
        Whether all its events and rejects are within retention.
    by_type, revenue, bad:
        Stored events by type, revenue of purchases by currency, rejects by reason.
    """

    first_file_id: int
    loads: int = 0
    read: int = 0
    accepted: int = 0
    duplicate: int = 0
    rejected: int = 0
    has_all_events: bool = True
    has_all_rejects: bool = True
    by_type: Counter[str] = field(default_factory=Counter)
    revenue: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    bad: Counter[str] = field(default_factory=Counter)


def compare_manifests(
    manifests: Iterable[Manifest], loaded: Mapping[str, Loaded], retracted: Collection[str] = ()
) -> Iterator[Comparison]:
    """Compare every number in the manifests of loaded files with Postgres.

    Parameters
    ----------
    manifests:
        The manifests, in any order.
    loaded:
        The contents of Postgres by file name; a file that is missing here is not compared.
    retracted:
        The names of retracted files. Another file of the run may repeat their rows, which then count as accepted for
        that file. In such a run, only the balance of each file is compared.
    """
    runs = defaultdict(list)
    for manifest in manifests:
        runs[manifest.run].append(manifest)
    for run in runs.values():
        run.sort(key=lambda manifest: manifest.sequence)
        is_whole = not any(manifest.file in retracted for manifest in run)
        is_in_order = _in_order([_first_file_id(manifest, loaded) for manifest in run])
        for manifest, is_exact in zip(run, is_in_order, strict=True):
            if manifest.file in loaded:
                yield from _compare_balance(manifest, loaded[manifest.file])
                if is_exact and is_whole:
                    yield from _compare_accepted(manifest.file, [manifest], loaded)
        if not all(is_in_order) and all(manifest.file in loaded for manifest in run):
            yield from _compare_accepted(run[0].run, run, loaded)


def _first_file_id(manifest: Manifest, loaded: Mapping[str, Loaded]) -> float:
    return loaded[manifest.file].first_file_id if manifest.file in loaded else math.inf


def _in_order(file_ids: Sequence[float]) -> list[bool]:
    """Return for each file whether all its predecessors were loaded before it, and all its successors after it."""
    earliest_after = [math.inf] * (len(file_ids) + 1)
    for index in range(len(file_ids) - 1, -1, -1):
        earliest_after[index] = min(file_ids[index], earliest_after[index + 1])
    latest_before = -math.inf
    is_in_order = []
    for index, file_id in enumerate(file_ids):
        is_in_order.append(latest_before < file_id < earliest_after[index + 1])
        latest_before = max(latest_before, file_id)
    return is_in_order


def _compare_balance(manifest: Manifest, found: Loaded) -> Iterator[Comparison]:
    """Compare the numbers of a file that do not depend on the files loaded before it."""
    name, loads = manifest.file, found.loads
    yield Comparison(name, "rows read", manifest.rows * loads, found.read)
    yield Comparison(name, "rows rejected", manifest.rejected * loads, found.rejected)
    good = (manifest.rows - manifest.rejected) * loads
    yield Comparison(name, "rows accepted or duplicate", good, found.accepted + found.duplicate)
    if found.has_all_rejects:
        for reason in sorted(manifest.bad.keys() | found.bad.keys()):
            expected = manifest.bad.get(reason, 0) * loads
            yield Comparison(f"{name}: {reason}", "rows rejected, by reason", expected, found.bad[reason])


def _compare_accepted(
    subject: str, manifests: Sequence[Manifest], loaded: Mapping[str, Loaded]
) -> Iterator[Comparison]:
    """Compare the numbers of files that were loaded after all rows that their duplicates repeat."""
    found = [loaded[manifest.file] for manifest in manifests]
    valid = sum(manifest.valid for manifest in manifests)
    good = sum((manifest.rows - manifest.rejected) * one.loads for manifest, one in zip(manifests, found, strict=True))
    yield Comparison(subject, "rows accepted", valid, sum(one.accepted for one in found))
    yield Comparison(subject, "rows duplicate", good - valid, sum(one.duplicate for one in found))
    if not all(one.has_all_events for one in found):
        return
    for event_type in EVENT_TYPES:
        expected: Number = sum(manifest.by_type.get(event_type, 0) for manifest in manifests)
        yield Comparison(subject, f"stored {event_type}", expected, sum(one.by_type[event_type] for one in found))
    for currency in CURRENCIES:
        expected = sum((manifest.revenue.get(currency, Decimal(0)) for manifest in manifests), Decimal(0))
        stored = sum((one.revenue[currency] for one in found), Decimal(0))
        yield Comparison(subject, f"revenue {currency}", expected, stored)
