"""Check the machine before anything starts, and report each fault in one line with its remedy."""

from __future__ import annotations

import errno
import os
import pwd
import shutil
import socket

import psutil

from include.errors import PlatformError
from include.settings import PREFIX, Settings

LEAST_FREE_GIB = 3.0
_GIB = 1024**3
# A first start creates some thousands of files, most of them PostgreSQL's.
LEAST_FREE_INODES = 20_000


def check_machine(settings: Settings) -> None:
    """Check user, disk and tools without creating anything.

    The state directory need not exist yet.

    Raises
    ------
    PlatformError
        With every fault at once.
    """
    faults = []
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        faults.append(
            f"the user id {os.geteuid()} has no user name, which PostgreSQL needs: add the user to /etc/passwd, "
            "or run as a user that is listed there"
        )
    try:
        disk = os.statvfs(next(path for path in (settings.root, *settings.root.parents) if path.exists()))
    except OSError as error:
        raise PlatformError(
            f"nothing has been started: {settings.root} cannot be reached: {error.strerror}",
            f"Set {PREFIX}HOME to a directory of your own",
        ) from error
    free = disk.f_bavail * disk.f_frsize / _GIB
    if free < LEAST_FREE_GIB:
        faults.append(f"{settings.root} has {free:.1f} GiB free, {LEAST_FREE_GIB:.0f} are needed: {_room(settings)}")
    # Some file systems allocate inodes on demand and report a total of 0.
    if disk.f_files and disk.f_favail < LEAST_FREE_INODES:
        faults.append(
            f"{settings.root} has room for {disk.f_favail:,} more files (free inodes), "
            f"{LEAST_FREE_INODES:,} are needed: {_room(settings)}"
        )
    if shutil.which("bash") is None:
        faults.append("bash is missing, which spark-submit needs: install it with your package manager")
    _raise(faults)


def _room(settings: Settings) -> str:
    """Return advice on how to free space safely."""
    spare = [settings.archive_dir, settings.log_dir]
    there = [str(path) for path in spare if path.exists()]
    if not there:
        return f"make room, or set {PREFIX}HOME to a directory on another disk"
    return (
        f"make room (Shopstream's files in {', '.join(there)} can be deleted safely; never delete anything in "
        f"{settings.postgres_dir}), or move to another disk"
    )


def check_ports(settings: Settings) -> None:
    """Check that every port is free.

    Raises
    ------
    PlatformError
        When a port is taken. The message names the process that holds each one, if it is visible, and the variable
        to set.
    """
    hosts = dict.fromkeys((settings.bind_host, "127.0.0.1"))
    taken = {
        service: port for service, port in settings.ports.items() if not all(is_free(port, host) for host in hosts)
    }
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


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Return whether a server could listen on a port.

    Raises
    ------
    PlatformError
        When this machine does not have that address.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise _no_address(host, error) from error
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            if error.errno == errno.EADDRNOTAVAIL:
                raise _no_address(host, error) from error
            raise
    return True


def _no_address(host: str, error: OSError) -> PlatformError:
    return PlatformError(
        f"nothing has been started: this machine does not have the address {host}: {error.strerror}",
        f"Correct {PREFIX}BIND_HOST; 127.0.0.1 needs the loopback interface: ip link set lo up",
    )


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
