"""Track how far each file of a batch is loaded: the next slice, its balance, and the step to the slice after it.

A file larger than a slice is loaded in consecutive batches. Its row in ``shop.files`` records where the next slice
begins. Only the slice that begins there is loaded, whatever a late or repeated batch contains.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from psycopg2.extras import execute_values

from include.db import load_queries
from include.errors import BalanceError
from include.stream.reading.records import Position
from include.stream.storage.slice_rows import Footer

_SQL = load_queries("sink")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WaitingFile:
    """A file to be loaded from ``position`` on; ``parts`` is the number of slices loaded before."""

    name: str
    position: Position
    parts: int


@dataclass(frozen=True)
class Balance:
    """The number of rows of a slice, by outcome."""

    read: int
    accepted: int
    duplicate: int
    rejected: int


def waiting_files(cursor: Any, footers: Mapping[int, Footer]) -> dict[int, WaitingFile]:
    """Return the files of the batch whose slice is the next one to load; the other ones are replays."""
    cursor.execute(_SQL["waiting_files"], {"file_ids": list(footers)})
    waiting = {
        file_id: WaitingFile(name, Position(byte, line), parts)
        for file_id, name, byte, line, parts in cursor.fetchall()
    }
    next_ones = {
        file_id: file for file_id, file in waiting.items() if footers[file_id].start.byte == file.position.byte
    }
    if len(next_ones) < len(footers):
        _log.warning(
            "skipping files %s in this batch: their rows were loaded by an earlier batch",
            sorted(footers.keys() - next_ones.keys()),
        )
    return next_ones


def balances_of(
    footers: Mapping[int, Footer],
    accepted: Mapping[int, int],
    duplicate: Mapping[int, int],
    rejected: Mapping[int, int],
) -> dict[int, Balance]:
    """Return the balance of each file's slice, checked against the count of its reader.

    A slice with a fault counts no rows, since none of them is stored.

    Raises
    ------
    BalanceError
        When the rows of a file do not add up.
    """
    balances = {}
    for file_id, footer in footers.items():
        balance = Balance(
            0 if footer.fault else footer.read,
            accepted.get(file_id, 0),
            duplicate.get(file_id, 0),
            rejected.get(file_id, 0),
        )
        if balance.read != balance.accepted + balance.duplicate + balance.rejected:
            raise BalanceError(
                f"file {file_id}: {balance.read} rows were read, but they do not add up: {balance}",
                "This is a bug in Shopstream: report it with the file; nothing was stored",
            )
        balances[file_id] = balance
    return balances


def advance_files(
    cursor: Any,
    batch_id: int,
    footers: Mapping[int, Footer],
    balances: Mapping[int, Balance],
    waiting: Mapping[int, WaitingFile],
) -> dict[int, datetime]:
    """Add the balances to the files, and advance each file to its next slice or to its final state.

    Returns
    -------
    dict
        When each file reached its final state, by file id; files with more slices to come are absent.
    """
    advanced = execute_values(
        cursor,
        _SQL["advance_files"],
        [
            (
                footer.file_id,
                batch_id,
                footer.state,
                *asdict(balances[footer.file_id]).values(),
                footer.end.byte if footer.end else None,
                footer.end.line if footer.end else None,
                footer.extra_columns,
                footer.fault,
                footer.fault_detail,
                footer.digest,
                footer.size_bytes,
            )
            for footer in footers.values()
        ],
        template="(%s::bigint, %s::bigint, %s, %s::bigint, %s::bigint, %s::bigint, %s::bigint, %s::bigint, %s::bigint,"
        " %s::text[], %s, %s, %s, %s::bigint)",
        page_size=1000,
        fetch=True,
    )
    parts = [
        (footer.file_id, batch_id, footer.start.line, *asdict(balances[footer.file_id]).values())
        for footer in footers.values()
        if footer.state == "admitted" or waiting[footer.file_id].parts > 0
    ]
    if parts:
        execute_values(cursor, _SQL["record_slices"], parts, page_size=1000)
    return {file_id: finished_at for file_id, finished_at in advanced if finished_at is not None}
