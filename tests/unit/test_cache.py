"""Tests of the cache of short-lived answers."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from include.airflow.cockpit.responses.cache import Cache


class _Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_value_is_cached_until_it_expires() -> None:
    clock = _Clock()
    kept = Cache(clock)
    made = iter(range(10))
    assert [kept.get("key", 1.0, lambda: next(made)) for _ in range(3)] == [0, 0, 0]
    assert kept.get("other", 1.0, lambda: next(made)) == 1
    clock.now += 0.99
    assert kept.get("key", 1.0, lambda: next(made)) == 0
    clock.now += 0.01
    assert kept.get("key", 1.0, lambda: next(made)) == 2
    kept.clear()
    assert kept.get("key", 1.0, lambda: next(made)) == 3


def test_ten_concurrent_callers_compute_a_value_once() -> None:
    kept = Cache()
    go_on = threading.Event()
    made = []

    def make() -> int:
        go_on.wait(10)
        made.append(1)
        return 7

    with ThreadPoolExecutor(10) as pool:
        asked = [pool.submit(kept.get, "key", 60.0, make) for _ in range(10)]
        go_on.set()
        assert [one.result(10) for one in asked] == [7] * 10
    assert made == [1]


def test_an_error_is_cached_like_a_value() -> None:
    clock = _Clock()
    kept = Cache(clock)
    tries = []

    def fail() -> None:
        tries.append(1)
        raise ValueError("away")

    for _ in range(3):
        with pytest.raises(ValueError, match="away"):
            kept.get("key", 1.0, fail)
    assert tries == [1]
    clock.now += 1
    assert kept.get("key", 1.0, lambda: "back") == "back"


def test_expired_entries_are_removed() -> None:
    clock = _Clock()
    kept = Cache(clock)
    for number in range(1000):
        clock.now += 1
        kept.get(number, 1.0, lambda: "long")
    assert len(kept._entries) <= 64
