"""Send webhooks, as JSON for programs or in the format of Slack and compatible chats."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import requests

from include.airflow.alerting.senders import NETWORK_SECONDS, without_secrets, wrong_connection
from include.alerts.message import Message
from include.errors import ChannelError

_CONTENT = {"json": "payload", "slack": "slack"}


def webhook_sender(connection: Any, extra: Mapping[str, Any], form: str) -> Callable[[Message], None]:
    """Return a function that posts to the connection's host, in the format ``json`` or ``slack``."""
    url = _url(connection)
    headers = {"User-Agent": "shopstream", **_headers(connection, extra)}
    login, password = connection.login, connection.password
    if form == "slack" and password:
        # Connections of the Slack provider have the address in the host and its secret part in the password.
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
                timeout=NETWORK_SECONDS,
                # A redirect would be followed with a GET, which delivers no message.
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise ChannelError(without_secrets(str(error), url, password)) from None
        if not 200 <= answer.status_code < 300:
            said = without_secrets(answer.text[:300], url, password)
            raise ChannelError(f"{urlsplit(url).hostname} answered {answer.status_code}: {said}")

    return send


def _headers(connection: Any, extra: Mapping[str, Any]) -> dict[str, str]:
    headers = extra.get("headers", {})
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        raise wrong_connection(
            connection.conn_id, "headers is not an object of strings", '{"headers": {"X-Team": "data"}}'
        )
    return headers


def _url(connection: Any) -> str:
    """Return the address: the host if it is a whole URL, or else schema (default ``https``), host and port."""
    host = connection.host or ""
    try:
        address = urlsplit(host if "://" in host else f"{connection.schema or 'https'}://{host}")
        if address.port is None and connection.port:
            address = address._replace(netloc=f"{address.netloc}:{connection.port}")
        is_usable = address.scheme in ("http", "https") and bool(address.hostname)
    except ValueError:
        is_usable = False
    if not is_usable:
        raise wrong_connection(
            connection.conn_id, f"its host {host!r} is not a valid address", "https://example.org/hook"
        )
    return address.geturl()
