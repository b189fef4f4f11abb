"""Send mail through the hook of Airflow's SMTP provider."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import Any

from airflow.providers.smtp.hooks.smtp import SmtpHook

from include.airflow.alerting.senders import NETWORK_SECONDS, wrong_connection
from include.alerts.message import Message


class _Mailer(SmtpHook):
    """The provider's hook with a given connection and without retries, since the outbox decides about retries."""

    smtp_retry_limit = 0
    timeout = NETWORK_SECONDS

    def __init__(self, connection: Any) -> None:
        super().__init__(connection.conn_id)
        self._given = connection
        self.plain_text = ""

    def get_connection(self, conn_id: str) -> Any:  # type: ignore[override]
        """Return the given connection; only the thread that runs the task can ask Airflow for one."""
        return self._given

    def _build_mime_message(self, *arguments: Any, **options: Any) -> tuple[MIMEMultipart, list[str]]:
        """Add the plain text, which mail programs show when they do not display HTML."""
        message, recipients = super()._build_mime_message(*arguments, **options)
        html = message.get_payload()
        message.set_payload([MIMEText(self.plain_text, "plain", "utf-8"), *html])
        return message, recipients


def mail_sender(connection: Any, extra: Mapping[str, Any]) -> Callable[[Message], None]:
    """Return a function that sends mail from ``from_email`` to ``to``, both from the extra."""
    recipients = extra.get("to")
    if isinstance(recipients, str):
        recipients = [one.strip() for one in recipients.replace(";", ",").split(",") if one.strip()]
    if not recipients or not extra.get("from_email"):
        raise wrong_connection(
            connection.conn_id,
            "its extra lacks from_email or to",
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
                    # All messages about one alert form one thread, and a message that is sent twice has the same id.
                    "Message-ID": f"<alert-{one.alert_id}-{one.delivery_id}@shopstream>",
                    "References": f"<alert-{one.alert_id}@shopstream>",
                    "Auto-Submitted": "auto-generated",
                },
            )

    return send
