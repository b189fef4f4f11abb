"""The load of one batch, from its first part to its last statement, within the transaction of the sink."""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa
from psycopg2.extras import execute_values

from include.db import load_queries, one_row
from include.stream.alarms import raise_other_content, raise_quarantined
from include.stream.batch import Footer, reasons_of, rollup_rows
from include.stream.conflicts import record_conflicts
from include.stream.copy import copy_rows, copy_text
from include.stream.judge import BROKEN_RULES
from include.stream.landing import Landing
from include.stream.parts import Balance, WaitingFile, advance_files
from include.stream.prepare import Prepared
from include.stream.raw_lines import raw_lines

_SQL = load_queries("sink")


@dataclass(frozen=True)
class BatchResult:
    """What a committed batch did.

    ``files`` counts the files of which it loaded all or a part, ``file_ids`` are theirs; durations are milliseconds by
    stage.
    """

    batch_id: int
    files: int
    read: int
    accepted: int
    duplicate: int
    rejected: int
    conflicts: int
    lag_seconds: float | None
    durations_ms: dict[str, float]
    file_ids: tuple[int, ...]


@dataclass
class Stopwatch:
    """Milliseconds by stage; a stage that is timed again adds up."""

    laps: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Time what happens within."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.laps[stage] += 1000 * (time.perf_counter() - start)

    def waiting(self, stage: str, parts: Iterable[Prepared]) -> Iterator[Prepared]:
        """The parts, and the time that it takes to get each."""
        iterator = iter(parts)
        while True:
            with self.time(stage):
                part = next(iterator, None)
            if part is None:
                return
            yield part

    @property
    def durations_ms(self) -> dict[str, float]:
        """All stages, rounded."""
        return {stage: round(milliseconds, 1) for stage, milliseconds in self.laps.items()}


