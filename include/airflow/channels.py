"""The ways to people: each Airflow Connection whose id begins with ``alert_``.

Its type says what it is, ``docs/alerting.md`` how to make one. Every way to send raises what went wrong, without the
secrets in its address; none waits longer than ``SEND_SECONDS``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import Any, get_args
from urllib.parse import urlsplit

import requests
from airflow.providers.smtp.hooks.smtp import SmtpHook
from airflow.sdk import BaseHook

from include.alerts import Severity
from include.alerts.message import Message
from include.errors import ChannelError

PREFIX = "alert_"
SEND_SECONDS = 10.0
# Within it, so that what goes wrong is told in its own words and not as a time-out.
_NETWORK_SECONDS = 8
_FORMATS = {"smtp": "mail", "http": "json", "https": "json", "generic": "json", "slackwebhook": "slack"}
_CONTENT = {"json": "payload", "slack": "slack"}


@dataclass(frozen=True)
class Channel:
    """One way to people.

    ``send`` puts a message on its way or raises.
    """

    conn_id: str
    min_severity: Severity
    send: Callable[[Message], None]


def load_channel(conn_id: str) -> Channel:
    """The channel of a connection; one that is written wrongly raises a ChannelError when it is used.

    Raises
    ------
    AirflowNotFoundException
        When there is no such connection, or nobody to ask.
    """
    connection = BaseHook.get_connection(conn_id)
    try:
        extra = _extra(connection)
        return Channel(conn_id, _min_severity(conn_id, extra), _sender(connection, extra))
    except ChannelError as error:
        return Channel(conn_id, "warning", _refuse(error))


def _refuse(error: ChannelError) -> Callable[[Message], None]:
    def send(message: Message) -> None:
        raise error

    return send


def _extra(connection: Any) -> dict[str, Any]:
    try:
        extra = json.loads(connection.extra or "{}")
    except ValueError as error:
        raise _wrong(connection.conn_id, f"its extra is not JSON ({error})", '{"min_severity": "warning"}') from error
    if not isinstance(extra, dict):
        raise _wrong(connection.conn_id, "its extra is not a JSON object", '{"min_severity": "warning"}')
    return extra


def _min_severity(conn_id: str, extra: Mapping[str, Any]) -> Severity:
    given = extra.get("min_severity", "warning")
    if given not in get_args(Severity):
        raise _wrong(conn_id, f"min_severity {given!r} does not exist", '{"min_severity": "critical"}')
    severity: Severity = given
    return severity


def _sender(connection: Any, extra: Mapping[str, Any]) -> Callable[[Message], None]:
    form = extra.get("format") or _FORMATS.get(connection.conn_type, connection.conn_type)
    if form == "mail":
        return _mail(connection, extra)
    if form in _CONTENT:
        return _webhook(connection, extra, form)
    if form == "apprise":
        return _apprise(connection)
    raise _wrong(
        connection.conn_id,
        f"nothing is known of type {connection.conn_type!r} with format {extra.get('format')!r}",
        '{"format": "slack"}; type smtp, http or generic, format json, slack or apprise',
    )


def _wrong(conn_id: str, what: str, example: str) -> ChannelError:
    return ChannelError(
        f"the connection {conn_id} cannot be used: {what}",
        f"Correct it under Admin, Connections; for example {example}",
    )


class _Mailer(SmtpHook):
    """The provider's hook with a connection that is there already; the outbox decides about further attempts."""

    smtp_retry_limit = 0
    timeout = _NETWORK_SECONDS

    def __init__(self, connection: Any) -> None:
        super().__init__(connection.conn_id)
        self._given = connection
        self.plain_text = ""

    def get_connection(self, conn_id: str) -> Any:  # type: ignore[override]
        """The given one: Airflow can only be asked for another in the thread that runs the task."""
        return self._given

    def _build_mime_message(self, *arguments: Any, **options: Any) -> tuple[MIMEMultipart, list[str]]:
        """With the same in plain text, which mail programs choose when they do not show HTML."""
        message, recipients = super()._build_mime_message(*arguments, **options)
        html = message.get_payload()
        message.set_payload([MIMEText(self.plain_text, "plain", "utf-8"), *html])
        return message, recipients


