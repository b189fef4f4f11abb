"""Waiting for a condition while parts of the platform are broken on purpose."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import psycopg2

from include.errors import PlatformError

_POLL_SECONDS = 0.25

T = TypeVar("T")


class BrokenPromiseError(Exception):
    """A promise that was not kept: the message says which, and with what values."""


class NotTriedHereError(Exception):
    """A fault that this machine does not allow; the message says why."""


def wait_for(condition: Callable[[], T | None], *, seconds: float, what: str) -> T:
    """The first value of the condition that counts as true.

    A Postgres that is away is an answer like "not yet".

    Raises
    ------
    BrokenPromiseError
        When there is none within the deadline.
    """
    deadline = time.monotonic() + seconds
    trouble = ""
    while True:
        try:
            found = condition()
            trouble = ""
        except (PlatformError, psycopg2.Error) as error:
            trouble = f" ({str(error).strip()})"
        else:
            if found:
                return found
        if time.monotonic() > deadline:
            raise BrokenPromiseError(f"waited {seconds:.0f} s in vain for {what}{trouble}")
        time.sleep(_POLL_SECONDS)
