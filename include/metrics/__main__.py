"""Serve the metrics until stopped: ``python -m include.metrics``."""

from __future__ import annotations

import argparse

import psycopg2.extensions

from include.logs import start_logging
from include.metrics.collector import Exporter, wait_with_timeout
from include.metrics.server import MetricsServer
from include.settings import Settings


def main(argv: list[str] | None = None) -> None:
    """Serve the metrics on the given address; by default on loopback and the port of the settings."""
    settings = Settings.from_env()
    parser = argparse.ArgumentParser(prog="python -m include.metrics", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=settings.ports["metrics"], help="default %(default)s")
    arguments = parser.parse_args(argv)
    start_logging(settings.log_format)
    psycopg2.extensions.set_wait_callback(wait_with_timeout)
    MetricsServer(arguments.host, arguments.port, Exporter(settings)).serve_forever()


if __name__ == "__main__":
    main()
