"""Send the messages in the outbox through the channels that Airflow's Connections define.

An Airflow process that raises an alert sends it immediately (``send_now``). The dispatcher, which the watchdog starts
as ``python -m include.airflow.alerting.dispatch``, sends the rest: alerts raised outside Airflow, and retries. Only the
dispatcher can list Connections. Tasks and callbacks use the list that it keeps in ``shop.alert_channels``, and the
Connections of their environment.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import threading
import time
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import conf
from airflow.sdk.exceptions import AirflowNotFoundException

from include.airflow.alerting.channels import PREFIX, Channel, load_channel
from include.airflow.connections import OPS_CONN_ID, dsn_of
from include.alerts.message import Message
from include.alerts.notice import channels_file
from include.alerts.outbox import (
    Delivery,
    claim_deliveries,
    known_channels,
    plan_deliveries,
    record_failed,
    record_sent,
    record_worked,
    update_channels,
)
from include.settings import Settings

# Airflow ends the process of a task's callback after twenty seconds. No message is started after _AT_ONCE_SECONDS, and
# none may take longer than SEND_SECONDS.
_AT_ONCE_SECONDS = 3.0
SEND_SECONDS = 10.0
_PROGRAM_SECONDS = 300.0
_VARIABLE = f"AIRFLOW_CONN_{PREFIX.upper()}"

_log = logging.getLogger(__name__)


def send_now(dsn: str) -> None:
    """Send what is due, from a process with other work to do; log errors instead of raising them."""
    try:
        known = set(known_channels(dsn))
        if new := _load(_from_environment() - known):
            _write_down(dsn, new)
        # Look up Connections only when there is something to send.
        if (known or new) and _plan(dsn):
            _dispatch(dsn, _load(known | set(new)), seconds=_AT_ONCE_SECONDS)
    except Exception:
        _log.exception("Alerts could not be sent now; they stay in shop.alert_deliveries and are sent later.")


def dispatch_all(dsn: str) -> None:
    """Update the list of channels and send everything that is due."""
    channels = update_list(dsn)
    _dispatch(dsn, channels, seconds=_PROGRAM_SECONDS)


def update_list(dsn: str) -> dict[str, Channel]:
    """List the channels of the metadata database and the environment, and store the list.

    Also keep a copy of their Connections, which is used while the database is down.
    """
    # Imported here because that module imports this one.
    from include.airflow.alerting.direct import keep_copy

    channels = _load({*_from_metadata(), *_from_environment(), *known_channels(dsn)})
    _write_down(dsn, channels, gone=set(known_channels(dsn)) - set(channels))
    try:
        keep_copy(channels_file(Settings.from_env()), channels)
    except OSError:
        _log.exception("The copy of the channels cannot be written: no channel is notified while PostgreSQL is down.")
    return channels


def _write_down(dsn: str, channels: dict[str, Channel], gone: Collection[str] = ()) -> None:
    update_channels(dsn, {conn_id: channel.min_severity for conn_id, channel in channels.items()}, gone)


def _plan(dsn: str) -> bool:
    return plan_deliveries(dsn, reminder_hours=Settings.from_env().alert_reminder_hours)


def _load(conn_ids: Collection[str]) -> dict[str, Channel]:
    channels = {}
    for conn_id in sorted(conn_ids):
        try:
            channels[conn_id] = load_channel(conn_id)
        except AirflowNotFoundException:
            _log.info("The Airflow connection %s does not exist.", conn_id)
    return channels


def _from_environment() -> set[str]:
    return {name.removeprefix("AIRFLOW_CONN_").lower() for name in os.environ if name.startswith(_VARIABLE)}


def _from_metadata() -> set[str]:
    from airflow.models import Connection
    from airflow.utils.session import create_session

    with create_session() as session:
        found = session.query(Connection.conn_id).filter(Connection.conn_id.startswith(PREFIX, autoescape=True))
        return {conn_id for (conn_id,) in found}


def _dispatch(dsn: str, channels: dict[str, Channel], *, seconds: float) -> None:
    """Send in rounds of one message per channel, with all channels in parallel; start none after ``seconds``."""
    deadline = time.monotonic() + seconds
    working = dict(channels)
    _plan(dsn)
    while working and (deliveries := claim_deliveries(dsn, working)):
        for delivery, error in send_all(deliveries, working).items():
            if error is None:
                _log.info("Alert %s was sent through %s.", delivery.alert_id, delivery.channel)
                record_sent(dsn, delivery)
            else:
                _log.warning("Alert %s could not be sent through %s: %s", delivery.alert_id, delivery.channel, error)
                record_failed(dsn, delivery, error)
                del working[delivery.channel]
        if time.monotonic() > deadline:
            return
        # A message that was sent or failed may require another one: a recovery, or the alert of a broken channel.
        _plan(dsn)


def send_all(deliveries: Collection[Delivery], channels: dict[str, Channel]) -> dict[Delivery, str | None]:
    """Send each message through its channel in its own thread; return each one's error, or None if it was sent."""
    base_url = conf.get("api", "base_url", fallback="")
    errors: dict[Delivery, str | None] = {}

    def send(delivery: Delivery) -> None:
        try:
            channels[delivery.channel].send(Message(delivery, base_url))
        except Exception as error:
            errors[delivery] = str(error) or type(error).__name__
        else:
            errors[delivery] = None

    # Daemon threads, because a thread that never ends must not keep its process from ending.
    threads = [threading.Thread(target=send, args=[one], daemon=True) for one in deliveries]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + SEND_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = f"it took longer than {SEND_SECONDS:g} s"
    return {one: errors.get(one, late) for one in deliveries}


def test_channels(dsn: str) -> bool:
    """Send a test through every channel and print each result; return whether all channels work."""
    channels = update_list(dsn)
    if not channels:
        print(f"There is no channel: no Airflow connection has an id that begins with {PREFIX} (docs/alerting.md).")
        return False
    tests = {conn_id: _test(conn_id) for conn_id in channels}
    results = send_all(list(tests.values()), channels)
    for delivery, error in results.items():
        least = channels[delivery.channel].min_severity
        print(f"{'✗' if error else '✓'} {delivery.channel} (receives {least} and worse): {error or 'sent'}")
        if error is None:
            record_worked(dsn, delivery.channel)
    return not any(results.values())


def _test(conn_id: str) -> Delivery:
    now = datetime.now(UTC)
    facts: dict[str, Any] = {"severity": "info", "source": "shopstream", "owner": "shopstream", "occurrences": 1}
    return Delivery(
        delivery_id=0,
        channel=conn_id,
        occasion="raised",
        alert_id=0,
        key="test",
        title="This is a test: alerts reach you here",
        detail=f"Sent by `make alert-test` through the Airflow connection {conn_id}. There is nothing to do.",
        run_id=None,
        url=None,
        runbook_url="/",
        raised_at=now,
        last_raised_at=now,
        resolved_at=None,
        resolution=None,
        earlier=0,
        **facts,
    )


def main(argv: list[str] | None = None) -> int:
    """Send everything that is due, once; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m include.airflow.alerting.dispatch", description=main.__doc__)
    parser.add_argument("--test", action="store_true", help="send a test through every channel instead")
    arguments = parser.parse_args(argv)
    # Airflow uses this variable to decide which processes may read Connections from the metadata database.
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
    dsn = dsn_of(OPS_CONN_ID)
    if arguments.test:
        return 0 if test_channels(dsn) else 1
    dispatch_all(dsn)
    return 0


if __name__ == "__main__":
    logging.getLogger().setLevel(logging.INFO)
    sys.exit(main())
