"""Test that processes are found by their mark, and that only those are ended."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from include.platform.instance.environment import INSTANCE_VARIABLE, PROGRAM_VARIABLE
from include.platform.programs.catalog import PROGRAMS
from include.platform.programs.launch import end_leftovers
from include.platform.programs.processes import (
    end_processes,
    footprint_bytes,
    instance_processes,
    leftovers_of,
    running_tasks,
)
from tests.support.waiting import wait_until

Start = Callable[[dict[str, str], str], "subprocess.Popen[bytes]"]
SLEEP = "import time; print(flush=True); time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
# Like Airflow's tasks, this process makes its environment readable for root only (PR_SET_DUMPABLE is 4).
CLOSED = "import ctypes; ctypes.CDLL(None).prctl(4, 0, 0, 0, 0); " + SLEEP
LEADER_OF_A_CLOSED_PROCESS = f"""
import os, subprocess, sys, time
os.setsid()
closed = subprocess.Popen([sys.executable, "-c", {CLOSED!r}], stdout=subprocess.PIPE, process_group=0)
closed.stdout.readline()
print(flush=True)
time.sleep(600)
"""
SUPERVISOR_OF_ITS_LEADER = f"""
import os, subprocess, sys, time
os.setsid()
leader = {LEADER_OF_A_CLOSED_PROCESS.replace("os.setsid()", "")!r}
program = subprocess.Popen([sys.executable, "-c", leader], stdout=subprocess.PIPE)
program.stdout.readline()
print(flush=True)
time.sleep(600)
"""


@pytest.fixture
def start() -> Iterator[Start]:
    """Yield a function that starts Python processes and waits until they are ready; kill them at the end."""
    started: list[subprocess.Popen[bytes]] = []

    def run(marks: dict[str, str], code: str) -> subprocess.Popen[bytes]:
        environment = {**os.environ, **marks}
        process = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def marks_of(home: Path, program: str) -> dict[str, str]:
    """Return the mark of a program of an instance."""
    return {INSTANCE_VARIABLE: str(home), PROGRAM_VARIABLE: program}


def test_a_scheduler_that_is_down_has_no_running_tasks() -> None:
    assert running_tasks(0) == []


def test_only_processes_of_the_instance_are_found(tmp_path: Path, start: Start) -> None:
    ours = start(marks_of(tmp_path, "scheduler"), SLEEP)
    start(marks_of(tmp_path / "another", "scheduler"), SLEEP)
    start({}, SLEEP)
    found = instance_processes(tmp_path)
    assert [(one.process.pid, one.program) for one in found] == [(ours.pid, "scheduler")]


def test_a_mark_is_inherited_by_orphans(tmp_path: Path, start: Start) -> None:
    code = (
        f"import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', {SLEEP!r}], start_new_session=True)"
    )
    parent = start(marks_of(tmp_path, "scheduler"), code + "; print(p.pid, flush=True); time.sleep(600)")
    (orphan,) = psutil.Process(parent.pid).children()
    parent.kill()
    parent.wait()
    assert [one.process.pid for one in instance_processes(tmp_path)] == [orphan.pid]
    end_processes([orphan], timeout_seconds=5)
    assert instance_processes(tmp_path) == []


def test_unreadable_processes_are_recognized_by_their_session(tmp_path: Path, start: Start) -> None:
    leader = start(marks_of(tmp_path, "scheduler"), LEADER_OF_A_CLOSED_PROCESS)
    (task,) = psutil.Process(leader.pid).children()
    found = {one.process.pid: one.program for one in instance_processes(tmp_path)}
    assert found == {leader.pid: "scheduler", task.pid: "scheduler"}
    assert {process.pid for process in leftovers_of(tmp_path, "scheduler")} == set(found)
    assert leftovers_of(tmp_path, "triggerer") == []
    end_processes([task], timeout_seconds=5)


def test_a_foreign_process_that_shares_its_session_is_not_found(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Imitate a container, where everything may run in the session of its first process, which is unreadable."""
    program = (
        f"subprocess.Popen([sys.executable, '-c', {SLEEP!r}],"
        f" env={{**os.environ, **{marks_of(tmp_path, 'scheduler')!r}}}, stdout=subprocess.PIPE)"
    )
    code = f"import os, subprocess, sys, time; os.setsid(); p = {program}; p.stdout.readline(); " + SLEEP
    stranger = start({}, code)
    (ours,) = psutil.Process(stranger.pid).children()
    _close(stranger.pid, monkeypatch)
    assert [one.process.pid for one in instance_processes(tmp_path)] == [ours.pid]
    ours.kill()


def _close(pid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the environment of a process from this one, which could read it as root."""
    environ = psutil.Process.environ

    def closed_to_us(process: psutil.Process) -> dict[str, str]:
        if process.pid == pid:
            raise psutil.AccessDenied(pid)
        return environ(process)

    monkeypatch.setattr(psutil.Process, "environ", closed_to_us)


def test_processes_that_ignore_sigterm_are_killed_and_others_left(tmp_path: Path, start: Start) -> None:
    polite, stubborn = start(marks_of(tmp_path, "a"), SLEEP), start(marks_of(tmp_path, "b"), STUBBORN)
    bystander = start({}, SLEEP)
    end_processes([one.process for one in instance_processes(tmp_path)], timeout_seconds=0.5)
    assert not psutil.pid_exists(polite.pid)
    assert not psutil.pid_exists(stubborn.pid)
    assert bystander.poll() is None


@pytest.mark.parametrize(("program", "is_asked"), [("scheduler", False), ("spark-worker", True)])
def test_leftovers_of_airflow_are_killed_before_they_can_end_the_stream(
    tmp_path: Path, start: Start, program: str, is_asked: bool
) -> None:
    """Imitate a task whose SIGTERM handler stops the driver."""
    mark = tmp_path / "driver is stopped"
    code = f"import pathlib, signal; signal.signal(signal.SIGTERM, lambda *_: pathlib.Path({str(mark)!r}).touch()); "
    left = start(marks_of(tmp_path, program), code + SLEEP)
    other = start(marks_of(tmp_path, "triggerer"), SLEEP)
    end_leftovers(tmp_path, PROGRAMS[program])
    assert not psutil.pid_exists(left.pid)
    assert mark.exists() is is_asked
    assert other.poll() is None


def test_a_task_whose_scheduler_is_dead_is_killed_by_whichever_program_starts_first(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = start(marks_of(tmp_path, "supervisord"), SUPERVISOR_OF_ITS_LEADER)
    (scheduler,) = psutil.Process(supervisor.pid).children()
    (task,) = scheduler.children()
    _close(task.pid, monkeypatch)
    scheduler.kill()
    wait_until(lambda: task.ppid() != scheduler.pid, seconds=10, what="the task to become an orphan")
    end_leftovers(tmp_path, PROGRAMS["postgres"])
    assert not psutil.pid_exists(task.pid)


def test_footprint_counts_descendants(start: Start) -> None:
    process = psutil.Process(start({}, SLEEP).pid)
    alone = footprint_bytes([process])
    assert alone > 1024**2
    assert footprint_bytes([process, psutil.Process()]) > alone
