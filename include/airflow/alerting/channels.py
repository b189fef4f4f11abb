"""Load the channels of notifications: every Airflow Connection whose id begins with ``alert_``.

The Connection's type decides how the channel sends. ``docs/alerting.md`` says how to create one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from airflow.sdk import BaseHook

from include.airflow.alerting.senders import wrong_connection
from include.alerts import Severity
from include.alerts.message import Message

PREFIX = "alert_"
_EXTRA = '{"min_severity": "warning"}'
_FORMATS = {"smtp": "mail", "http": "json", "https": "json", "generic": "json", "slackwebhook": "slack"}


@dataclass(frozen=True)
class Channel:
    """A channel of notifications.

    ``send`` sends a message, or raises an error.
    """

    conn_id: str
    min_severity: Severity
    send: Callable[[Message], None]


def load_channel(conn_id: str) -> Channel:
    """Return the channel of a connection; an invalid connection raises its error when the channel sends.

    Raises
    ------
    AirflowNotFoundException
        When there is no such connection, or no source that could be asked for it.
    """
    connection = BaseHook.get_connection(conn_id)
    try:
        extra = _extra(connection)
        return Channel(conn_id, _min_severity(conn_id, extra), _sender(connection, extra))
    except Exception as error:
        # Do not raise now: the failure becomes an alert, which the other channels must be able to send.
        return Channel(conn_id, "warning", _refuse(error))


def _refuse(error: Exception) -> Callable[[Message], None]:
    def send(message: Message) -> None:
        raise error

    return send


def _extra(connection: Any) -> dict[str, Any]:
    try:
        extra = json.loads(connection.extra or "{}")
    except ValueError as error:
        raise wrong_connection(connection.conn_id, f"its extra is not JSON ({error})", _EXTRA) from error
    if not isinstance(extra, dict):
        raise wrong_connection(connection.conn_id, "its extra is not a JSON object", _EXTRA)
    return extra


def _min_severity(conn_id: str, extra: Mapping[str, Any]) -> Severity:
    given = extra.get("min_severity", "warning")
    if given not in get_args(Severity):
        raise wrong_connection(conn_id, f"min_severity {given!r} does not exist", '{"min_severity": "critical"}')
    severity: Severity = given
    return severity


def _sender(connection: Any, extra: Mapping[str, Any]) -> Callable[[Message], None]:
    form = extra.get("format") or _FORMATS.get(connection.conn_type, connection.conn_type)
    # Import each sender only when it is used, because this module is imported whenever the DAGs are parsed.
    if form == "mail":
        from include.airflow.alerting.senders.mail import mail_sender

        return mail_sender(connection, extra)
    if form in ("json", "slack"):
        from include.airflow.alerting.senders.webhook import webhook_sender

        return webhook_sender(connection, extra, form)
    if form == "apprise":
        from include.airflow.alerting.senders.services import apprise_sender

        return apprise_sender(connection)
    raise wrong_connection(
        connection.conn_id,
        f"type {connection.conn_type!r} with format {extra.get('format')!r} is not supported",
        '{"format": "slack"}; type smtp, http or generic, format json, slack or apprise',
    )
