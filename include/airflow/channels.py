"""The ways to people: each Airflow Connection whose id begins with ``alert_``.

Its type says what it is, ``docs/alerting.md`` how to make one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from airflow.sdk import BaseHook

from include.airflow.senders import wrong_connection
from include.alerts import Severity
from include.alerts.message import Message

PREFIX = "alert_"
_EXTRA = '{"min_severity": "warning"}'
_FORMATS = {"smtp": "mail", "http": "json", "https": "json", "generic": "json", "slackwebhook": "slack"}


@dataclass(frozen=True)
class Channel:
    """One way to people.

    ``send`` puts a message on its way or raises.
    """

    conn_id: str
    min_severity: Severity
    send: Callable[[Message], None]


def load_channel(conn_id: str) -> Channel:
    """The channel of a connection; one that is written wrongly says so when it is used.

    Raises
    ------
    AirflowNotFoundException
        When there is no such connection, or nobody to ask.
    """
    connection = BaseHook.get_connection(conn_id)
    try:
        extra = _extra(connection)
        return Channel(conn_id, _min_severity(conn_id, extra), _sender(connection, extra))
    except Exception as error:
        # Not now: the others are to be told of it.
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
    # Each is imported when it is used: DAGs are parsed with this module.
    if form == "mail":
        from include.airflow.senders.mail import mail_sender

        return mail_sender(connection, extra)
    if form in ("json", "slack"):
        from include.airflow.senders.webhook import webhook_sender

        return webhook_sender(connection, extra, form)
    if form == "apprise":
        from include.airflow.senders.services import apprise_sender

        return apprise_sender(connection)
    raise wrong_connection(
        connection.conn_id,
        f"nothing is known of type {connection.conn_type!r} with format {extra.get('format')!r}",
        '{"format": "slack"}; type smtp, http or generic, format json, slack or apprise',
    )