def _mail(connection: Any, extra: Mapping[str, Any]) -> Callable[[Message], None]:
    recipients = extra.get("to")
    if isinstance(recipients, str):
        recipients = [one.strip() for one in recipients.replace(";", ",").split(",") if one.strip()]
    if not recipients or not extra.get("from_email"):
        raise _wrong(
            connection.conn_id,
            "it does not say from whom and to whom",
            '{"from_email": "shop@example.org", "to": ["team@example.org"]}',
        )

    def send(message: Message) -> None:
        mailer = _Mailer(connection)
        mailer.plain_text = message.text
        one = message.delivery
        with mailer as server:
            server.send_email_smtp(
                to=recipients,
                subject=message.subject,
                html_content=message.html,
                mime_subtype="alternative",
                custom_headers={
                    # What is told of one alert is one thread, and a message that comes twice is the same.
                    "Message-ID": f"<alert-{one.alert_id}-{one.delivery_id}@shopstream>",
                    "References": f"<alert-{one.alert_id}@shopstream>",
                    "Auto-Submitted": "auto-generated",
                },
            )

    return send


def _webhook(connection: Any, extra: Mapping[str, Any], form: str) -> Callable[[Message], None]:
    url = _url(connection)
    headers = {"User-Agent": "shopstream", **extra.get("headers", {})}
    login, password = connection.login, connection.password
    if form == "slack" and password:
        # As the Slack provider's connections have it: the address in the host, its secret part as the password.
        url = f"{url.rstrip('/')}/{password.lstrip('/')}"
    elif password and not login:
        headers["Authorization"] = f"Bearer {password}"
    account = (login, password or "") if login else None

    def send(message: Message) -> None:
        content = getattr(message, _CONTENT[form])
        try:
            answer = requests.post(
                url,
                json=content,
                headers=headers,
                auth=account,
                timeout=_NETWORK_SECONDS,
                # A redirect would be followed by a GET, which tells nobody anything.
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise ChannelError(_without(str(error), url, password)) from None
        if not 200 <= answer.status_code < 300:
            said = _without(answer.text[:300], url, password)
            raise ChannelError(f"{urlsplit(url).hostname} answered {answer.status_code}: {said}")

    return send


def _url(connection: Any) -> str:
    host = connection.host or ""
    if "://" not in host:
        port = f":{connection.port}" if connection.port else ""
        host = f"{connection.schema or 'https'}://{host}{port}"
    elif connection.port and urlsplit(host).port is None:
        parts = urlsplit(host)
        host = parts._replace(netloc=f"{parts.netloc}:{connection.port}").geturl()
    parts = urlsplit(host)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _wrong(connection.conn_id, f"its host {connection.host!r} is no address", "https://example.org/hook")
    return host


def _apprise(connection: Any) -> Callable[[Message], None]:
    addresses = (connection.password or "").split()
    if not addresses:
        raise _wrong(
            connection.conn_id, "its password holds no apprise address", "ntfys://ntfy.sh/my-topic as the password"
        )

    def send(message: Message) -> None:
        # It knows more than a hundred services; only who uses it waits for the import.
        from apprise import Apprise, NotifyFormat

        services = Apprise()
        for position, address in enumerate(addresses, start=1):
            if not services.add(address):
                scheme = address.partition(":")[0]
                raise ChannelError(f"apprise does not understand address {position} ({scheme}://…)")
        said: list[str] = []
        is_done = services.notify(
            title=message.subject,
            body=message.text,
            body_format=NotifyFormat.TEXT,
            timeout=_NETWORK_SECONDS,
            log_callback=lambda entry, service: said.append(entry.message),
        )
        if not is_done:
            why = "; ".join(said[-3:]) or "no reason was given"
            raise ChannelError(f"apprise did not get it through: {_without(why, *addresses)}")

    return send


def _without(text: str, *secrets: str | None) -> str:
    """A text in which the secret parts of addresses are not legible: errors are kept where more people look."""
    for secret in secrets:
        for part in (secret, urlsplit(secret).path if secret and "://" in secret else None):
            if part and len(part) > 1:
                text = text.replace(part, "…")
    return text
