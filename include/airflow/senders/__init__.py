"""What sends a message: a module for each kind of channel, imported when one is used.

Each builds ``send`` from a connection, and refuses one that is written wrongly. ``send`` raises what went wrong,
without the secrets in an address: errors are kept where more people look.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from include.errors import ChannelError

# Less than the channels are given, so that what goes wrong is told in its own words and not as a time-out.
NETWORK_SECONDS = 8


def wrong_connection(conn_id: str, what: str, example: str) -> ChannelError:
    """The error of a connection that is written wrongly."""
    return ChannelError(
        f"the connection {conn_id} cannot be used: {what}",
        f"Correct it under Admin, Connections; for example {example}",
    )


def without_secrets(text: str, *secrets: str | None) -> str:
    """A text in which addresses and passwords are not legible."""
    for secret in filter(None, secrets):
        address = urlsplit(secret)
        for part in (secret, address.path, address.query, address.password or ""):
            if len(part) > 1:
                text = text.replace(part, "…")
    return text
