"""Test each kind of channel: create it from a real Airflow Connection, and send a message to a real receiver."""

from __future__ import annotations

import json
import smtplib
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema
import pytest
from airflow.sdk.exceptions import AirflowNotFoundException

from include.airflow.alerting.channels import Channel, load_channel
from include.alerts.message import Message
from include.errors import ChannelError
from include.settings import REPOSITORY
from tests.support.messages import make_delivery
from tests.support.receivers import Hook, Mailbox, mail_server, web_hook
from tests.support.sockets import free_ports

HOSTILE = '<img src=x onerror="alert(1)"> & Söhne'
Connect = Callable[..., Channel]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Return a function that puts a Connection into the environment of Airflow, and loads its channel."""

    def make(**connection: Any) -> Channel:
        monkeypatch.setenv("AIRFLOW_CONN_ALERT_TEST", json.dumps(connection))
        return load_channel("alert_test")

    return make


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with mail_server() as mailbox:
        yield mailbox


@pytest.fixture
def hook() -> Iterator[Hook]:
    with web_hook() as hook:
        yield hook


def message(**changes: Any) -> Message:
    return Message(make_delivery(**changes), "http://airflow.test")


def mail(port: int, **extra: Any) -> dict[str, Any]:
    plain = {"disable_tls": True, "disable_ssl": True, "from_email": "shop@example.org", "to": "team@example.org"}
    return {"conn_type": "smtp", "host": "127.0.0.1", "port": port, "extra": {**plain, **extra}}


def test_a_mail_has_text_and_html_without_scripts(connect: Connect, mailbox: Mailbox) -> None:
    sent = message(title=f"product {HOSTILE} is wrong", detail=f"name: {HOSTILE}")
    connect(**mail(mailbox.port, to=["team@example.org", "boss@example.org"])).send(sent)
    (arrived,) = mailbox.mails
    assert arrived["Subject"] == sent.subject
    assert HOSTILE in arrived["Subject"]
    assert (arrived["From"], arrived["To"]) == ("shop@example.org", "team@example.org, boss@example.org")
    assert arrived.get_content_type() == "multipart/alternative"
    text, html = arrived.iter_parts()
    assert text.get_content().splitlines() == sent.text.splitlines()
    assert html.get_content().rstrip() == sent.html
    assert "<img" not in html.get_content()
    assert "&lt;img src=x onerror=&quot;alert(1)&quot;&gt; &amp; Söhne" in html.get_content()
    assert arrived["Auto-Submitted"] == "auto-generated"


def test_the_mails_of_one_alert_are_one_thread(connect: Connect, mailbox: Mailbox) -> None:
    channel = connect(**mail(mailbox.port, to="team@example.org; boss@example.org"))
    channel.send(message(delivery_id=1))
    channel.send(message(delivery_id=2, occasion="recovered"))
    first, second = mailbox.mails
    assert first["References"] == second["References"]
    assert first["Message-ID"] != second["Message-ID"]
    assert first["To"] == "team@example.org, boss@example.org"


def test_a_webhook_receives_json_that_matches_the_published_schema(connect: Connect, hook: Hook) -> None:
    connect(conn_type="http", host=hook.url, extra={"headers": {"X-Shop": "mine"}}).send(message(detail=HOSTILE))
    (body,) = hook.bodies
    schema = json.loads((REPOSITORY / "docs" / "alert.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(body, schema)
    assert body["detail"] == HOSTILE
    assert body["runbook_url"] == "http://airflow.test/dags/refresh_views"
    assert hook.headers[0]["X-Shop"] == "mine"
    assert "Authorization" not in hook.headers[0]


@pytest.mark.parametrize(
    ("account", "header"),
    [({"password": "token"}, "Bearer token"), ({"login": "me", "password": "pass"}, "Basic bWU6cGFzcw==")],
)
def test_a_webhook_receives_the_credentials_of_its_connection(
    connect: Connect, hook: Hook, account: dict[str, str], header: str
) -> None:
    connect(conn_type="generic", host=hook.url, **account).send(message())
    assert hook.headers[0]["Authorization"] == header


@pytest.mark.parametrize(
    "connection",
    [
        {"conn_type": "slackwebhook", "host": "{base}/services", "password": "T0/B0/X"},
        {"conn_type": "http", "host": "{base}/services/T0/B0/X", "extra": {"format": "slack"}},
    ],
)
def test_a_chat_receives_the_format_of_slack(connect: Connect, hook: Hook, connection: dict[str, Any]) -> None:
    base = hook.url.rpartition("/")[0]
    connect(**{**connection, "host": connection["host"].format(base=base)}).send(message(title=HOSTILE))
    (body,) = hook.bodies
    assert "&lt;img" in body["text"]
    assert "<http://airflow.test/dags/refresh_views|What to do>" in body["attachments"][0]["text"]
    assert "Authorization" not in hook.headers[0]


def test_apprise_delivers_to_its_services(connect: Connect, hook: Hook) -> None:
    address = hook.url.replace("http://", "json://")
    connect(conn_type="generic", password=f"{address} {address}", extra={"format": "apprise"}).send(message())
    assert [body["title"] for body in hook.bodies] == [message().subject] * 2
    assert hook.bodies[0]["message"].strip() == message().text.strip()


def test_errors_of_apprise_are_reported(connect: Connect) -> None:
    (port,) = free_ports(1)
    channel = connect(conn_type="apprise", password=f"json://127.0.0.1:{port}/secret-path")
    with pytest.raises(ChannelError, match="apprise could not send the message: ") as failure:
        channel.send(message())
    assert "secret-path" not in str(failure.value)
    with pytest.raises(ChannelError, match=r"does not understand address 1 \(nonsense://…\)"):
        connect(conn_type="apprise", password="nonsense://secret").send(message())


def test_a_mail_fails_if_the_smtp_server_is_down(connect: Connect) -> None:
    (port,) = free_ports(1)
    with pytest.raises(ConnectionRefusedError):
        connect(**mail(port)).send(message())


def test_a_mail_fails_if_the_smtp_server_refuses_the_recipient(connect: Connect) -> None:
    class RefusingMailbox(Mailbox):
        async def handle_RCPT(self, *arguments: Any) -> str:  # noqa: N802 - aiosmtpd's name
            return "550 no such user"

    with mail_server(mailbox=RefusingMailbox(free_ports(1)[0])) as mailbox:
        with pytest.raises(smtplib.SMTPRecipientsRefused, match="no such user"):
            connect(**mail(mailbox.port)).send(message())
        assert mailbox.mails == []


@pytest.mark.parametrize("status", [302, 401, 500])
def test_an_error_status_of_a_webhook_is_reported(connect: Connect, hook: Hook, status: int) -> None:
    hook.answers = [status]
    channel = connect(conn_type="http", host=hook.url)
    with pytest.raises(ChannelError, match=rf"^127\.0\.0\.1 answered {status}: as the test says\.$"):
        channel.send(message())
    channel.send(message())
    assert len(hook.bodies) == 2


def test_errors_do_not_show_the_secret_part_of_an_address(connect: Connect) -> None:
    (port,) = free_ports(1)
    channel = connect(conn_type="slackwebhook", host=f"http://127.0.0.1:{port}/services", password="T0/B0/X")
    with pytest.raises(ChannelError, match="Connection refused") as failure:
        channel.send(message())
    assert "T0/B0/X" not in str(failure.value)
    assert failure.value.__cause__ is None


@pytest.mark.parametrize(
    ("connection", "complaint"),
    [
        ({"conn_type": "smtp", "host": "mail"}, "its extra lacks from_email or to"),
        ({"conn_type": "smtp", "host": "mail", "extra": {"from_email": "a@b"}}, "lacks from_email or to"),
        ({"conn_type": "http", "host": "ftp://files"}, "its host 'ftp://files' is not a valid address"),
        ({"conn_type": "http"}, "its host '' is not a valid address"),
        ({"conn_type": "http", "host": "https://h:port"}, "its host 'https://h:port' is not a valid address"),
        ({"conn_type": "http", "host": "h", "extra": {"headers": ["X"]}}, "headers is not an object of strings"),
        ({"conn_type": "http", "host": "h", "extra": {"min_severity": "high"}}, "min_severity 'high' does not exist"),
        ({"conn_type": "http", "host": "h", "extra": {"format": "xml"}}, "'http' with format 'xml'"),
        ({"conn_type": "http", "host": "h", "extra": "[1]"}, "its extra is not a JSON object"),
        ({"conn_type": "http", "host": "h", "extra": "{min_severity"}, "its extra is not JSON"),
        ({"conn_type": "postgres", "host": "h"}, "type 'postgres' with format None"),
        ({"conn_type": "apprise"}, "its password contains no apprise address"),
    ],
)
def test_a_wrong_connection_is_reported_when_it_is_used(
    connect: Connect, connection: dict[str, Any], complaint: str
) -> None:
    channel = connect(**connection)
    with pytest.raises(ChannelError, match=complaint) as failure:
        channel.send(message())
    assert "the connection alert_test cannot be used" in str(failure.value)
    assert "Correct it under Admin, Connections; for example " in str(failure.value)


def test_an_address_can_be_given_in_parts_and_contain_a_secret(connect: Connect, hook: Hook) -> None:
    _, _, port = hook.url.rpartition("/")[0].rpartition(":")
    connect(conn_type="http", schema="http", host="127.0.0.1/hook?key=secret", port=int(port)).send(message())
    assert len(hook.bodies) == 1
    (free,) = free_ports(1)
    with pytest.raises(ChannelError, match="Connection refused") as failure:
        connect(conn_type="http", host=f"http://127.0.0.1:{free}/hook?key=secret").send(message())
    assert "secret" not in str(failure.value)


def test_the_connection_sets_the_minimum_severity(connect: Connect) -> None:
    assert connect(conn_type="http", host="h").min_severity == "warning"
    assert connect(conn_type="http", host="h", extra={"min_severity": "info"}).min_severity == "info"


def test_a_channel_without_a_connection_cannot_be_loaded() -> None:
    with pytest.raises(AirflowNotFoundException):
        load_channel("alert_nowhere")
