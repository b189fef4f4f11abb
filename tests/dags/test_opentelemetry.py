"""Test that Airflow sends metrics and traces to the collector of the settings, with a real OTLP receiver."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from include.settings import Settings


@dataclass
class Collector:
    """Collect the names of the metrics, spans and services in the received requests."""

    url: str = ""
    metrics: set[str] = field(default_factory=set)
    spans: set[str] = field(default_factory=set)
    services: set[str] = field(default_factory=set)

    def receive(self, path: str, body: bytes) -> None:
        if path == "/v1/metrics":
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                self._add_services(resource.resource)
                self.metrics |= {metric.name for scope in resource.scope_metrics for metric in scope.metrics}
        elif path == "/v1/traces":
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                self._add_services(resource.resource)
                self.spans |= {span.name for scope in resource.scope_spans for span in scope.spans}

    def _add_services(self, resource: Any) -> None:
        self.services |= {item.value.string_value for item in resource.attributes if item.key == "service.name"}


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Yield a collector that receives OTLP over HTTP."""
    received = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.receive(self.path, gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        received.url = f"http://127.0.0.1:{server.server_port}"
        Thread(target=server.serve_forever, daemon=True).start()
        yield received
        server.shutdown()


def test_a_run_sends_metrics_and_traces(
    database: Settings, collector: Collector, start_dag: Callable[..., Any]
) -> None:
    settings = database.model_copy(update={"otlp_endpoint": collector.url})
    start_dag(Settings.model_validate(settings.model_dump(exclude_unset=True)), "evaluate_objectives").succeed(
        seconds=120
    )
    assert any(name.startswith("airflow.") for name in collector.metrics)
    assert collector.spans
    assert collector.services == {"airflow"}
