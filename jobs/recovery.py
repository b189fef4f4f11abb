"""Classify the failure of a query: continue, wait, or suspect the files of the batch.

Spark reports errors as text that contains stack traces of Java and of Python processes. The class of the innermost
Python error identifies the failure.
"""

from __future__ import annotations

import builtins
import errno
import os
import re
import threading
from enum import Enum

import psycopg2
import psycopg2.errors

from include.db.messages import without_rows
from include.errors import FencedError, PlatformError

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 10.0

_PYTHON_ERROR = re.compile(r"^(?:[a-zA-Z_][\w.]*\.)?(\w+)(?:: |$)")
# The faults of a single file arrive as a FileFaultError and are recorded with the file. An error of the operating
# system that gets past the file's reader is therefore about the machine: a disk, a mount, a limit, or the memory.
_SURROUNDINGS = {PlatformError.__name__, "InterfaceError", "MemoryError", "ArrowMemoryError", "gaierror", "herror"} | {
    name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, OSError)
}
# Python uses this class for a dozen other errors too. This message means that a process limit is reached or the memory
# is full.
_NO_THREAD = "RuntimeError: can't start new thread"
# The same conditions as worded by the JVM, which has one class for all I/O errors. The JVM reads no file of a batch, so
# a file that it misses or may not read is one of Spark's own.
_JVM_SAYS = [
    "java.nio.file.NoSuchFileException",
    "unable to create native thread",
] + [
    os.strerror(code)
    for code in (
        errno.ENOENT,
        errno.EACCES,
        errno.EAGAIN,
        errno.ENOTCONN,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EROFS,
        errno.EIO,
        errno.ESTALE,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.ETIMEDOUT,
    )
]


class Cause(Enum):
    """Why a query failed."""

    FENCED = "another driver has taken over"
    ENVIRONMENT = "Postgres, a disk or the memory"
    BATCH = "something in the batch"


def cause_of(failure: str) -> Cause:
    """Classify the text of a failure.

    An error that is not clearly external is attributed to the files of the batch. That has no consequences for them
    unless they fail again, and then again alone.
    """
    error = python_error(failure)
    if error == FencedError.__name__:
        return Cause.FENCED
    if error in _SURROUNDINGS or _is_operational(error) or reason_of(failure) == _NO_THREAD:
        return Cause.ENVIRONMENT
    # Only where no Python error tells more, since the message of a Python error may quote a row, which can contain any
    # text.
    if (error is None or error.startswith("Py")) and any(text in failure for text in _JVM_SAYS):
        return Cause.ENVIRONMENT
    # Without a failed task or a Python error, Spark's own bookkeeping failed: the checkpoint directory.
    if error is None and "Job aborted" not in failure:
        return Cause.ENVIRONMENT
    return Cause.BATCH


def python_error(failure: str) -> str | None:
    """Return the class of the last Python error in the text; None when there is none."""
    line = next(iter(reason_of(failure).splitlines()), "") if "Traceback (most recent call last):" in failure else ""
    match = _PYTHON_ERROR.match(line)
    return match[1] if match else None


def reason_of(failure: str) -> str:
    """Return the part of an error that an operator needs; Spark adds stack traces and the whole query plan.

    The result is stored in the database, so rows that PostgreSQL quotes are left out.
    """
    return without_rows(_reason_in(failure))


def _reason_in(failure: str) -> str:
    text = failure.partition("=== Streaming Query ===")[0].strip()
    _, found, traceback = text.rpartition("Traceback (most recent call last):")
    if not found:
        return text
    # In a Python traceback the message begins at the first line that is not indented.
    lines = traceback.strip("\n").splitlines()
    return "\n".join(line for line in lines if not line.startswith((" ", "\t"))).strip() or text


def _is_operational(name: str | None) -> bool:
    # A connection that breaks during COPY is reported as the base class of all database errors.
    if name in {"OperationalError", "DatabaseError"}:
        return True
    error = getattr(psycopg2.errors, name or "", None)
    return isinstance(error, type) and issubclass(error, psycopg2.OperationalError)


class Backoff:
    """Pauses that double from half a second to ten seconds; ``reset`` after a success."""

    def __init__(self) -> None:
        self._next_seconds = _FIRST_PAUSE_SECONDS

    def reset(self) -> None:
        """Start again with the shortest pause."""
        self._next_seconds = _FIRST_PAUSE_SECONDS

    def wait(self, interrupted_by: threading.Event) -> float:
        """Wait, at most until the event is set; return the length of the full pause, seconds."""
        seconds = self._next_seconds
        self._next_seconds = min(2 * seconds, _LONGEST_PAUSE_SECONDS)
        interrupted_by.wait(seconds)
        return seconds
