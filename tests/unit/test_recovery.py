"""What the text of a failed query is taken for, and how long the next one waits."""

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
Traceback (most recent call last): in a plan is none of our business
"""


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        ("include.errors.FencedError: this driver holds epoch 3", Cause.FENCED),
        ("include.errors.PlatformError: PostgreSQL cannot be reached: refused. See `make status`.", Cause.SURROUNDINGS),
        ("psycopg2.OperationalError: server closed the connection unexpectedly", Cause.SURROUNDINGS),
        ("psycopg2.errors.AdminShutdown: terminating connection", Cause.SURROUNDINGS),
        ("psycopg2.errors.DiskFull: could not extend file", Cause.SURROUNDINGS),
        ("psycopg2.errors.QueryCanceled: COPY from stdin failed: error in .read() call", Cause.SURROUNDINGS),
        ("psycopg2.DatabaseError: error with status PGRES_FATAL_ERROR", Cause.SURROUNDINGS),
        ("psycopg2.InterfaceError: connection already closed", Cause.SURROUNDINGS),
        ("OSError: [Errno 28] No space left on device", Cause.SURROUNDINGS),
        ("psycopg2.errors.CheckViolation: new row violates a check", Cause.BATCH),
        ("ValueError: 5: too large", Cause.BATCH),
        ("KeyError", Cause.BATCH),
    ],
)
def test_python_errors_are_judged_by_their_class(error: str, cause: Cause) -> None:
    failure = _PYTHON.format(error=error)
    assert cause_of(failure) is cause
    assert reason_of(failure) == error


def test_a_failed_task_is_held_against_the_batch_but_a_lost_checkpoint_is_not() -> None:
    aborted = "[STREAM_FAILED] Job aborted due to stage failure: Task 0 in stage 1.0 failed 4 times"
    lost = "[STREAM_FAILED] java.io.FileNotFoundException: /checkpoint/3/offsets/4 does not exist"
    assert cause_of(aborted) is Cause.BATCH
    assert cause_of(lost) is Cause.SURROUNDINGS


def test_pauses_grow_to_a_limit_and_begin_anew_after_a_success() -> None:
    at_once = threading.Event()
    at_once.set()
    backoff = Backoff()
    assert [backoff.wait(at_once) for _ in range(7)] == [0.5, 1, 2, 4, 8, 10, 10]
    backoff.reset()
    assert backoff.wait(at_once) == 0.5
