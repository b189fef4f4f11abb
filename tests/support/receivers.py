"""Receive alerts in tests: a real SMTP server and a real HTTP receiver, on loopback ports."""

from __future__ import annotations

import email
import email.policy
import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller

from tests.support.sockets import free_ports

# A webhook that is answered with this waits until the receiver is closed.
HANG = 0
# A webhook that is answered with this gets bytes without end.
TRICKLE = 1


@dataclass
class Mailbox:
    """The received mails."""

    port: int
    mails: list[EmailMessage] = field(default_factory=list)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Store a mail."""
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"

    @property
    def subjects(self) -> list[str]:
        """Return the subjects in order of arrival."""
        return [str(mail["Subject"]) for mail in self.mails]


@contextmanager
def mail_server(mailbox: Mailbox | None = None) -> Iterator[Mailbox]:
    """Yield an SMTP server without TLS, on a free port or on that of ``mailbox``."""
    mailbox = mailbox or Mailbox(free_ports(1)[0])
    controller = Controller(mailbox, hostname="127.0.0.1", port=mailbox.port)
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()


@dataclass
class Hook:
    """The received requests; ``answers`` are the status codes of the next answers, then 200."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)

    @property
    def titles(self) -> list[str]:
        """Return the titles of the alerts and their event, in order of arrival."""
        return [f"{body['occasion']}: {body['title']}" for body in self.bodies]


@contextmanager
def web_hook(answers: Sequence[int] = ()) -> Iterator[Hook]:
    """Yield an HTTP receiver."""
    hook = Hook(answers=list(answers))
    closed = threading.Event()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            hook.arrivals.append(time.time())
            hook.bodies.append(body)
            hook.headers.append(dict(self.headers))
            status = hook.answers.pop(0) if hook.answers else 200
            if status in (HANG, TRICKLE):
                while not closed.wait(0.1):
                    if status == TRICKLE:
                        self.wfile.write(b"H")
                        self.wfile.flush()
                return
            self.send_response(status)
            if status == 302:
                self.send_header("Location", hook.url)
            self.end_headers()
            self.wfile.write(b"as the test says" if status != 200 else b"ok")

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    hook.url = f"http://127.0.0.1:{server.server_port}/secret-path"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hook
    finally:
        closed.set()
        server.shutdown()
        server.server_close()
