"""Spark's own metrics in Prometheus' format, on the web ports of master, worker and driver; Spark 4.2 has them off.

Master: ``/metrics/master/prometheus/``. Worker and driver: ``/metrics/prometheus/``; the driver also
``/metrics/executors/prometheus/``.
"""

from __future__ import annotations

from typing import Any

_SINK = "sink.prometheusServlet"

# What a file metrics.properties would say; as options of Spark they need no file.
PROMETHEUS = {
    f"spark.metrics.conf.*.{_SINK}.class": "org.apache.spark.metrics.sink.PrometheusServlet",
    f"spark.metrics.conf.*.{_SINK}.path": "/metrics/prometheus",
    f"spark.metrics.conf.master.{_SINK}.path": "/metrics/master/prometheus",
    f"spark.metrics.conf.applications.{_SINK}.path": "/metrics/applications/prometheus",
}

# Named after the application, not after the number that each of its starts gets: a series goes on over a restart.
DRIVER_PROMETHEUS: dict[str, Any] = {
    **PROMETHEUS,
    "spark.ui.prometheus.enabled": "true",
    "spark.metrics.namespace": "shopstream",
    "spark.sql.streaming.metricsEnabled": "true",
}
