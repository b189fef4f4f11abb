"""Tests of ``make load``: a file of any name is delivered completely, replaces no other, and is found again."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from include.errors import PlatformError
from include.platform.commands.load import deliver, load_files
from include.settings import Settings
from tests.support.csv_files import csv_text, valid_row
from tests.support.pipeline import Pipeline, pipeline


@contextmanager
def a_stream_that_runs(stream: Pipeline) -> Iterator[None]:
    """Load every file that arrives, until the end of the block."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(0.05):
            stream.load()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize("name", ["n" * 251 + ".csv", os.fsdecode(b"caf\xe9.csv"), 'a b\'s "c".CSV'])
def test_a_file_of_any_name_is_loaded_and_its_balance_found(database: Settings, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(csv_text([valid_row(), valid_row(quantity="0")]))
    with pipeline(database) as stream, a_stream_that_runs(stream):
        (delivered,) = load_files(database, [tmp_path / name], timeout_seconds=60)
    assert (delivered.state, delivered.accepted, delivered.rejected) == ("loaded", 1, 1)
    assert [reason.code for reason in delivered.reasons] == ["quantity_invalid"]


def test_a_file_that_waits_under_the_same_name_is_not_replaced(tmp_path: Path) -> None:
    """Another ``make load`` has delivered the waiting file since this one looked."""
    landing = tmp_path / "landing"
    landing.mkdir()
    (landing / "events.csv").write_text("the earlier one")
    (tmp_path / "events.csv").write_text("the later one")
    with pytest.raises(PlatformError, match=r"events\.csv was not delivered: a file of that name waits"):
        deliver(landing, tmp_path / "events.csv")
    assert [path.name for path in landing.iterdir()] == ["events.csv"]
    assert (landing / "events.csv").read_text() == "the earlier one"
