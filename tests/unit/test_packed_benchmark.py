"""The benchmark of the packed form loads the same rows through both sources. No JVM and no server are started."""

from __future__ import annotations

import argparse
from pathlib import Path

import pyarrow as pa
import pytest

from include.stream.reading.csv_reader import read_file
from include.stream.storage.copy import BinaryRows
from include.stream.validation.task_results import pack
from include.stream.validation.validate import validate
from jobs.event_source import FORMAT as TYPED
from jobs.event_source import Options, read_events
from jobs.landing_source import FORMAT as PACKED
from tests.programs.benchmarks import packed

_ROWS = 2000
_LIMIT = 2**40


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a generated file, in which some rows are not valid."""
    (written,) = packed._write(tmp_path_factory.mktemp("files") / "one", 1, _ROWS)
    return written


def test_both_sources_give_copy_the_same_bytes(path: Path) -> None:
    task_result = pack(0, validate(read_file(path, 1, slice_bytes=_LIMIT, max_bytes=_LIMIT)))
    by_source = [
        list(packed.packed_tables(iter([task_result]))),
        list(packed.typed_tables(read_events(str(path), Options(str(path))))),
    ]
    assert [sum(rows for rows, _ in tables) for tables in by_source] == [_ROWS, _ROWS]
    copied = [b"".join(_bytes(valid) for _, valid in tables) for tables in by_source]
    assert copied[0] == copied[1]
    assert 0 < sum(valid.num_rows for _, valid in by_source[0]) < _ROWS


def test_the_figures_go_between_the_markers_of_a_page(tmp_path: Path) -> None:
    turns = {PACKED: packed.Turns([100.0, 200.0], [0.1] * 4), TYPED: packed.Turns([50.0, 50.0], [0.2] * 4)}
    asked = argparse.Namespace(rounds=2, files=3, rows=10, small_rows=1)
    page = tmp_path / "page.md"
    page.write_text(f"before\n{packed.BEGIN}\nold\n{packed.END}\nafter\n")
    for _ in range(2):
        packed._write_into(page, packed.report(turns, asked))
    text = page.read_text()
    assert text.startswith(f"before\n{packed.BEGIN}\n| from rename")
    assert text.endswith(f".\n{packed.END}\nafter\n")
    assert "| 3 files of 10 rows | 150 rows/s | 50 rows/s | 0.38 |" in text
    assert "| one file of 1 rows | 0.100 s | 0.200 s | 2.00 |" in text
    assert "old" not in text


def _bytes(table: pa.Table) -> bytes:
    return b"".join(piece.to_pybytes() for piece in BinaryRows.of(table).pieces)
