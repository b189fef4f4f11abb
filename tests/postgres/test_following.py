"""Tests of the query in docs/observability.md that follows one batch from its file to a view."""

from __future__ import annotations

import re

from include.db import transaction
from include.metrics.page import PAGE
from include.settings import Settings
from tests.support.rows import load_batch, make_event

(QUERY,) = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_a_batch_is_followed_from_its_file_to_the_first_views_that_hold_it(database: Settings) -> None:
    owner = database.dsn("owner")
    other, batch_id = (load_batch(owner, [make_event()]) for _ in range(2))
    with transaction(owner) as cursor:
        cursor.execute(
            "INSERT INTO shop.runs (epoch, query, mode, host, pid) VALUES (1, 'events', 'continuous', 'h', 1)"
        )
        for last_batch_id in (other, batch_id, batch_id + 9):
            cursor.execute(
                "INSERT INTO shop.refreshes (view_name, started_at, last_batch_id, published_at)"
                " VALUES ('mart_daily_kpis', now(), %s, (SELECT arrived_at FROM shop.files WHERE batch_id = %s)"
                " + %s * interval '1 s')",
                [last_batch_id, batch_id, last_batch_id],
            )
    with transaction(database.dsn("ops")) as cursor:
        cursor.execute(QUERY.replace("4711", str(batch_id)))
        columns = [column.name for column in cursor.description]
        (row,) = [dict(zip(columns, one, strict=True)) for one in cursor]
    assert (row["epoch"], row["batch_id"], row["accepted"], row["view_name"]) == (1, batch_id, 1, "mart_daily_kpis")
    assert row["seconds_from_file_to_view"] == batch_id


def test_a_batch_of_a_slice_finds_its_file(database: Settings) -> None:
    owner = database.dsn("owner")
    first, last = (load_batch(owner, [make_event()]) for _ in range(2))
    with transaction(owner) as cursor:
        cursor.execute(
            "INSERT INTO shop.runs (epoch, query, mode, host, pid) VALUES (1, 'events', 'continuous', 'h', 1)"
        )
        cursor.execute("UPDATE shop.files SET batch_id = NULL WHERE batch_id = %s", [first])
        cursor.execute(
            "INSERT INTO shop.file_slices SELECT file_id, %s, 1, 1, 1, 0, 0 FROM shop.files WHERE batch_id = %s",
            [first, last],
        )
        cursor.execute(QUERY.replace("4711", str(first)))
        assert cursor.rowcount == 1
