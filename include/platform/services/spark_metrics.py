"""Turn on Spark's own metrics in the Prometheus format on the web ports of master, worker and driver.

Spark 4.2 has them off by default.

Master: ``/metrics/master/prometheus/``. Worker and driver: ``/metrics/prometheus/``; the driver also
``/metrics/executors/prometheus/``.
"""

from __future__ import annotations

from typing import Any

_SINK = "sink.prometheusServlet"

# These options replace a metrics.properties file.
PROMETHEUS = {
    f"spark.metrics.conf.*.{_SINK}.class": "org.apache.spark.metrics.sink.PrometheusServlet",
    f"spark.metrics.conf.*.{_SINK}.path": "/metrics/prometheus",
    f"spark.metrics.conf.master.{_SINK}.path": "/metrics/master/prometheus",
    f"spark.metrics.conf.applications.{_SINK}.path": "/metrics/applications/prometheus",
}

# The namespace is the name of the application and not its id, which changes with each start. A series then continues
# across restarts.
DRIVER_PROMETHEUS: dict[str, Any] = {
    **PROMETHEUS,
    "spark.ui.prometheus.enabled": "true",
    "spark.metrics.namespace": "shopstream",
    "spark.sql.streaming.metricsEnabled": "true",
}
