"""Stand in for a Kubernetes API server that stores what a submitting client sends."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import yaml


class RecordingApi:
    """The objects of a cluster by path, such as ``/api/v1/namespaces/shop/pods/one``."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.requests: list[str] = []

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        """Return all objects of a kind."""
        return [one for one in self.objects.values() if one["kind"] == kind]

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """Return the status and content of the answer."""
        self.requests.append(f"{method} {path}")
        if method in {"POST", "PUT", "PATCH"}:
            sent: dict[str, Any] = yaml.safe_load(body)
            name = sent["metadata"]["name"]
            key = path if path.endswith(f"/{name}") else f"{path}/{name}"
            sent["metadata"] |= {"uid": f"uid-{len(self.objects)}", "resourceVersion": "1"}
            self.objects[key] = sent
            return (201 if method == "POST" else 200), sent
        if path in self.objects:
            return 200, self.objects[path]
        return 404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}


@contextmanager
def recording_api() -> Iterator[tuple[RecordingApi, int]]:
    """Yield such a server and its port."""
    api = RecordingApi()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, content = api.answer(self.command, urlsplit(self.path).path, body)
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815 (the base class's names)

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield api, server.server_port
    finally:
        server.shutdown()
        server.server_close()
