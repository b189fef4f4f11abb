"""What a failed query means: whether to go on, to wait, or to suspect the files of the batch.

Spark hands over errors as text, with stack traces of Java and of Python processes in it; the class of the innermost
Python error tells what happened.
"""

from __future__ import annotations

import re
import threading
from enum import Enum

import psycopg2
import psycopg2.errors

from include.errors import FencedError, PlatformError

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 10.0

_PYTHON_ERROR = re.compile(r"^(?:[a-zA-Z_][\w.]*\.)?(\w+)(?:: |$)")
_NO_SPACE = "No space left on device"


class Cause(Enum):
    """Why a query failed."""

    FENCED = "another driver has taken over"
    SURROUNDINGS = "Postgres or the disk"
    BATCH = "something in the batch"


def cause_of(failure: str) -> Cause:
    """Judge the text of a failure.

    Whatever cannot be told to come from outside is held against the files of the batch: that costs them nothing unless
    they fail again, and again alone.
    """
    error = python_error(failure)
    if error == FencedError.__name__:
        return Cause.FENCED
    if error in {PlatformError.__name__, "InterfaceError"} or _is_operational(error) or _NO_SPACE in failure:
        return Cause.SURROUNDINGS
    # Without a failed task or a Python error it was Spark's own bookkeeping: the checkpoint directory.
    if error is None and "Job aborted" not in failure:
        return Cause.SURROUNDINGS
    return Cause.BATCH


def python_error(failure: str) -> str | None:
    """The class of the last Python error in the text; None when there is none."""
    line = next(iter(reason_of(failure).splitlines()), "") if "Traceback (most recent call last):" in failure else ""
    match = _PYTHON_ERROR.match(line)
    return match[1] if match else None


def reason_of(failure: str) -> str:
    """The part of an error that a person needs: Spark wraps it in stack traces and the whole query plan."""
    text = failure.partition("=== Streaming Query ===")[0].strip()
    _, found, traceback = text.rpartition("Traceback (most recent call last):")
    if not found:
        return text
    # The message of a Python traceback begins at its first line that is not indented.
    lines = traceback.strip("\n").splitlines()
    return "\n".join(line for line in lines if not line.startswith((" ", "\t"))).strip() or text


def _is_operational(name: str | None) -> bool:
    # A connection that breaks within COPY is reported as the base class of all errors of the database.
    if name in {"OperationalError", "DatabaseError"}:
        return True
    error = getattr(psycopg2.errors, name or "", None)
    return isinstance(error, type) and issubclass(error, psycopg2.OperationalError)


class Backoff:
    """Pauses that double, from half a second to ten; ``reset`` after a success."""

    def __init__(self) -> None:
        self._next_seconds = _FIRST_PAUSE_SECONDS

    def reset(self) -> None:
        """Begin with the shortest pause again."""
        self._next_seconds = _FIRST_PAUSE_SECONDS

    def wait(self, interrupted_by: threading.Event) -> float:
        """Wait, unless or until the event is set; returns the length of the pause, seconds."""
        seconds = self._next_seconds
        self._next_seconds = min(2 * seconds, _LONGEST_PAUSE_SECONDS)
        interrupted_by.wait(seconds)
        return seconds
