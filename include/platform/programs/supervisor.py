"""Configure, start and control supervisord, which keeps the programs alive.

supervisord listens on a unix socket in ``socket_dir``. It starts programs in the order that ``make up`` decides,
restarts them whenever they end, and writes their output to rotated files in ``log_dir``.
"""

from __future__ import annotations

import os
import pwd
import shlex
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil
from supervisor.xmlrpc import Faults, SupervisorTransport

from include.errors import PlatformError, SettingsError
from include.platform.instance.environment import PROGRAM_VARIABLE, base_environment
from include.platform.instance.home import Memory
from include.platform.programs.catalog import Program, expected_programs
from include.settings import PREFIX, Settings

_HEAD = """\
; Written by Shopstream at every start.
[supervisord]
logfile = supervisord.log
logfile_maxbytes = 5MB
logfile_backups = 2
pidfile = {run}/supervisord.pid
directory = {logs}
umask = 077
{user}
[unix_http_server]
file = {run}/supervisor.sock
chmod = 0600

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""

# startsecs: a program that ends sooner counts as a failed start; each failed start adds a second to the next pause.
# Log names are relative to the directory because supervisord expands them twice, and a path may contain a "%".
_PROGRAM = """
[program:{name}]
command = {python} -m include.platform.programs.launch {name}
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
    """The state of a program as the supervisor reports it; ``pid`` and ``uptime_seconds`` are 0 unless it runs."""

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
        """Whether the supervisor answers."""
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
        """Return the state of every program; empty when the supervisor is down."""
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
        """Start the programs that are neither up nor starting, without waiting, and return their names."""
        names = list(names)
        states = self.states()
        if unknown := [name for name in names if name not in states]:
            raise PlatformError(
                f"the running platform was started by another version, which does not know {', '.join(unknown)}",
                "Stop it with `make down`, then run `make up`",
            )
        down = [name for name in names if states[name].state not in {"STARTING", "RUNNING", "BACKOFF"}]
        with self._rpc() as rpc:
            for name in down:
                self._ignore_race(rpc.startProcess, name, False)
        return down

    def stop_programs(self, names: Iterable[str], *, timeout_seconds: float) -> None:
        """Stop the programs concurrently and wait; the supervisor kills those that exceed their stop time."""
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
        """Kill the main process of a program; the supervisor then restarts it as after any other exit."""
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
            # supervisord is gone already, or the sweep that follows ends it.
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
        """Make a call, and ignore that a program has meanwhile reached the requested state by itself."""
        try:
            call(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode not in {Faults.ALREADY_STARTED, Faults.NOT_RUNNING}:
                raise


def running_settings(settings: Settings) -> Settings:
    """Return the settings that the running instance was started with, or ``settings`` when it is down."""
    if not Supervisor(settings).is_up:
        return settings
    return _stored_settings(Memory.load(settings).settings, settings)


def _stored_settings(stored: Mapping[str, str], settings: Settings) -> Settings:
    """Return the stored settings of an instance, without those that this version of the code rejects.

    Another version may have started the instance, and this one must be able to stop it nevertheless.
    """
    home = {f"{PREFIX}HOME": str(settings.root)}
    try:
        return Settings.from_env({**stored, **home})
    except SettingsError:
        kept: dict[str, str] = {}
    for name, value in stored.items():
        try:
            Settings.from_env({**kept, name: value, **home})
        except SettingsError:
            continue
        kept[name] = value
    return Settings.from_env({**kept, **home})


def configuration(settings: Settings) -> str:
    """Return the text of supervisord.conf."""
    # When supervisord runs as root it warns unless the configuration names a user.
    user = f"user = {pwd.getpwuid(0).pw_name}\n" if os.geteuid() == 0 else ""
    head = _HEAD.format(logs=_escape(settings.log_dir), run=_escape(settings.socket_dir), user=user)
    return head + "".join(_program(settings, program) for program in expected_programs(settings))


def _program(settings: Settings, program: Program) -> str:
    return _PROGRAM.format(
        name=program.name,
        python=_escape(shlex.quote(sys.executable)),
        signal=program.stop_signal,
        seconds=program.stop_seconds,
        # PostgreSQL stops its own children in the right order.
        asgroup=str(program.group != "postgres").lower(),
    )


def _escape(value: object) -> str:
    """Escape "%", since supervisord expands ``%(name)s`` in its configuration."""
    return str(value).replace("%", "%%")
