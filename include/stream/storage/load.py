"""Load one batch within the sink's transaction, from its first slice to its last statement."""

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
from include.stream.intake.file_alerts import raise_other_content, raise_quarantined
from include.stream.intake.landing import Landing
from include.stream.reading.raw_lines import raw_lines
from include.stream.storage.conflicts import record_conflicts
from include.stream.storage.copy import copy_rows, copy_text
from include.stream.storage.prepare import Prepared
from include.stream.storage.slice_rows import Footer, reasons_of, rollup_rows
from include.stream.storage.slices import Balance, WaitingFile, advance_files
from include.stream.validation.validate import BROKEN_RULES

_SQL = load_queries("sink")


@dataclass(frozen=True)
class BatchResult:
    """The result of a committed batch.

    ``files`` counts the files of which it loaded all or a slice, ``file_ids`` are their ids; durations are milliseconds
    by stage.
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
    """Measure milliseconds by stage; repeated measurements of a stage add up."""

    laps: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Time the body of the ``with`` statement."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.laps[stage] += 1000 * (time.perf_counter() - start)

    def waiting(self, stage: str, parts: Iterable[Prepared]) -> Iterator[Prepared]:
        """Yield the slices, timing how long each takes to arrive."""
        iterator = iter(parts)
        while True:
            with self.time(stage):
                part = next(iterator, None)
            if part is None:
                return
            yield part

    @property
    def durations_ms(self) -> dict[str, float]:
        """The durations of all stages, rounded."""
        return {stage: round(milliseconds, 1) for stage, milliseconds in self.laps.items()}


class BatchLoad:
    """Store the slices of one batch as they arrive, and do at the end the work that needs all of them.

    Parameters
    ----------
    cursor:
        In the transaction of the batch, which already holds the writer epoch.
    landing:
        The folders, from which rejected rows are fetched.
    query, epoch, spark_batch_id:
        The identity of the batch in the ledger.
    ensure_partitions:
        Creates the partitions of ``shop.events`` for the given days since 1970.
    watch:
        Measures the stages.

    Attributes
    ----------
    batch_id, ingested_at:
        The batch id and ingestion time that the events are stored with.
    footers:
        The footers of the loaded files, by file id.
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
        self._epoch = epoch
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
        """Store the events of a slice, and keep its other rows until the end."""
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
        """Store everything that needs all slices; only the commit is left after it.

        Returns
        -------
        BatchResult or None
            None when everything in the batch was loaded before, so there is nothing to commit.
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
            cursor.execute(_SQL["rollup_horizon"])
            (horizon,) = one_row(cursor)
            rollup = [(*row, self.batch_id) for row in rollup_rows(self._sums, since=horizon)]
            if rollup:
                execute_values(cursor, _SQL["roll_up"], rollup, page_size=1000)
        with watch.time("files"):
            finished = advance_files(cursor, self.batch_id, self.footers, self._balances, self._waiting)
            self._raise_alarms(finished)
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
                self._landing.admitted_path(self._epoch, file_id, names[file_id]),
                wanted,
                start=self.footers[file_id].start,
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
                    # NULL when the file was changed after it was read and the row is gone.
                    "raw": [raw[row["file_id"]].get(row["line"]) for row in rows],
                    "reasons": ["{" + ",".join(reasons_of(row[BROKEN_RULES])) + "}" for row in rows],
                    "detail": [row["detail"] for row in rows],
                }
            ),
        )

    def _raise_alarms(self, finished: Mapping[int, datetime]) -> None:
        """Alert about faulty files, and about files delivered again with different content."""
        faulty: dict[str, list[str]] = {}
        for file_id, footer in self.footers.items():
            if footer.fault:
                name = self._waiting[file_id].name
                path = self._landing.final_path(file_id, name, finished[file_id], is_quarantined=True)
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
