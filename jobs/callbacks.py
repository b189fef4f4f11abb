"""Keep other users of the machine away from the port at which the JVM calls this process.

Spark's JVM calls the ``foreachBatch`` function through a loopback port. The JVM's own port asks for a token, this one
does not: Spark gives its token to a client that py4j then replaces by one without. Anyone who can connect could
therefore call the functions that write batches, and change their attributes. The kernel knows which user opened a
connection.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from pyspark.sql import SparkSession

from jobs.pyspark_internals import wrap_callback_connections

_ESTABLISHED = "01"
# Prefix of an IPv4 address in the kernel's tables when Java opened it, since Java's sockets are IPv6.
_MAPPED = "0000000000000000FFFF0000"


def guard_callbacks(spark: SparkSession) -> None:
    """Accept calls only from this user's processes; call before the first ``foreachBatch``, which opens the port."""
    wrap_callback_connections(spark, _SameUser())


class _SameUser:
    """Stand in for the ``ssl.SSLContext`` that py4j expects."""

    def wrap_socket(self, connection: socket.socket, *, server_side: bool) -> socket.socket:
        """Return the connection, or a closed socket for another user's connection; an error would end the server."""
        if is_of_this_user(connection):
            return connection
        connection.close()
        ended, other = socket.socketpair()
        other.close()
        return ended


def is_of_this_user(connection: socket.socket) -> bool:
    """Return whether the other end of a connection within this machine belongs to a process of this user."""
    there, here = (_as_in_the_kernel(*address) for address in (connection.getpeername(), connection.getsockname()))
    for table, prefix in (("tcp", ""), ("tcp6", _MAPPED)):
        for line in Path("/proc/net", table).read_text(encoding="ascii").splitlines()[1:]:
            _, local, remote, state, _, _, _, user, *_ = line.split()
            # A connection already closed at its other end has no owner any more, which looks like root.
            if (local, remote, state) == (prefix + there, prefix + here, _ESTABLISHED):
                return int(user) == os.geteuid()
    return False


def _as_in_the_kernel(host: str, port: int) -> str:
    """Format an address as /proc/net/tcp does: the address as a number in the machine's byte order."""
    return f"{int.from_bytes(socket.inet_aton(host), sys.byteorder):08X}:{port:04X}"
