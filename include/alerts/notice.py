"""Define a message that is sent without the outbox, because the database is down."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from include.alerts.state import Alert
from include.settings import Settings

# Prefix of the line with the answer, since Airflow may also write to standard output.
ANSWER = "notified: "


@dataclass(frozen=True)
class Notice:
    """An alert that cannot be recorded yet.

    Parameters
    ----------
    alert:
        The alert.
    began_at:
        Beginning of the fault.
    ended_at:
        End of the fault; None while it lasts.
    channels:
        The channels to notify; None for all.
    """

    alert: Alert
    began_at: datetime
    ended_at: datetime | None = None
    channels: tuple[str, ...] | None = None

    def to_json(self) -> str:
        """Serialize the notice for another process or a file."""
        return json.dumps(
            {
                "alert": asdict(self.alert),
                "began_at": self.began_at.isoformat(),
                "ended_at": self.ended_at and self.ended_at.isoformat(),
                "channels": self.channels,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Notice:
        """Read a notice from the output of ``to_json``."""
        values = json.loads(text)
        ended_at, channels = values["ended_at"], values["channels"]
        return cls(
            Alert(**values["alert"]),
            datetime.fromisoformat(values["began_at"]),
            ended_at and datetime.fromisoformat(ended_at),
            None if channels is None else tuple(channels),
        )


def channels_file(settings: Settings) -> Path:
    """Return the path of the copy of the channels' Connections, which has mode 0600."""
    return settings.root / "alert-channels.json"
