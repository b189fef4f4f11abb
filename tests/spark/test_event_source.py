"""The public Spark source of event files: ``spark.read`` and ``spark.readStream`` with typed, validated columns."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

from include.contract import COLUMN_NAMES
from jobs.event_source import FORMAT, SCHEMA, EventSource
from tests.support.csv_files import csv_text, valid_row

Load = Callable[..., DataFrame]


@pytest.fixture
def load(spark: SparkSession) -> Load:
    spark.dataSource.register(EventSource)

    def make(path: Path, **options: object) -> DataFrame:
        return (
            spark.read.format(FORMAT).options(**{name: str(value) for name, value in options.items()}).load(str(path))
        )

    return make


def write(path: Path, *rows: dict[str, str | None]) -> Path:
    content = csv_text([valid_row(**row) for row in rows]).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def test_rows_have_the_typed_columns_of_the_contract(load: Load, tmp_path: Path) -> None:
    path = write(tmp_path / "one.csv", {"event_type": "purchase", "unit_price": "12.50", "quantity": "3"})
    frame = load(path)
    assert frame.schema == SCHEMA
    (row,) = frame.collect()
    assert row.event_id == path.read_text().splitlines()[1].split(",")[0]
    assert (row.unit_price, row.quantity, row._line, row._reasons) == (Decimal("12.50"), 3, 2, [])
    assert row._file == str(path)
    revenue = frame.where("event_type = 'purchase'").agg(f.sum(f.col("unit_price") * f.col("quantity"))).first()
    assert revenue is not None
    assert revenue[0] == Decimal("37.50")


def test_the_columns_are_those_of_the_contract() -> None:
    assert tuple(SCHEMA.names[: len(COLUMN_NAMES)]) == tuple(COLUMN_NAMES)


@pytest.mark.parametrize(
    ("mode", "quantities"), [("PERMISSIVE", [1, None, 2]), ("dropMalformed", [1, 2])], ids=["permissive", "dropped"]
)
def test_the_mode_says_what_becomes_of_a_row_that_is_not_valid(
    load: Load, tmp_path: Path, mode: str, quantities: list[int | None]
) -> None:
    path = write(tmp_path / "one.csv", {"quantity": "1"}, {"quantity": "many"}, {"quantity": "2"})
    rows = load(path, mode=mode).orderBy("_line").collect()
    assert [row.quantity for row in rows] == quantities
    assert [row._reasons for row in rows if row.quantity is None] == [["quantity_invalid"]] * (None in quantities)


def test_failfast_names_file_line_and_reason(load: Load, tmp_path: Path) -> None:
    path = write(tmp_path / "one.csv", {"quantity": "1"}, {"quantity": "many"})
    with pytest.raises(PySparkException, match=r"one\.csv, line 3: quantity_invalid"):
        load(path, mode="FAILFAST").collect()


def test_a_folder_is_read_with_its_gzip_files_and_without_unfinished_ones(load: Load, tmp_path: Path) -> None:
    write(tmp_path / "a.csv", {})
    write(tmp_path / "b.csv.gz", {}, {})
    write(tmp_path / ".c.csv", {})
    (tmp_path / "notes.txt").write_text("no events")
    counts = {row["_file"]: row["count"] for row in load(tmp_path).groupBy("_file").count().collect()}
    assert counts == {str(tmp_path / "a.csv"): 1, str(tmp_path / "b.csv.gz"): 2}
    assert load(tmp_path / "*.csv").count() == 1


def test_a_file_that_cannot_be_read_is_a_row_of_its_own(load: Load, tmp_path: Path) -> None:
    write(tmp_path / "good.csv", {})
    (tmp_path / "wrong.csv").write_text("a,b\n1,2\n")
    (fault,) = load(tmp_path).where("_line IS NULL").collect()
    assert (fault._file, fault.event_id) == (str(tmp_path / "wrong.csv"), None)
    assert len(fault._reasons) == 1
    assert load(tmp_path, mode="DROPMALFORMED").count() == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "lenient"}, "mode 'lenient' is none of PERMISSIVE, DROPMALFORMED, FAILFAST"),
        ({"maxFileBytes": 0}, "maxFileBytes '0' is not a positive whole number"),
        ({"header": "true"}, "has no option 'header'"),
    ],
)
def test_a_wrong_option_is_refused(load: Load, tmp_path: Path, options: dict[str, object], message: str) -> None:
    write(tmp_path / "one.csv", {})
    with pytest.raises(PySparkException, match=message):
        load(tmp_path, **options).collect()


def test_a_path_that_does_not_exist_is_refused(load: Load, tmp_path: Path) -> None:
    with pytest.raises(PySparkException, match=r"nowhere is neither a file nor a folder"):
        load(tmp_path / "nowhere").collect()


def test_a_streaming_query_reads_each_file_once_also_after_a_restart(
    spark: SparkSession, load: Load, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()

    def run() -> Iterator[str]:
        stream = spark.readStream.format(FORMAT).option("maxFilesPerTrigger", "1").load(str(folder))
        seen: list[str] = []
        query = (
            stream.writeStream.foreachBatch(lambda batch, _: seen.extend(row["_file"] for row in batch.collect()))
            .option("checkpointLocation", str(tmp_path / "checkpoint"))
            .start()
        )
        try:
            query.processAllAvailable()
        finally:
            query.stop()
        return iter(Path(one).name for one in seen)

    # Moved in after it was made: its time of modification is older than that of the first file.
    late = write(tmp_path / "late.csv", {})
    write(folder / "first.csv", {})
    write(folder / "second.csv", {})
    assert sorted(_until(run, {"first.csv", "second.csv"})) == ["first.csv", "second.csv"]
    late.rename(folder / "late.csv")
    assert list(_until(run, {"late.csv"})) == ["late.csv"]


def _until(run: Callable[[], Iterator[str]], wanted: set[str]) -> list[str]:
    """Run the query again until it has read what it should: a file of the last tenth of a second waits for the next."""
    seen: list[str] = []
    for _ in range(50):
        seen += run()
        if wanted <= set(seen):
            break
    return seen
