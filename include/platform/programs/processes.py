"""Find and end the processes of an instance, including those that were reparented.

Every program is started with a mark in its environment, which its descendants inherit. Airflow makes processes that
hold its tokens unreadable for everyone but root. These are recognized by their session, which is the supervisor's.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from include.platform.instance.environment import INSTANCE_VARIABLE, PROGRAM_VARIABLE


@dataclass(frozen=True)
class Member:
    """A process of an instance.

    ``program`` is the program that the process or one of its ancestors was started as. It is None when that is unknown
    because the process is unreadable and its program is dead.
    """

    process: psutil.Process
    program: str | None


def instance_processes(home: Path) -> list[Member]:
    """Return the processes of the instance at ``home``, except the calling one.

    PostgreSQL's backends overwrite their environment and are not found; they end with their server.
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
    """Return the leftovers of earlier runs of programs: their own processes, and those whose program is unknown."""
    return [member.process for member in instance_processes(home) if member.program in (*programs, None)]


def running_tasks(scheduler_pid: int) -> list[psutil.Process]:
    """Return the processes of Airflow's running tasks: the children of the executor's workers.

    The workers are in turn children of the scheduler.
    """
    if scheduler_pid == 0:
        # The supervisor reports pid 0 for a program that does not run. psutil may see 0 as the parent of all processes.
        return []
    try:
        workers = psutil.Process(scheduler_pid).children()
        return [task for worker in workers for task in worker.children()]
    except psutil.NoSuchProcess:
        return []


def _is_ours(session: int, marked: Mapping[int, Member]) -> bool:
    """Return whether a process of the instance opened a session.

    That process may have died; its number stays reserved while the session exists. A program without a session of its
    own shares that of a shell, or of everything in a container (0, because the leader is outside the container).
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


def end_processes(processes: Iterable[psutil.Process], *, timeout_seconds: float) -> None:
    """Ask each process to stop (a PostgreSQL server by SIGINT, its fast shutdown), then kill those that remain."""
    remaining = list(processes)
    for process in remaining:
        _send(process, signal.SIGINT if _is_postgres(process) else signal.SIGTERM)
    _, remaining = psutil.wait_procs(remaining, timeout=timeout_seconds)
    kill_processes(remaining, timeout_seconds=timeout_seconds)


def kill_processes(processes: Iterable[psutil.Process], *, timeout_seconds: float) -> None:
    """Kill each process with SIGKILL and wait until they are gone."""
    remaining = list(processes)
    for process in remaining:
        _send(process, signal.SIGKILL)
    psutil.wait_procs(remaining, timeout=timeout_seconds)


def footprint_bytes(processes: Iterable[psutil.Process]) -> int:
    """Return the total memory of processes and their descendants in bytes, as PSS, which counts a shared page once.

    Processes that the user may not inspect are left out. For all users but root these are Airflow's running tasks.
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