class BatchLoad:
    """Stores the parts of one batch as they come, and what needs all of them at the end.

    Parameters
    ----------
    cursor:
        In the transaction of the batch, which holds the writer epoch.
    landing:
        The folders, to fetch rejected rows.
    query, epoch, spark_batch_id:
        What the ledger calls the batch.
    ensure_partitions:
        Makes the partitions of events for days since 1970.
    watch:
        Where the stages are timed.

    Attributes
    ----------
    batch_id, ingested_at:
        What the events say of their batch.
    footers:
        The footers of the files that are loaded, by file id.
    """

    def __init__(
        self,
        cursor: Any,
        landing: Landing,
        *,
        query: str,
        epoch: int,
        spark_batch_id: int,
        ensure_partitions: Callable[[set[int]], None],
        watch: Stopwatch,
    ) -> None:
        self._cursor = cursor
        self._landing = landing
        self._ensure_partitions = ensure_partitions
        self._watch = watch
        cursor.execute(_SQL["open_batch"], {"query": query, "epoch": epoch, "spark_batch_id": spark_batch_id})
        self.batch_id: int
        self.ingested_at: datetime
        self.batch_id, self.ingested_at = one_row(cursor)
        self.footers: dict[int, Footer] = {}
        self._waiting: dict[int, WaitingFile] = {}
        self._balances: dict[int, Balance] = {}
        self._rejected: list[pa.Table] = []
        self._repeated: list[pa.Table] = []
        self._sums: list[pa.Table] = []
        self._event_times: list[datetime] = []
        self._warnings = Counter[str]()

    def add(self, part: Prepared) -> None:
        """Store the events of a part, and keep what is stored at the end."""
        self.footers |= part.footers
        self._waiting |= part.waiting
        self._balances |= part.balances
        if part.rejected.num_rows:
            self._rejected.append(part.rejected)
        if part.repeated.num_rows:
            self._repeated.append(part.repeated)
        events = part.events
        if events is not None:
            with self._watch.time("events"):
                self._ensure_partitions(events.days)
                copy_rows(self._cursor, "events", events.rows)
            self._sums.append(events.sums)
            self._event_times += events.times
            self._warnings.update(events.warnings)

    def close(self) -> BatchResult | None:
        """Do what needs all parts; what is left after it is the commit.

        Returns
        -------
        BatchResult or None
            None when all that came was loaded before: there is nothing to commit.
        """
        if not self.footers:
            return None
        watch, cursor = self._watch, self._cursor
        with watch.time("rejects"):
            self._store_rejects()
        with watch.time("conflicts"):
            repeated = pa.concat_tables(self._repeated) if self._repeated else None
            conflicts = record_conflicts(cursor, repeated, self.batch_id) if repeated else 0
        with watch.time("rollups"):
            rollup = [(*row, self.batch_id) for row in rollup_rows(self._sums)]
            if rollup:
                execute_values(cursor, _SQL["roll_up"], rollup, page_size=1000)
        with watch.time("files"):
            settled = advance_files(cursor, self.batch_id, self.footers, self._balances, self._waiting)
            self._raise_alarms(settled)
        totals = Counter[str]()
        for balance in self._balances.values():
            totals.update(asdict(balance))
        sums = {name: totals[name] for name in ("read", "accepted", "duplicate", "rejected")}
        cursor.execute(
            _SQL["close_batch"],
            {
                "batch_id": self.batch_id,
                "file_ids": list(self.footers),
                "warnings": json.dumps(self._warnings),
                "min_event_time": min(self._event_times, default=None),
                "max_event_time": max(self._event_times, default=None),
                "durations": json.dumps(watch.durations_ms),
                **sums,
            },
        )
        (lag_seconds,) = one_row(cursor)
        return BatchResult(
            batch_id=self.batch_id,
            files=len(self.footers),
            conflicts=conflicts,
            lag_seconds=lag_seconds,
            durations_ms=watch.durations_ms,
            file_ids=tuple(self.footers),
            **sums,
        )

    def _store_rejects(self) -> None:
        if not self._rejected:
            return
        rows = pa.concat_tables(self._rejected).to_pylist()
        lines: dict[int, list[int]] = {}
        for row in rows:
            lines.setdefault(row["file_id"], []).append(row["line"])
        names = {file_id: self._waiting[file_id].name for file_id in lines}
        raw = {
            file_id: raw_lines(
                self._landing.admitted_path(file_id, names[file_id]), wanted, start=self.footers[file_id].start
            )
            for file_id, wanted in lines.items()
        }
        copy_text(
            self._cursor,
            "rejects",
            pa.table(
                {
                    "batch_id": [self.batch_id] * len(rows),
                    "file_id": [row["file_id"] for row in rows],
                    "file_name": [names[row["file_id"]] for row in rows],
                    "line": [row["line"] for row in rows],
                    "raw": [raw[row["file_id"]].get(row["line"], "") for row in rows],
                    "reasons": ["{" + ",".join(reasons_of(row[BROKEN_RULES])) + "}" for row in rows],
                }
            ),
        )

    def _raise_alarms(self, settled: Mapping[int, datetime]) -> None:
        """Tell people of the files at fault, and of those that came again with another content."""
        faulty: dict[str, list[str]] = {}
        for file_id, footer in self.footers.items():
            if footer.fault:
                name = self._waiting[file_id].name
                path = self._landing.settled_path(file_id, name, settled[file_id], is_quarantined=True)
                faulty.setdefault(footer.fault, []).append(f"file {file_id} ({name}), in {path}: {footer.fault_detail}")
        for fault, files in faulty.items():
            raise_quarantined(self._cursor, fault, files)
        with_digest = [file_id for file_id, footer in self.footers.items() if footer.digest]
        if with_digest:
            self._cursor.execute(_SQL["other_content"], {"file_ids": with_digest})
            raise_other_content(
                self._cursor,
                [
                    f"file {file_id} ({name}) differs from file {earlier}, admitted at {admitted_at:%Y-%m-%d %H:%M} UTC"
                    for file_id, name, earlier, admitted_at in self._cursor.fetchall()
                ],
            )
