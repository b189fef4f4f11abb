"""What must be in place before anything starts: each fault is one line with its remedy."""

from __future__ import annotations

import errno
import shutil
import socket
from pathlib import Path

import psutil

from include.errors import PlatformError
from include.settings import PREFIX, Settings

LEAST_FREE_GIB = 3.0
_GIB = 1024**3
# Airflow's Spark hook asks the master through this very path.
_CURL = Path("/usr/bin/curl")


def check_machine(settings: Settings) -> None:
    """Check disk and tools.

    Raises
    ------
    PlatformError
        With every fault at once.
    """
    faults = []
    free = shutil.disk_usage(settings.root).free / _GIB
    if free < LEAST_FREE_GIB:
        faults.append(
            f"{settings.root} has {free:.1f} GiB free, {LEAST_FREE_GIB:.0f} are needed: make room, "
            f"or set {PREFIX}HOME to a directory on another disk"
        )
    if not _CURL.exists():
        faults.append(f"{_CURL} is missing, Airflow's Spark operator needs it: install curl with your package manager")
    if shutil.which("bash") is None:
        faults.append("bash is missing, spark-submit needs it: install it with your package manager")
    _raise(faults)


def check_ports(settings: Settings) -> None:
    """Check that every port is free.

    Raises
    ------
    PlatformError
        Naming for each taken port the process that has it, if it can be seen, and the variable to set.
    """
    taken = {service: port for service, port in settings.ports.items() if not is_free(port)}
    if not taken:
        return
    holders = _holders()
    faults = []
    for service, port in taken.items():
        variable = PREFIX + ("PORT" if service == "airflow" else service.replace("-", "_").upper() + "_PORT")
        if service.endswith("-ui"):
            variable = PREFIX + service.removesuffix("-ui").replace("-", "_").upper() + "_UI_PORT"
        who = holders.get(port, "a process of another user")
        faults.append(f"port {port} ({service}) is taken by {who}: stop it, or set {variable} to a free port")
    if len(taken) > 1:
        faults.append(f"or move all of them at once: the others follow {PREFIX}PORT (now {settings.port})")
    _raise(faults)


def is_free(port: int) -> bool:
    """Whether a server could listen on a port of loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def _holders() -> dict[int, str]:
    holders = {}
    for process in psutil.process_iter(["pid", "name"]):
        try:
            connections = process.net_connections(kind="tcp")
        except (psutil.Error, OSError):
            continue
        for connection in connections:
            if connection.status == psutil.CONN_LISTEN:
                holders[connection.laddr.port] = f"{process.info['name']} (pid {process.info['pid']})"
    return holders


def _raise(faults: list[str]) -> None:
    if faults:
        raise PlatformError("nothing has been started:\n  - " + "\n  - ".join(faults))
