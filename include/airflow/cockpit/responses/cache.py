"""Cache answers for a moment, so that ten viewers who refresh each second cost one query a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from cachetools import TLRUCache

from include.errors import PlatformError

Value = TypeVar("Value")

_MAX_ENTRIES = 64
# Longer than a statement may take: a caller who waits longer waits for a database that hangs.
_TIMEOUT_SECONDS = 6.0


@dataclass(frozen=True)
class _Entry:
    future: Future[Any]
    seconds: float


class Cache:
    """Cache values by key. One caller makes a value while the others wait for it. An error is cached like a value."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, timeout_seconds: float = _TIMEOUT_SECONDS
    ) -> None:
        self._timeout = timeout_seconds
        self._lock = threading.Lock()
        self._entries: TLRUCache[Hashable, _Entry] = TLRUCache(
            _MAX_ENTRIES, ttu=lambda _, entry, now: now + entry.seconds, timer=clock
        )

    def get(self, key: Hashable, seconds: float, make: Callable[[], Value]) -> Value:
        """Return the cached value of a key if it is younger than ``seconds``, else the value that ``make`` returns.

        Raises
        ------
        PlatformError
            When another caller has not made the value within the timeout.
        Exception
            The error that ``make`` raised, also for callers that waited for it.
        """
        with self._lock:
            found = self._entries.get(key)
            if found is None:
                # A pending entry does not expire: its time begins when the value is there.
                pending = self._entries[key] = _Entry(Future(), float("inf"))
        if found is None:
            self._make(key, pending, seconds, make)
            found = pending
        try:
            error = found.future.exception(timeout=self._timeout)
        except TimeoutError:
            raise PlatformError(
                f"PostgreSQL has not answered within {self._timeout:.0f} s", "See `make status`; ask again in a moment"
            ) from None
        if error is not None:
            raise error.with_traceback(None)
        value: Value = found.future.result()
        return value

    def _make(self, key: Hashable, pending: _Entry, seconds: float, make: Callable[[], Any]) -> None:
        try:
            pending.future.set_result(make())
        except BaseException as error:
            pending.future.set_exception(error)
        with self._lock:
            # After a clear, the key may belong to a newer caller.
            if self._entries.get(key) is pending:
                self._entries[key] = _Entry(pending.future, seconds)

    def clear(self) -> None:
        """Forget everything, so that a user who has just changed something sees the change."""
        with self._lock:
            self._entries.clear()


cache = Cache()
