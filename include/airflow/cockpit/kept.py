"""Answers that are kept for a moment, so that ten viewers who look each second cost one query a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

Value = TypeVar("Value")

_MOST = 64


@dataclass
class _Entry:
    lock: threading.Lock = field(default_factory=threading.Lock)
    until: float = 0.0
    value: Any = None
    error: Exception | None = None


class Kept:
    """Values by key, each made by one caller while the others wait for it. An error is kept as a value is."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: dict[Hashable, _Entry] = {}

    def get(self, key: Hashable, seconds: float, make: Callable[[], Value]) -> Value:
        """The value of a key: the kept one while it is younger than some seconds, else what ``make`` returns.

        Raises
        ------
        Exception
            What ``make`` raised, also to those who waited for it.
        """
        with self._lock:
            if len(self._entries) >= _MOST:
                now = self._clock()
                self._entries = {key: one for key, one in self._entries.items() if one.until > now or one.lock.locked()}
            entry = self._entries.setdefault(key, _Entry())
        with entry.lock:
            if self._clock() >= entry.until:
                try:
                    entry.value, entry.error = make(), None
                except Exception as error:
                    entry.value, entry.error = None, error
                entry.until = self._clock() + seconds
            if entry.error is not None:
                raise entry.error.with_traceback(None)
            value: Value = entry.value
            return value

    def clear(self) -> None:
        """Forget everything: something was changed, and whoever changed it wants to see that."""
        with self._lock:
            self._entries = {}


kept = Kept()
