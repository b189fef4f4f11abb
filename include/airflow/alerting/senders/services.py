"""Send messages to the services that apprise supports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from apprise import Apprise, NotifyFormat

from include.airflow.alerting.senders import NETWORK_SECONDS, without_secrets, wrong_connection
from include.alerts.message import Message
from include.errors import ChannelError


def apprise_sender(connection: Any) -> Callable[[Message], None]:
    """Return a function that notifies all addresses in the connection's password."""
    addresses = (connection.password or "").split()
    if not addresses:
        raise wrong_connection(
            connection.conn_id, "its password contains no apprise address", "ntfys://ntfy.sh/my-topic as the password"
        )

    def send(message: Message) -> None:
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
            timeout=NETWORK_SECONDS,
            log_callback=lambda entry, service: said.append(entry.message),
        )
        if not is_done:
            why = "; ".join(said[-3:]) or "no reason was given"
            raise ChannelError(f"apprise could not send the message: {without_secrets(why, *addresses)}")

    return send
