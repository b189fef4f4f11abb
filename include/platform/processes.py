"""The operating system's processes of an instance, whoever their parents became.

Every program is started with a mark in its environment, which its descendants inherit. Airflow closes the processes
that hold its tokens to everybody but root; those are known by their session, which is the supervisor's.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from include.platform.environment import INSTANCE_VARIABLE, PROGRAM_VARIABLE


@dataclass(frozen=True)
class Member:
    """A process of an instance.

    ``program`` is the one that it or an ancestor was started as; None when that cannot be told, because the process is
    closed and its program is dead.
    """

    process: psutil.Process
    program: str | None


def instance_processes(home: Path) -> list[Member]:
    """The processes of the instance at ``home``, without the calling one.

    PostgreSQL's backends write over their environment and are not found: they end with their server.
    """
    marked: dict[int, Member] = {}
    closed: list[psutil.Process] = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            environment = process.environ()
        except psutil.AccessDenied:
            closed.append(process)
            continue
        except (psutil.Error, OSError):
            continue
        if environment.get(INSTANCE_VARIABLE) == str(home) and PROGRAM_VARIABLE in environment:
            marked[process.pid] = Member(process, environment[PROGRAM_VARIABLE])
    sessions = {session for pid in marked if (session := _session(pid)) is not None and _is_ours(session, marked)}
    members = [Member(one, _program_of(one, marked)) for one in closed if _session(one.pid) in sessions]
    return [*marked.values(), *members]


def leftovers_of(home: Path, *programs: str) -> list[psutil.Process]:
    """The processes that earlier lives of programs have left: their own, and those whose program is dead."""
    return [member.process for member in instance_processes(home) if member.program in (*programs, None)]


def running_tasks(scheduler_pid: int) -> list[psutil.Process]:
    """The processes of Airflow's running tasks: children of the executor's workers, which are the scheduler's."""
    try:
        workers = psutil.Process(scheduler_pid).children()
        return [task for worker in workers for task in worker.children()]
    except psutil.NoSuchProcess:
        return []


def _is_ours(session: int, marked: Mapping[int, Member]) -> bool:
    """Whether a session was opened by a process of the instance, which may have died: its number stays taken then.

    A program that is started without a session of its own shares that of a shell, or of everything in a container
    (0: its leader is outside).
    """
    return session in marked or (session != 0 and not psutil.pid_exists(session))


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _program_of(process: psutil.Process, marked: dict[int, Member]) -> str | None:
    try:
        ancestors = process.parents()
    except psutil.Error:
        return None
    return next((marked[one.pid].program for one in ancestors if one.pid in marked), None)


def end_processes(processes: Iterable[psutil.Process], *, patience_seconds: float) -> None:
    """Ask each to stop (SIGINT for a PostgreSQL server: its fast shutdown), then kill what is left."""
    remaining = list(processes)
    for process in remaining:
        _send(process, signal.SIGINT if _is_postgres(process) else signal.SIGTERM)
    _, remaining = psutil.wait_procs(remaining, timeout=patience_seconds)
    kill_processes(remaining, patience_seconds=patience_seconds)


def kill_processes(processes: Iterable[psutil.Process], *, patience_seconds: float) -> None:
    """Kill each without asking, and wait until they are gone."""
    remaining = list(processes)
    for process in remaining:
        _send(process, signal.SIGKILL)
    psutil.wait_procs(remaining, timeout=patience_seconds)


def footprint_bytes(processes: Iterable[psutil.Process]) -> int:
    """The memory of processes and their descendants together: PSS, in which a page shared by several counts once.

    Without those that are closed to the user: for anybody but root, Airflow's running tasks are missing.
    """
    family = set()
    for process in processes:
        try:
            family |= {process, *process.children(recursive=True)}
        except psutil.Error:
            continue
    total = 0
    for process in family:
        try:
            total += process.memory_full_info().pss
        except psutil.Error:
            continue
    return total


def _send(process: psutil.Process, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def _is_postgres(process: psutil.Process) -> bool:
    try:
        return process.name() == "postgres"
    except psutil.NoSuchProcess:
        return False
