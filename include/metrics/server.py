"""Serve the metrics, a health check and a readiness check over HTTP."""

from __future__ import annotations

import json
import logging
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST

from include.metrics.collector import Exporter

_JSON = "application/json"
_log = logging.getLogger(__name__)


class MetricsServer(ThreadingHTTPServer):
    """An HTTP server that answers ``GET`` requests for three paths.

    - ``/metrics``: all metrics, always with status 200; one of them says whether PostgreSQL answers.
    - ``/health``: 200 while this program runs.
    - ``/ready``: 200 while PostgreSQL answers and a stream driver is alive; else 503, with the problem by component.

    Parameters
    ----------
    host, port:
        The address to listen on.
    exporter:
        The source of the metrics and of the readiness.
    """

    daemon_threads = True

    def __init__(self, host: str, port: int, exporter: Exporter) -> None:
        super().__init__((host, port), _Handler)
        self.exporter = exporter


class _Handler(BaseHTTPRequestHandler):
    server: MetricsServer
    # Timeout for a client that sends nothing, seconds.
    timeout = 10

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._answer(HTTPStatus.OK, CONTENT_TYPE_LATEST, self.server.exporter.scrape())
        elif path == "/health":
            self._answer_json(HTTPStatus.OK, {"status": "alive"})
        elif path == "/ready":
            amiss = self.server.exporter.readiness()
            status = HTTPStatus.SERVICE_UNAVAILABLE if amiss else HTTPStatus.OK
            self._answer_json(status, {"status": "not ready" if amiss else "ready", **amiss})
        else:
            self._answer_json(HTTPStatus.NOT_FOUND, {"error": "not found; try /metrics, /health or /ready"})

    def _answer_json(self, status: HTTPStatus, body: dict[str, str]) -> None:
        self._answer(status, _JSON, json.dumps(body).encode() + b"\n")

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Log requests at debug level, since a line for every scrape would bury other messages."""
        _log.debug(format, *arguments)
