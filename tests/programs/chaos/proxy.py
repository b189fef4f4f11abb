"""A proxy in place of PostgreSQL's unix socket, which sees every statement and injects faults at points of a batch."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from include.db import load_queries
from include.settings import Settings
from tests.programs.chaos.waiting import BrokenPromiseError
from tests.programs.chaos.wire import Framing, Message

_CHUNK_BYTES = 256 * 1024
# A fault in a COPY comes after so many of its messages, or at its end if it has fewer.
_MID_COPY_MESSAGES = 3
_INGEST = "shop_ingest"


class Point(Enum):
    """A moment in the life of a batch."""

    BEFORE_OFFSET_LOG = "the batch is planned, Spark has not logged its offset"
    MID_COPY = "some of the events are copied"
    BEFORE_COMMIT = "all is written, the COMMIT is not sent"
    UNKNOWN_COMMIT = "the COMMIT is done, its answer is lost"
    AFTER_COMMIT = "the COMMIT is answered, Spark has not logged it"


@dataclass
class Link:
    """One connection of a client through the proxy, and the state of its transaction."""

    client: socket.socket
    server: socket.socket
    user: str = ""
    is_batch: bool = False
    is_plan: bool = False
    has_rows: bool = False
    is_committing: bool = False
    copied: int = -1

    def cut(self) -> None:
        """Break the connection in both directions."""
        for one in (self.client, self.server):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def forget_transaction(self) -> None:
        """Forget the transaction, which has ended."""
        self.is_batch = self.is_plan = self.has_rows = self.is_committing = False
        self.copied = -1


# Takes the connection at its point, and returns whether to pass on the message that led there.
Action = Callable[[Link], bool]


@dataclass
class _Armed:
    point: Point
    action: Action
    has_struck: threading.Event = field(default_factory=threading.Event)


class Proxy:
    """A context: clients that connect meanwhile go through it; their connections last as long as they need."""

    def __init__(self, settings: Settings) -> None:
        self._socket = settings.socket_dir / f".s.PGSQL.{settings.database_port}"
        self._behind = self._socket.with_name(self._socket.name + ".pg")
        self._plan = _longest_literal(load_queries("admission")["plan"])
        self._armed: _Armed | None = None
        self._lock = threading.Lock()
        self._links: list[Link] = []
        self._flows = threading.Event()
        self._flows.set()
        self._saw_batch = threading.Event()

    def __enter__(self) -> Proxy:
        # Bind beside the place and rename, so that there is always a socket.
        fresh = self._socket.with_name(self._socket.name + ".new")
        for leftover in (fresh, self._behind):
            leftover.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(fresh))
        self._listener.listen(100)
        fresh.chmod(0o777)
        os.link(self._socket, self._behind)
        fresh.rename(self._socket)
        self._own_inode = self._socket.stat().st_ino
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._flows.set()
        with self._lock:
            self._armed = None
        # A server that has restarted meanwhile has created its own socket.
        if self._socket.exists() and self._socket.stat().st_ino == self._own_inode:
            self._behind.rename(self._socket)
        else:
            self._behind.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def wait_for_batch(self, seconds: float) -> None:
        """Wait until a batch has been committed through the proxy."""
        if not self._saw_batch.wait(seconds):
            raise BrokenPromiseError(f"no batch was committed through the proxy within {seconds:.0f} s")

    @property
    def is_armed(self) -> bool:
        """Return whether the proxy waits for a point."""
        return self._armed is not None

    def strike(self, point: Point, action: Action, *, seconds: float) -> None:
        """Call the action at the next such point, once; returns when it has returned.

        Raises
        ------
        BrokenPromiseError
            When no batch comes to that point in time.
        """
        armed = _Armed(point, action)
        with self._lock:
            self._armed = armed
        if not armed.has_struck.wait(seconds):
            with self._lock:
                self._armed = None
            raise BrokenPromiseError(f"no batch came to {point.name} within {seconds:.0f} s")

    def cut_all(self) -> int:
        """Cut every connection of the stream, and return their number."""
        links = [link for link in self._links if link.user == _INGEST]
        for link in links:
            link.cut()
        return len(links)

    def hang(self) -> None:
        """Pass nothing on, in either direction, until :meth:`resume`."""
        self._flows.clear()

    def resume(self) -> None:
        """End a hang."""
        self._flows.set()

    # The work of its threads ----------------------------------------------------------------------------------------

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(str(self._behind))
            except OSError:
                client.close()
                server.close()
                continue
            threading.Thread(target=self._serve, args=(Link(client, server),), daemon=True).start()

    def _serve(self, link: Link) -> None:
        """Pass messages on in both directions until one end closes."""
        self._links.append(link)
        answers = threading.Thread(target=self._pump_server, args=(link,), daemon=True)
        answers.start()
        self._pump(link, link.client, link.server, Framing(is_started=False), self._on_client)
        answers.join()
        self._links.remove(link)
        link.client.close()
        link.server.close()

    def _pump_server(self, link: Link) -> None:
        self._pump(link, link.server, link.client, Framing(is_started=True), self._on_server)

    def _pump(
        self,
        link: Link,
        source: socket.socket,
        target: socket.socket,
        framing: Framing,
        on_message: Callable[[Link, Message], bool],
    ) -> None:
        try:
            while data := source.recv(_CHUNK_BYTES):
                for message in framing.feed(data):
                    link.user = framing.user or link.user
                    if link.user == _INGEST:
                        self._flows.wait()
                        if not on_message(link, message):
                            continue
                    target.sendall(message.raw)
                    if link.user == _INGEST and message.kind == b"Z" and link.is_committing:
                        self._committed(link)
        except OSError:
            # One end was cut, by a fault or the death of its process; close the other one, too.
            pass
        finally:
            link.cut()

    def _on_client(self, link: Link, message: Message) -> bool:
        """Handle a message of the client, and return whether to pass it on."""
        text = message.text
        if message.kind in {b"d", b"c"} and link.copied >= 0:
            link.copied += 1
            if link.copied == _MID_COPY_MESSAGES or message.kind == b"c":
                link.copied = -1
                return self._reach(Point.MID_COPY, link)
        elif text.startswith("COPY") and "events" in text.partition("(")[0]:
            link.copied = 0
        elif "INSERT INTO shop.batches" in text:
            link.is_batch = True
        elif self._plan in text:
            link.is_plan = True
        elif text == "COMMIT":
            link.is_committing = True
            return not link.is_batch or self._reach(Point.BEFORE_COMMIT, link)
        elif text == "ROLLBACK":
            link.forget_transaction()
        return True

    def _on_server(self, link: Link, message: Message) -> bool:
        """Handle a message of the server, and return whether to pass it on."""
        if message.kind == b"D" and link.is_plan:
            link.has_rows = True
        if message.kind == b"C" and link.is_committing:
            if link.is_batch:
                return self._reach(Point.UNKNOWN_COMMIT, link)
            if link.is_plan and link.has_rows:
                return self._reach(Point.BEFORE_OFFSET_LOG, link)
        return True

    def _committed(self, link: Link) -> None:
        """Note that the answer to a COMMIT has been passed on."""
        if link.is_batch:
            self._saw_batch.set()
            self._reach(Point.AFTER_COMMIT, link)
        link.forget_transaction()

    def _reach(self, point: Point, link: Link) -> bool:
        with self._lock:
            armed = self._armed
            if armed is None or armed.point is not point:
                return True
            self._armed = None
        try:
            return armed.action(link)
        finally:
            armed.has_struck.set()


def _longest_literal(statement: str) -> str:
    """Return the longest part of a statement that does not depend on its parameters."""
    return max(re.split(r"%\(\w+\)s", statement.replace("%%", "%")), key=len)
