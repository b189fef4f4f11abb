"""Tests of how the text of a failed query is classified, and of the delay before the next one."""

from __future__ import annotations

import threading

import pytest

from jobs.recovery import Backoff, Cause, cause_of, reason_of

_PYTHON = """\
[STREAM_FAILED] Query [id = 1, runId = 2] terminated with exception: An exception was raised by the Python Proxy.
Traceback (most recent call last):
  File "/app/jobs/query.py", line 60, in write
    sink.write(flagged)
{error}

=== Streaming Query ===
Identifier: events
Traceback (most recent call last): in a plan does not count
"""


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        ("include.errors.FencedError: this driver holds epoch 3", Cause.FENCED),
        ("include.errors.PlatformError: PostgreSQL cannot be reached: refused. See `make status`.", Cause.ENVIRONMENT),
        ("psycopg2.OperationalError: server closed the connection unexpectedly", Cause.ENVIRONMENT),
        ("psycopg2.errors.AdminShutdown: terminating connection", Cause.ENVIRONMENT),
        ("psycopg2.errors.LockNotAvailable: canceling statement due to lock timeout", Cause.ENVIRONMENT),
        ("psycopg2.errors.DiskFull: could not extend file", Cause.ENVIRONMENT),
        ("psycopg2.errors.QueryCanceled: COPY from stdin failed: error in .read() call", Cause.ENVIRONMENT),
        ("psycopg2.DatabaseError: error with status PGRES_FATAL_ERROR", Cause.ENVIRONMENT),
        ("psycopg2.InterfaceError: connection already closed", Cause.ENVIRONMENT),
        ("OSError: [Errno 28] No space left on device", Cause.ENVIRONMENT),
        ("OSError: [Errno 30] Read-only file system: '/shop/checkpoint/7'", Cause.ENVIRONMENT),
        ("OSError: [Errno 24] Too many open files", Cause.ENVIRONMENT),
        ("PermissionError: [Errno 13] Permission denied: '/shop/landing-archive/2026112308'", Cause.ENVIRONMENT),
        ("FileNotFoundError: [Errno 2] No such file or directory: '/shop/landing'", Cause.ENVIRONMENT),
        ("FileExistsError: [Errno 17] File exists", Cause.ENVIRONMENT),
        ("ConnectionResetError: [Errno 104] Connection reset by peer", Cause.ENVIRONMENT),
        ("TimeoutError: [Errno 110] Connection timed out", Cause.ENVIRONMENT),
        ("socket.gaierror: [Errno -2] Name or service not known", Cause.ENVIRONMENT),
        ("MemoryError", Cause.ENVIRONMENT),
        ("RuntimeError: can't start new thread", Cause.ENVIRONMENT),
        ("pyarrow.lib.ArrowMemoryError: malloc of size 64 failed", Cause.ENVIRONMENT),
        ("include.stream.reading.delivered.FileFaultError: unreadable", Cause.BATCH),
        # A row may hold any text, so its words must not shift the blame from the file to the machine.
        ("psycopg2.errors.CheckViolation: Failing row contains (No space left on device)", Cause.BATCH),
        ("psycopg2.errors.CheckViolation: new row violates a check", Cause.BATCH),
        ("ValueError: 5: too large", Cause.BATCH),
        ("KeyError", Cause.BATCH),
        ("RuntimeError: can't start new thread: so says the row", Cause.BATCH),
    ],
)
def test_python_errors_are_classified_by_their_class(error: str, cause: Cause) -> None:
    failure = _PYTHON.format(error=error)
    assert cause_of(failure) is cause
    assert reason_of(failure) == error


_ABORTED = "[STREAM_FAILED] Job aborted due to stage failure: Task 0 in stage 1.0 failed 4 times"


@pytest.mark.parametrize(
    "said",
    [
        "java.io.IOException: Read-only file system",
        "java.io.FileNotFoundException: /tmp/blockmgr-1/0a/temp_shuffle_2 (No such file or directory)",
        "java.io.FileNotFoundException: /tmp/blockmgr-1/0a/temp_shuffle_2 (Permission denied)",
        "java.nio.file.NoSuchFileException: /tmp/blockmgr-1/0a",
        'java.io.IOException: Cannot run program "python3": error=11, Resource temporarily unavailable',
        'java.io.IOException: Cannot run program "python3": error=24, Too many open files',
        "java.lang.OutOfMemoryError: unable to create native thread: possibly out of memory or process limits reached",
        "java.io.IOException: Transport endpoint is not connected",
    ],
)
def test_jvm_errors_of_the_machine_are_not_blamed_on_the_batch(said: str) -> None:
    assert cause_of(f"{_ABORTED}\n{said}") is Cause.ENVIRONMENT


def test_a_failed_task_is_blamed_on_the_batch_but_a_lost_checkpoint_is_not() -> None:
    crashed = "org.apache.spark.SparkException: Python worker exited unexpectedly (crashed)\njava.io.EOFException"
    lost = "[STREAM_FAILED] java.io.FileNotFoundException: /checkpoint/3/offsets/4 does not exist"
    assert cause_of(_ABORTED) is Cause.BATCH
    # A file that crashes its reader must be found. A file that was read while memory was full gets enough retries.
    assert cause_of(f"{_ABORTED}\n{crashed}") is Cause.BATCH
    assert cause_of(lost) is Cause.ENVIRONMENT


def test_delays_grow_to_a_limit_and_restart_after_a_success() -> None:
    at_once = threading.Event()
    at_once.set()
    backoff = Backoff()
    assert [backoff.wait(at_once) for _ in range(7)] == [0.5, 1, 2, 4, 8, 10, 10]
    backoff.reset()
    assert backoff.wait(at_once) == 0.5
