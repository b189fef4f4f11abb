"""supervisord keeps the programs alive; this module writes its configuration, starts it and speaks with it.

It listens on a unix socket in ``socket_dir``. Programs are started in the order that ``make up`` decides, restarted
whenever they end, and their output goes to rotated files in ``log_dir``.
"""

from __future__ import annotations

import os
import pwd
import shlex
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil
from supervisor.xmlrpc import Faults, SupervisorTransport

from include.errors import PlatformError
from include.platform.environment import PROGRAM_VARIABLE, base_environment
from include.platform.home import Memory
from include.platform.programs import Program, expected_programs
from include.settings import Settings

_HEAD = """\
; Written by Shopstream at every start.
[supervisord]
logfile = supervisord.log
logfile_maxbytes = 5MB
logfile_backups = 2
pidfile = {run}/supervisord.pid
directory = {logs}
{user}
[unix_http_server]
file = {run}/supervisor.sock
chmod = 0600

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""

# startsecs: a program that ends sooner counts as a failed start; the pause before the next grows by a second each time.
# Logs are named relative to the directory: supervisord expands these names twice, whatever else is in the path.
_PROGRAM = """
[program:{name}]
command = {python} -m include.platform.launch {name}
autostart = false
autorestart = true
startsecs = 2
startretries = 10
stopsignal = {signal}
stopwaitsecs = {seconds}
stopasgroup = {asgroup}
killasgroup = true
redirect_stderr = true
stdout_logfile = {name}.log
stdout_logfile_maxbytes = 10MB
stdout_logfile_backups = 3
"""


@dataclass(frozen=True)
class ProgramState:
    """What the supervisor knows of a program; ``pid`` and ``uptime_seconds`` are 0 unless it runs."""

    name: str
    state: str
    pid: int
    uptime_seconds: int
    description: str

    @property
    def is_running(self) -> bool:
        """Whether it has been up for longer than a failed start would."""
        return self.state == "RUNNING"


class Supervisor:
    """The supervisor of one instance."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._socket = settings.socket_dir / "supervisor.sock"

    @property
    def is_up(self) -> bool:
        """Whether it answers."""
        try:
            with self._rpc() as rpc:
                return bool(rpc.getState()["statecode"] == 1)
        except (OSError, xmlrpc.client.Error):
            return False

    def start(self) -> None:
        """Start supervisord with no program running.

        Raises
        ------
        PlatformError
            When it does not answer.
        """
        self._socket.unlink(missing_ok=True)
        path = self._settings.root / "supervisord.conf"
        path.write_text(configuration(self._settings), encoding="utf-8")
        subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(path)],
            cwd=self._settings.log_dir,
            env={**base_environment(self._settings), PROGRAM_VARIABLE: "supervisord"},
            stdin=subprocess.DEVNULL,
            check=False,
        )
        deadline = time.monotonic() + 15
        while not self.is_up:
            if time.monotonic() > deadline:
                raise PlatformError(
                    "the process supervisor does not answer", f"Read {self._settings.log_dir / 'supervisord.log'}"
                )
            time.sleep(0.05)

    def states(self) -> dict[str, ProgramState]:
        """The state of every program; empty when the supervisor is down."""
        try:
            with self._rpc() as rpc:
                found: list[dict[str, Any]] = rpc.getAllProcessInfo()
        except (OSError, xmlrpc.client.Error):
            return {}
        return {
            one["name"]: ProgramState(
                one["name"],
                one["statename"],
                one["pid"],
                one["now"] - one["start"] if one["pid"] else 0,
                one["description"] or one["spawnerr"],
            )
            for one in found
        }

    def start_programs(self, names: Iterable[str]) -> list[str]:
        """Start those that are not up or on their way, without waiting; returns their names."""
        states = self.states()
        down = [name for name in names if states[name].state not in {"STARTING", "RUNNING", "BACKOFF"}]
        with self._rpc() as rpc:
            for name in down:
                self._ignore_race(rpc.startProcess, name, False)
        return down

    def stop_programs(self, names: Iterable[str], *, timeout_seconds: float) -> None:
        """Stop all of them at once and wait; the supervisor kills whoever outlasts its time."""
        names = [name for name in names if name in self.states()]
        with self._rpc() as rpc:
            for name in names:
                self._ignore_race(rpc.stopProcess, name, False)
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            states = self.states()
            if not any(states[name].pid for name in names if name in states):
                return
            time.sleep(0.05)

    def kill_program(self, name: str) -> None:
        """Kill the main process of a program, which is then started again as after any other death."""
        with self._rpc() as rpc:
            self._ignore_race(rpc.signalProcess, name, "KILL")

    def shutdown(self) -> None:
        """End supervisord itself."""
        try:
            with self._rpc() as rpc:
                daemon = psutil.Process(rpc.getPID())
                rpc.shutdown()
            daemon.wait(timeout=5)
        except (OSError, xmlrpc.client.Error, psutil.Error):
            # Gone already, or about to be swept.
            return

    @contextmanager
    def _rpc(self) -> Iterator[Any]:
        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        try:
            yield xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport).supervisor
        finally:
            transport.close()

    @staticmethod
    def _ignore_race(call: Any, *arguments: Any) -> None:
        """A program may change its state between the look and the call; being there already is as good."""
        try:
            call(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode not in {Faults.ALREADY_STARTED, Faults.NOT_RUNNING}:
                raise


def running_settings(settings: Settings) -> Settings:
    """The settings that the instance at ``home`` was started with while it runs, else ``settings`` themselves."""
    if not Supervisor(settings).is_up:
        return settings
    return Settings.from_env(Memory.load(settings).settings)


def configuration(settings: Settings) -> str:
    """The text of supervisord.conf."""
    # As root supervisord insists that somebody has thought about it.
    user = f"user = {pwd.getpwuid(0).pw_name}\n" if os.geteuid() == 0 else ""
    head = _HEAD.format(logs=_escape(settings.log_dir), run=_escape(settings.socket_dir), user=user)
    return head + "".join(_program(settings, program) for program in expected_programs(settings))


def _program(settings: Settings, program: Program) -> str:
    return _PROGRAM.format(
        name=program.name,
        python=_escape(shlex.quote(sys.executable)),
        signal=program.stop_signal,
        seconds=program.stop_seconds,
        # PostgreSQL stops its own children in their order.
        asgroup=str(program.group != "postgres").lower(),
    )


def _escape(value: object) -> str:
    """supervisord expands ``%(name)s`` in its configuration."""
    return str(value).replace("%", "%%")
