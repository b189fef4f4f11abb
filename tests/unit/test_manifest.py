"""Tests of manifest files: exact, validated, and written by rename."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from include.manifest import Manifest, ManifestError, manifest_path, read_manifest, to_json, write_manifest

MANIFEST = Manifest(
    file="events-a-1-000000.csv",
    run="events-a-1",
    sequence=0,
    seed=1,
    rows=10,
    valid=7,
    duplicates=1,
    late=1,
    by_type={"view": 6, "purchase": 1},
    bad={"row_ragged": 2},
    revenue={"EUR": Decimal("12345678901234567890.10"), "GBP": Decimal("0.00")},
    first_event_time=datetime(2026, 3, 4, 17, 30, 0, 125_000, tzinfo=UTC),
    last_event_time=datetime(2026, 3, 4, 17, 31, tzinfo=UTC),
)


def test_a_manifest_reads_back_unchanged(tmp_path: Path) -> None:
    path = write_manifest(MANIFEST, tmp_path)
    assert path == manifest_path(tmp_path, MANIFEST.file) == tmp_path / "events-a-1-000000.csv.json"
    assert read_manifest(path) == MANIFEST
    assert [one.name for one in tmp_path.iterdir()] == [path.name], "nothing hidden is left"


def test_money_is_exact_and_readable(tmp_path: Path) -> None:
    written = json.loads(to_json(MANIFEST))
    assert written["revenue"] == {"EUR": "12345678901234567890.10", "GBP": "0.00"}
    assert read_manifest(write_manifest(MANIFEST, tmp_path)).revenue["EUR"] == Decimal("12345678901234567890.10")


def test_a_file_without_valid_rows_has_no_times(tmp_path: Path) -> None:
    empty = replace(
        MANIFEST, rows=3, valid=0, late=0, by_type={}, revenue={}, first_event_time=None, last_event_time=None
    )
    assert read_manifest(write_manifest(empty, tmp_path)) == empty


def test_the_same_manifest_may_be_written_again_but_no_other(tmp_path: Path) -> None:
    write_manifest(MANIFEST, tmp_path)
    write_manifest(MANIFEST, tmp_path)
    with pytest.raises(ManifestError, match="describes another file"):
        write_manifest(replace(MANIFEST, seed=2), tmp_path)
    assert read_manifest(manifest_path(tmp_path, MANIFEST.file)).seed == 1


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "events-a-1-000000.csv.json").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_manifest(MANIFEST, tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["events-a-1-000000.csv.json"]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"rows": 11}, "rows=11 is not valid \\+ duplicates \\+ bad = 7 \\+ 1 \\+ 2"),
        ({"by_type": {"view": 8}}, "valid=7 is not the sum of by_type, 8"),
        ({"late": 8}, "late=8 is more than valid=7"),
        ({"rows": -1}, "rows: Input should be greater than or equal to 0"),
        ({"rows": "10"}, "rows: Input should be a valid integer"),
        ({"bad": {"row_ragged": 2.5}}, "bad.row_ragged: Input should be a valid integer"),
        ({"revenue": {"EUR": 12.9}}, "revenue.EUR: .*is not exact"),
        ({"revenue": {"EUR": "twelve"}}, "revenue.EUR: Input should be a valid decimal"),
        ({"first_event_time": "soon"}, "first_event_time: Input should be a valid datetime"),
        ({"surprise": 1}, "surprise: Unexpected keyword argument"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, change: dict[str, Any], fault: str) -> None:
    path = tmp_path / "wrong.csv.json"
    path.write_text(json.dumps({**json.loads(to_json(MANIFEST)), **change}))
    with pytest.raises(ManifestError, match=f"wrong.csv.json is not a manifest: {fault}"):
        read_manifest(path)


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    path = tmp_path / "wrong.csv.json"
    path.write_text(json.dumps({name: value for name, value in json.loads(to_json(MANIFEST)).items() if name != "run"}))
    with pytest.raises(ManifestError, match="run: Field required"):
        read_manifest(path)


def test_invalid_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "wrong.csv.json"
    path.write_bytes(to_json(MANIFEST)[:50])
    with pytest.raises(ManifestError, match="is not a manifest: Invalid JSON"):
        read_manifest(path)
