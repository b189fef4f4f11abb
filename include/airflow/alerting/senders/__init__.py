"""Send messages; each kind of channel has a module, which is imported when such a channel is used.

Each module builds ``send`` from a connection and refuses an invalid one. The errors that ``send`` raises must not
contain the secrets in an address, because they are stored where more people can read them.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from include.errors import ChannelError

# Shorter than the time that a channel has for a message, so that the network error is reported and not a timeout.
NETWORK_SECONDS = 8


def wrong_connection(conn_id: str, what: str, example: str) -> ChannelError:
    """Return the error for an invalid connection."""
    return ChannelError(
        f"the connection {conn_id} cannot be used: {what}",
        f"Correct it under Admin, Connections; for example {example}",
    )


def without_secrets(text: str, *secrets: str | None) -> str:
    """Return a text in which the given addresses and passwords are replaced by an ellipsis."""
    for secret in filter(None, secrets):
        address = urlsplit(secret)
        for part in (secret, address.path, address.query, address.password or ""):
            if len(part) > 1:
                text = text.replace(part, "…")
    return text
