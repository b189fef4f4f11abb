"""Judged rows on their way through Spark."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import pyarrow as pa
import pytest

from include.stream.csv_reader import read_file
from include.stream.judge import JUDGED_SCHEMA, judge
from include.stream.parcels import pack, unpack
from tests.support.csv_files import csv_text, valid_row


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[pa.Table]:
    """Three judged files."""
    folder = tmp_path_factory.mktemp("files")

    def judged(number: int) -> pa.Table:
        path: Path = folder / f"{number}.csv"
        path.write_text(csv_text([valid_row() for _ in range(number)]))
        return pa.Table.from_batches(judge(read_file(path, number, part_bytes=1 << 20, max_bytes=1 << 20)))

    return [judged(number) for number in range(3)]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_parts_come_in_the_order_of_their_tasks(files: list[pa.Table], order: tuple[int, ...]) -> None:
    parcels = [pack(task, files[task].to_batches()) for task in order]
    assert list(unpack(parcels)) == files


def test_a_part_comes_as_soon_as_those_before_it(files: list[pa.Table]) -> None:
    sent: list[int] = []

    def arriving() -> Iterator[pa.RecordBatch]:
        for task in (1, 0, 2):
            sent.append(task)
            yield pack(task, files[task].to_batches())

    parts = unpack(arriving())
    assert next(parts) == files[0]
    assert sent == [1, 0]


def test_a_task_that_is_missing_is_noticed(files: list[pa.Table]) -> None:
    with pytest.raises(RuntimeError, match=r"tasks \[1\] came without task 0"):
        list(unpack([pack(1, files[1].to_batches())]))


def test_a_task_without_rows_is_a_part_too() -> None:
    (part,) = unpack([pack(0, [])])
    assert part.schema == JUDGED_SCHEMA
    assert part.num_rows == 0
