"""Send a message without the outbox while PostgreSQL is down: ``python -m include.airflow.alerting.direct``.

Airflow's own database is on the same server, so the channels come from a copy of their Connections. The dispatcher
keeps that copy in a file that only its owner can read. The message arrives on standard input, as the JSON of a
``Notice``. The answer on standard output is a line with the JSON list of the channels that accepted it.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from airflow.sdk import BaseHook

from include.airflow.alerting.channels import Channel, load_channel
from include.airflow.alerting.dispatch import send_all
from include.alerts.notice import ANSWER, Notice, channels_file
from include.alerts.outbox import Delivery
from include.platform.instance.secrets import write_private
from include.settings import Settings

_FIELDS = ("conn_type", "host", "login", "password", "schema", "port", "extra")


def keep_copy(path: Path, conn_ids: Iterable[str]) -> None:
    """Write a copy of these Connections, secrets included, for when Airflow cannot be asked for them."""
    copies = {}
    for conn_id in sorted(conn_ids):
        connection = BaseHook.get_connection(conn_id)
        copies[conn_id] = {field: getattr(connection, field) for field in _FIELDS}
    write_private(path, json.dumps(copies))


def load_copies(path: Path) -> dict[str, Channel]:
    """Return the channels in the copy, or none when there is no copy."""
    try:
        copies = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    # Airflow looks up Connections in the environment before it asks its database.
    os.environ.update({f"AIRFLOW_CONN_{conn_id.upper()}": json.dumps(copy) for conn_id, copy in copies.items()})
    return {conn_id: load_channel(conn_id) for conn_id in copies}


def send_directly(notice: Notice, channels: dict[str, Channel]) -> list[str]:
    """Send a notice through all of these channels, or those that it names; return the channels that accepted it."""
    wanted = {name: one for name, one in channels.items() if notice.channels is None or name in notice.channels}
    deliveries = [_delivery(notice, name) for name in wanted]
    sent = []
    for delivery, error in send_all(deliveries, wanted).items():
        if error is None:
            sent.append(delivery.channel)
        else:
            logging.getLogger(__name__).error("%s was not notified: %s", delivery.channel, error)
    return sorted(sent)


def _delivery(notice: Notice, channel: str) -> Delivery:
    alert = notice.alert
    facts = {name: value for name, value in asdict(alert).items() if name != "key"}
    return Delivery(
        delivery_id=0,
        channel=channel,
        occasion="raised" if notice.ended_at is None else "recovered",
        alert_id=0,
        key=alert.parameters()["key"],
        occurrences=1,
        raised_at=notice.began_at,
        last_raised_at=notice.began_at,
        resolved_at=notice.ended_at,
        resolution=None if notice.ended_at is None else "recovered",
        earlier=0,
        **facts,
    )


def main() -> int:
    """Send the notice on standard input; return the exit status."""
    # Airflow uses this variable to decide which processes may read Connections from the metadata database.
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
    notice = Notice.from_json(sys.stdin.read())
    sent = send_directly(notice, load_copies(channels_file(Settings.from_env())))
    print(f"{ANSWER}{json.dumps(sent)}", flush=True)
    return 0


if __name__ == "__main__":
    logging.getLogger().setLevel(logging.INFO)
    sys.exit(main())
