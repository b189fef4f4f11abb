"""Tests of task results: how validated rows travel through Spark."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import pyarrow as pa
import pytest

from include.stream.reading.csv_reader import read_file
from include.stream.validation.task_results import pack, unpack
from include.stream.validation.validate import VALIDATED_SCHEMA, validate
from tests.support.csv_files import csv_text, valid_row


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[pa.Table]:
    """Return the validated rows of three files."""
    folder = tmp_path_factory.mktemp("files")

    def judged(number: int) -> pa.Table:
        path: Path = folder / f"{number}.csv"
        path.write_text(csv_text([valid_row() for _ in range(number)]))
        return pa.Table.from_batches(validate(read_file(path, number, slice_bytes=1 << 20, max_bytes=1 << 20)))

    return [judged(number) for number in range(3)]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_task_results_come_in_the_order_of_their_tasks(files: list[pa.Table], order: tuple[int, ...]) -> None:
    task_results = [pack(task, files[task].to_batches()) for task in order]
    assert list(unpack(task_results)) == files


def test_a_task_result_comes_as_soon_as_all_earlier_ones(files: list[pa.Table]) -> None:
    sent: list[int] = []

    def arriving() -> Iterator[pa.RecordBatch]:
        for task in (1, 0, 2):
            sent.append(task)
            yield pack(task, files[task].to_batches())

    parts = unpack(arriving())
    assert next(parts) == files[0]
    assert sent == [1, 0]


def test_a_missing_task_is_an_error(files: list[pa.Table]) -> None:
    with pytest.raises(RuntimeError, match=r"tasks \[1\] arrived without task 0"):
        list(unpack([pack(1, files[1].to_batches())]))


def test_a_task_without_rows_yields_an_empty_result() -> None:
    (part,) = unpack([pack(0, [])])
    assert part.schema == VALIDATED_SCHEMA
    assert part.num_rows == 0
