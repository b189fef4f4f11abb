"""Tests of how the source distributes the files of a batch over tasks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from include.stream.intake.admission import PendingFile
from include.stream.reading.records import START
from jobs.landing_source import share_out

file_lists = st.lists(st.integers(0, 10_000_000), max_size=40).map(
    lambda sizes: [PendingFile(number, f"{number}.csv", size, START) for number, size in enumerate(sizes)]
)


@given(file_lists, st.integers(1, 8))
def test_files_keep_their_order_and_none_is_left_out(files: list[PendingFile], tasks: int) -> None:
    groups = share_out(files, tasks)
    assert [file for group in groups for file in group] == files
    assert len(groups) <= tasks
    assert all(groups)


def test_bytes_are_distributed_about_equally() -> None:
    files = [PendingFile(number, "", 1000, START) for number in range(10)]
    assert [len(group) for group in share_out(files, 2)] == [5, 5]
