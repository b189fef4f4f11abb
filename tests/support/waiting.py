"""Wait for a condition instead of a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

_POLL_SECONDS = 0.1


def wait_until(condition: Callable[[], object], *, seconds: float, what: str) -> None:
    """Return as soon as the condition is true, and fail if it is not before the deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(_POLL_SECONDS)
