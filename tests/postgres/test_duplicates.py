"""Tests of the search for duplicates, by ranges of the index and one by one, against a set in Python."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from random import Random
from uuid import UUID

import pyarrow as pa
import pytest

from include.db import load_queries, transaction
from include.settings import Settings
from include.stream.storage.duplicates import Duplicates

NOW_MS = int(datetime(2026, 3, 4, 23, 59, 59, tzinfo=UTC).timestamp() * 1000)
_STORE = """
INSERT INTO shop.events (
    event_id, event_type, event_time, user_id, customer_segment, session_id, product_id, product_name, category, brand,
    unit_price, currency, channel, device, country, batch_id, file_id
)
SELECT id, 'view', now(), 'U', 'new', 'S', 'P', 'p', 'Sports', 'b', 1, 'EUR', 'web', 'mobile', 'DE', 0, 0
FROM unnest(%(ids)s::uuid[]) AS stored (id)
"""


def ids_at(chance: Random, first_ms: int, last_ms: int, count: int) -> list[bytes]:
    """Return UUIDv7s whose times are spread evenly over a span."""
    found = []
    for number in range(count):
        milliseconds = first_ms + (last_ms - first_ms) * number // count
        rest = chance.getrandbits(80)
        high = milliseconds << 16 | 0x7000 | rest >> 68
        found.append((high << 64 | 0x8000_0000_0000_0000 | rest & (1 << 62) - 1).to_bytes(16))
    return found


@contextmanager
def duplicates(database: Settings, stored: list[bytes]) -> Iterator[Duplicates]:
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute("SELECT shop.ensure_event_partitions('{2026-03-02,2026-03-03,2026-03-04,2026-03-05}'::date[])")
        cursor.execute(_STORE, {"ids": [str(UUID(bytes=one)) for one in stored]})
    with transaction(database.dsn("ingest")) as cursor:
        yield Duplicates(cursor)


def expected(stored: list[bytes], parts: list[list[bytes]]) -> list[list[bool]]:
    known = set(stored)
    found: list[list[bool]] = []
    for part in parts:
        found.append([])
        for one in part:
            found[-1].append(one in known)
            known.add(one)
    return found


def masks(finder: Duplicates, parts: list[list[bytes]]) -> list[list[bool]]:
    return [finder.mask(pa.chunked_array([pa.array(part, pa.binary(16))])).tolist() for part in parts]


@pytest.mark.parametrize("seed", range(5))
def test_duplicates_are_found_in_every_mixture_of_old_and_new(database: Settings, seed: int) -> None:
    chance = Random(seed)
    stored = [
        *ids_at(chance, NOW_MS - 10_000, NOW_MS + 10_000, 5000),
        # So dense that a range of it holds far more ids than one call looks up.
        *ids_at(chance, NOW_MS - 60_000, NOW_MS - 59_000, 4000),
        *ids_at(chance, NOW_MS - 100_000_000, NOW_MS, 300),
    ]
    parts = []
    for _ in range(4):
        part = [
            # A part of a repeated file, across midnight.
            *stored[chance.randrange(4000) :][:1000],
            # A new file with old events.
            *ids_at(chance, NOW_MS - 30_000, NOW_MS - 20_000, 700),
            *ids_at(chance, NOW_MS - 60_000, NOW_MS - 59_000, 250),
            # Single late events, stored and new.
            *chance.sample(stored, 50),
            *ids_at(chance, NOW_MS - 150_000_000, NOW_MS, 50),
            # New events of the present.
            *ids_at(chance, NOW_MS + 10_001, NOW_MS + 12_000, 500),
        ]
        part += chance.sample(part, 20)
        chance.shuffle(part)
        parts.append(part)
    parts.append(chance.sample(parts[0], 500))
    with duplicates(database, stored) as finder:
        assert masks(finder, parts) == expected(stored, parts)


def test_all_events_are_new_to_an_empty_table(database: Settings) -> None:
    parts = [ids_at(Random(1), NOW_MS, NOW_MS + 1000, 300), []]
    with duplicates(database, []) as finder:
        assert masks(finder, parts) == expected([], parts)


def test_a_range_is_abandoned_when_it_holds_too_many_ids(database: Settings) -> None:
    chance = Random(2)
    stored = ids_at(chance, NOW_MS, NOW_MS + 1000, 3000)
    # The range goes from the first to the last stored id.
    part = sorted([stored[0], stored[-1], *chance.sample(stored, 100), *ids_at(chance, NOW_MS, NOW_MS + 1000, 200)])
    with duplicates(database, stored) as finder:
        assert masks(finder, [part]) == expected(stored, [part])


def test_the_newest_id_is_read_from_the_index(database: Settings) -> None:
    """Every batch asks for the newest id, and sorting the table for it would cost more with every stored event."""
    stored = ids_at(Random(1), NOW_MS - 60_000, NOW_MS, 5_000)
    with duplicates(database, stored), transaction(database.dsn("owner")) as cursor:
        cursor.execute("ANALYZE shop.events")
        cursor.execute("EXPLAIN " + load_queries("duplicates")["newest"])
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Index Only Scan Backward" in plan
    assert "Sort" not in plan, plan
