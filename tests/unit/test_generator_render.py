"""Tests of event ids, times and CSV fields rendered as text."""

from __future__ import annotations

import csv
import io
import uuid
from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from include.generator.render import csv_field, iso_times, uuid7

_MILLISECONDS = st.lists(st.integers(0, 4_102_444_800_000), max_size=20)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(_MILLISECONDS, st.integers(0, 2**32))
def test_uuid7_is_valid_and_carries_its_time(times: list[int], seed: int) -> None:
    texts = uuid7(np.array(times, np.int64), np.random.default_rng(seed)).to_pylist()
    assert len(texts) == len(times)
    for text, time_ms in zip(texts, times, strict=True):
        one = uuid.UUID(text.decode())
        assert str(one) == text.decode()
        assert one.version == 7
        assert one.variant == uuid.RFC_4122
        assert one.int >> 80 == time_ms


def test_uuid7_of_one_instant_are_different() -> None:
    texts = uuid7(np.zeros(100_000, np.int64), np.random.default_rng(1)).to_pylist()
    assert len(set(texts)) == 100_000


@given(_MILLISECONDS)
def test_times_are_iso_8601_with_milliseconds(times: list[int]) -> None:
    texts = [text.decode() for text in iso_times(np.array(times, np.int64)).to_pylist()]
    expected = [_EPOCH + timedelta(milliseconds=time_ms) for time_ms in times]
    assert texts == [one.isoformat(timespec="milliseconds").replace("+00:00", "Z") for one in expected]


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_a_csv_field_reads_back(text: str) -> None:
    encoded = csv_field(text)
    assert next(csv.reader(io.StringIO(encoded.decode() + ",next", newline=""), strict=True)) == [text, "next"]
    assert encoded == text.encode() or encoded.startswith(b'"')
