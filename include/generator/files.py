"""Compose the files of a run from ordinary, bad, repeated and late rows, each file with its manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from include.contract.columns import CURRENCIES, EVENT_TYPES
from include.generator.arrow import concatenated, take, texts
from include.generator.calendar import Calendar
from include.generator.corruption import CORRUPTIBLE_RULES, corrupt
from include.generator.options import GeneratorOptions
from include.generator.pools import make_pools
from include.generator.render import HEADER, Renderer
from include.generator.traffic import EVENT, PURCHASE, Events, Traffic
from include.manifest import Manifest

# Late rows are journeys of customers who were offline. They began between these numbers of hours before the file.
_LATE_HOURS = (2, 47)
# How many earlier rows are remembered for later files to repeat: per file, and in all.
_REMEMBERED_PER_FILE = 64
_REMEMBERED = 4096

_ORDINARY, _BAD, _DUPLICATE, _LATE = range(4)
# In the order of the cumulative shares. A row above all of them is ordinary.
_KINDS = np.array([_BAD, _DUPLICATE, _LATE, _ORDINARY])


@dataclass(frozen=True)
class GeneratedFile:
    """A file that has not been written yet.

    Parameters
    ----------
    content:
        Its bytes, in pieces.
    manifest:
        The exact counts and sums of its content.
    due:
        The end of its window, Unix seconds.
    """

    content: tuple[Any, ...]
    manifest: Manifest
    due: float


def generate_files(options: GeneratorOptions) -> Iterator[GeneratedFile]:
    """Generate the files of a run, endlessly if the run has no end; the same options give the same bytes."""
    composer = _Composer(options)
    done = 0
    while options.total_rows is None or done < options.total_rows:
        rows = options.rows_per_file
        if options.total_rows is not None:
            rows = min(rows, options.total_rows - done)
        yield composer.next_file(rows)
        done += rows


class _Composer:
    def __init__(self, options: GeneratorOptions) -> None:
        self._options = options
        customers, products = make_pools(options.seed)
        self._rng = np.random.default_rng([options.seed, options.start_ms])
        self._traffic = Traffic(customers, products, self._rng)
        self._renderer = Renderer(customers, products, self._rng)
        self._window_ms = options.rows_per_file / options.events_per_second * 1000
        self._calendar = Calendar(self._traffic, options.start_ms, self._window_ms)
        self._kind_odds = np.cumsum([options.bad_share, options.duplicate_share, options.late_share])
        self._undelivered_late = np.empty(0, EVENT)
        self._remembered = texts([])
        self._sequence = 0

    def next_file(self, rows: int) -> GeneratedFile:
        """Return the next file; only the last file of a run may have fewer rows than the others."""
        sequence = self._sequence
        self._sequence += 1
        first_ms = self._options.start_ms + sequence * self._window_ms
        window_ms = rows / self._options.events_per_second * 1000

        kind = self._kinds(rows, is_first=sequence == 0)
        count = np.bincount(kind, minlength=len(_KINDS))
        ordinary = self._calendar.take(sequence, int(count[_ORDINARY]), window_ms)
        valid = np.concatenate([ordinary, self._late_events(int(count[_LATE]), first_ms)])
        valid_lines = self._renderer.lines(valid)
        bad_lines, bad = self._bad_lines(int(count[_BAD]), first_ms, window_ms)

        lines = pa.concat_arrays([valid_lines, bad_lines, self._remembered])
        place = np.empty(rows, np.int64)
        place[kind == _ORDINARY] = np.arange(count[_ORDINARY])
        place[kind == _LATE] = count[_ORDINARY] + np.arange(count[_LATE])
        place[kind == _BAD] = len(valid) + np.arange(count[_BAD])
        place[kind == _DUPLICATE] = self._repeated(kind, first_remembered=len(valid) + len(bad_lines))
        self._remember(valid_lines.slice(0, len(ordinary)))

        manifest = self._manifest(sequence, valid, bad, duplicates=int(count[_DUPLICATE]), late=int(count[_LATE]))
        due = (first_ms + window_ms) / 1000
        return GeneratedFile((HEADER, concatenated(take(lines, place))), manifest, due)

    def _kinds(self, rows: int, *, is_first: bool) -> np.ndarray:
        """Draw the kind of each row independently, so that the shares hold in expectation for every file size."""
        kind = _KINDS[np.searchsorted(self._kind_odds, self._rng.random(rows), side="right")]
        if is_first:
            # An ordinary first row ensures that every later duplicate has a row to repeat.
            kind[0] = _ORDINARY
        return kind

    def _late_events(self, count: int, first_ms: float) -> Events:
        """Return ``count`` events of journeys of earlier days; the next files deliver the rest in order."""
        missing = count - len(self._undelivered_late)
        if missing > 0:
            oldest, newest = (first_ms - hours * 3_600_000 for hours in reversed(_LATE_HOURS))
            journeys = self._traffic.journeys(missing, oldest, newest - oldest)
            self._undelivered_late = np.concatenate([self._undelivered_late, journeys])
        taken, self._undelivered_late = self._undelivered_late[:count], self._undelivered_late[count:]
        return taken

    def _bad_lines(self, count: int, first_ms: float, span_ms: float) -> tuple[pa.BinaryArray, dict[str, int]]:
        """Return bad rows, and their number by reason."""
        which = self._rng.integers(0, len(CORRUPTIBLE_RULES), count)
        rules = [CORRUPTIBLE_RULES[one] for one in which]
        types = np.array([EVENT_TYPES.index(rule.corrupt_type) for rule in rules], np.int8)
        lines = self._renderer.lines(self._traffic.single_events(types, first_ms, span_ms)).to_pylist()
        corrupted = [corrupt(line, rule) for line, rule in zip(lines, rules, strict=True)]
        return texts(corrupted), dict(sorted(Counter(rule.code for rule in rules).items()))

    def _repeated(self, kind: np.ndarray, *, first_remembered: int) -> np.ndarray:
        """Return for each duplicate the position of the line to repeat: an ordinary row of this or an earlier file."""
        is_duplicate = kind == _DUPLICATE
        before = np.cumsum(kind == _ORDINARY)[is_duplicate]
        chance = self._rng.random((2, len(before)))
        from_this_file = (chance[0] * before).astype(np.int64)
        from_earlier = first_remembered + (chance[0] * len(self._remembered)).astype(np.int64)
        is_earlier = (before == 0) | ((chance[1] < 0.5) & (len(self._remembered) > 0))
        return np.where(is_earlier, from_earlier, from_this_file)

    def _remember(self, lines: pa.BinaryArray) -> None:
        if not self._options.duplicate_share or not len(lines):
            return
        some = take(lines, self._rng.integers(0, len(lines), _REMEMBERED_PER_FILE))
        self._remembered = pa.concat_arrays([self._remembered, some])[-_REMEMBERED:]

    def _manifest(self, sequence: int, valid: Events, bad: dict[str, int], *, duplicates: int, late: int) -> Manifest:
        by_type = np.bincount(valid["type"], minlength=len(EVENT_TYPES)).tolist()
        purchases = valid[valid["type"] == PURCHASE]
        currency, amounts = self._renderer.currencies(purchases), self._renderer.amounts_cents(purchases)
        revenue = {
            name: Decimal(int(amounts[currency == index].sum())).scaleb(-2) for index, name in enumerate(CURRENCIES)
        }
        return Manifest(
            file=f"{self._options.run}-{sequence:06d}.csv",
            run=self._options.run,
            sequence=sequence,
            seed=self._options.seed,
            rows=len(valid) + duplicates + sum(bad.values()),
            valid=len(valid),
            duplicates=duplicates,
            late=late,
            by_type=dict(zip(EVENT_TYPES, by_type, strict=True)),
            bad=bad,
            revenue=revenue,
            first_event_time=_instant(valid["time_ms"].min()) if len(valid) else None,
            last_event_time=_instant(valid["time_ms"].max()) if len(valid) else None,
        )


def _instant(time_ms: Any) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(time_ms))
