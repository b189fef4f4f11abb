"""Format a message: subject and plain text, HTML for mail, JSON for programs, and Slack's format for chats.

The text of an alert may quote data, such as the name of a product, so every format escapes it.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from html import escape
from typing import Any

from include.alerts.outbox import Delivery

JSON_SCHEMA = "shopstream.alert/1"

_LONGEST_SUBJECT = 180
# Chats truncate longer texts or refuse them.
_LONGEST_CHAT_DETAIL = 2500
_COLORS = {"critical": "#b3261e", "warning": "#9a6700", "info": "#0b57d0", "recovered": "#1a7f37"}
_OCCASIONS = {"raised": "", "reminder": "still open: ", "recovered": "recovered: "}


class Message:
    """One delivery, formatted for each kind of channel.

    Parameters
    ----------
    delivery:
        The alert, and the occasion of the message.
    base_url:
        Base URL of the Airflow UI, which the paths in an alert are relative to.
    """

    def __init__(self, delivery: Delivery, base_url: str) -> None:
        self.delivery = delivery
        self._base_url = base_url.rstrip("/")

    @property
    def subject(self) -> str:
        """One line with the severity, the occasion, the source and the title."""
        one = self.delivery
        text = f"[{one.severity}] {_OCCASIONS[one.occasion]}{one.source}: {one.title}"
        # A line break in the subject would start another header.
        line = "".join(character if character.isprintable() else " " for character in " ".join(text.split()))
        return line if len(line) <= _LONGEST_SUBJECT else line[: _LONGEST_SUBJECT - 1] + "…"

    @property
    def text(self) -> str:
        """The whole message as plain text."""
        facts = "\n".join(f"{name + ':':<12} {value}" for name, value in self.facts.items())
        links = "\n".join(f"{name + ':':<12} {url}" for name, url in self.links.items())
        return f"{self.delivery.title}\n\n{facts}\n\n{self.delivery.detail}\n\n{links}".rstrip() + "\n"

    @property
    def html(self) -> str:
        """The whole message as self-contained HTML."""
        one = self.delivery
        color = _COLORS["recovered" if one.occasion == "recovered" else one.severity]
        cell = "padding:2px 16px 2px 0;vertical-align:top"
        block = "white-space:pre-wrap;background:#f6f8fa;color:#1f2328;padding:10px"
        facts = "".join(
            f'<tr><td style="{cell};color:#57606a">{escape(name)}</td><td style="{cell}">{escape(value)}</td></tr>'
            for name, value in self.facts.items()
        )
        links = "".join(f'<p><a href="{escape(url)}">{escape(name)}</a></p>' for name, url in self.links.items())
        return (
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"></head>'
            '<body style="font-family:system-ui,sans-serif;font-size:15px;line-height:1.45">'
            f'<h2 style="font-size:18px;border-left:6px solid {color};padding-left:10px">'
            f"{escape(_OCCASIONS[one.occasion].capitalize())}{escape(one.title)}</h2>"
            f'<table style="border-collapse:collapse">{facts}</table>'
            f'<pre style="{block}">{escape(one.detail)}</pre>{links}</body></html>'
        )

    @property
    def payload(self) -> dict[str, Any]:
        """The message for programs, in the schema ``shopstream.alert/1``; times are ISO 8601 in UTC."""
        values = {
            name: value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
            for name, value in asdict(self.delivery).items()
        }
        absolute = {"url": self._absolute(self.delivery.url), "runbook_url": self._absolute(self.delivery.runbook_url)}
        return {"schema": JSON_SCHEMA, **values, **absolute}

    @property
    def slack(self) -> dict[str, Any]:
        """The message for Slack and chats with compatible webhooks (Mattermost, Rocket.Chat, Zulip, Discord)."""
        one = self.delivery
        detail = one.detail if len(one.detail) <= _LONGEST_CHAT_DETAIL else one.detail[:_LONGEST_CHAT_DETAIL] + " …"
        links = " · ".join(f"<{url}|{name}>" for name, url in self.links.items())
        return {
            "text": _chat_escape(self.subject),
            "attachments": [
                {
                    "color": _COLORS["recovered" if one.occasion == "recovered" else one.severity],
                    "fallback": _chat_escape(self.subject),
                    # Replace backquotes, since one in the text would end the code block.
                    "text": f"```{_chat_escape(detail).replace('`', chr(0x2019))}```\n{links}".rstrip(),
                    "mrkdwn_in": ["text"],
                    "fields": [
                        {"title": name, "value": _chat_escape(value), "short": True}
                        for name, value in self.facts.items()
                    ],
                }
            ],
        }

    @property
    def facts(self) -> dict[str, str]:
        """The key facts that precede the detail, by label."""
        one = self.delivery
        facts = {"Severity": one.severity, "Owner": one.owner, "Source": one.source, "Since": _time(one.raised_at)}
        if one.occurrences > 1:
            facts["How often"] = f"{one.occurrences} times, the last {_time(one.last_raised_at)}"
        if one.earlier:
            facts["Before"] = f"came and went {one.earlier} more times within the day before"
        if one.occasion == "recovered" and one.resolved_at is not None:
            how = "" if one.resolution == "recovered" else f" ({one.resolution})"
            facts["Over"] = f"{_time(one.resolved_at)}, after {_length(one.resolved_at, one.raised_at)}{how}"
        return facts

    @property
    def links(self) -> dict[str, str]:
        """The links of the message, by label."""
        links = {"What to do": self.delivery.runbook_url, "Log": self.delivery.url}
        return {name: absolute for name, url in links.items() if (absolute := self._absolute(url)) is not None}

    def _absolute(self, url: str | None) -> str | None:
        absolute = f"{self._base_url}{url}" if url is not None and url.startswith("/") else url
        return absolute if absolute is not None and absolute.startswith(("http://", "https://")) else None


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _length(end: datetime, begin: datetime) -> str:
    seconds = (end - begin).total_seconds()
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def _chat_escape(text: str) -> str:
    """Escape a text as Slack requires; otherwise a name such as <!channel> would notify the whole channel."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
