"""Test that an outage of PostgreSQL, which is also Airflow's database, is reported once, and its end once."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from datetime import timedelta

import pytest

from include.airflow.alerting.direct import keep_copy
from include.airflow.alerting.dispatch import send_now
from include.alerts.notice import channels_file
from include.alerts.outbox import update_channels
from include.alerts.planned import announce_window
from include.platform.services.airflow_api import AirflowApi
from include.platform.watching.alert_sender import AlertSender
from include.platform.watching.outages import Outages
from include.settings import Settings
from tests.dags.test_dispatch import hook_at, mail
from tests.support.postgres import database_away
from tests.support.receivers import Hook, Mailbox, mail_server, web_hook
from tests.support.validated import query

OUTAGE, RECOVERY = "PostgreSQL cannot be reached", "recovered: watchdog: PostgreSQL cannot be reached"
PROGRAMS = ("postgres", "scheduler")


@pytest.fixture
def receivers(airflow: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Mailbox, Hook]]:
    """Yield a mail server and a webhook whose Connections exist only in the copy that the dispatcher has made."""
    with mail_server() as mailbox, web_hook() as hook:
        variables = {
            "AIRFLOW_CONN_ALERT_TEAM": json.dumps(mail(mailbox.port)),
            "AIRFLOW_CONN_ALERT_PROGRAM": json.dumps(hook_at(hook.url)),
        }
        for name, connection in variables.items():
            monkeypatch.setenv(name, connection)
        names = ("alert_team", "alert_program")
        update_channels(airflow.dsn("ops"), dict.fromkeys(names, "warning"))
        keep_copy(channels_file(airflow), names)
        for name in variables:
            monkeypatch.delenv(name)
        yield mailbox, hook


def watchdog(settings: Settings) -> Outages:
    """Return a new watchdog, as its program creates it when it starts."""
    sender = AlertSender(settings, AirflowApi(settings))
    return Outages(settings.dsn("ops"), PROGRAMS, send=sender.send_directly, memory=settings.root / "outage.json")


def test_an_outage_of_postgresql_is_reported_once_without_the_outbox(
    airflow: Settings, receivers: tuple[Mailbox, Hook]
) -> None:
    mailbox, hook = receivers
    copy = channels_file(airflow)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    outages = watchdog(airflow)
    outages.notify(set(), {}, {})
    with database_away(airflow):
        for seconds in (45.0, 55.0):
            outages.notify({"postgres", "scheduler"}, {"postgres": seconds, "scheduler": seconds}, {})
        assert [subject.partition(": ")[2] for subject in mailbox.subjects] == [OUTAGE]
        assert hook.titles == [f"raised: {OUTAGE}"]
        # After its restart the watchdog knows that the outage was reported.
        outages = watchdog(airflow)
        outages.notify({"postgres"}, {"postgres": 65.0}, {})
        assert len(hook.titles) == 1
    outages.notify(set(), {}, {})
    outages.notify(set(), {}, {})
    assert hook.titles == [f"raised: {OUTAGE}", f"recovered: {OUTAGE}"]
    assert mailbox.subjects[1:] == [f"[critical] {RECOVERY}"]
    rows = query(airflow, "SELECT key, resolution, resolved_at - raised_at > '45 s' FROM shop.alerts")
    assert rows == [("platform: postgres", "event", True)]
    send_now(airflow.dsn("ops"))
    assert len(hook.titles) == len(mailbox.subjects) == 2, "the outbox sends nothing more"
    assert not (airflow.root / "outage.json").exists()


def test_a_channel_that_failed_during_the_outage_is_notified_by_the_outbox(
    airflow: Settings, receivers: tuple[Mailbox, Hook], monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox, hook = receivers
    update_channels(airflow.dsn("ops"), {"alert_later": "warning"})
    # A channel receives no alert that is older than the channel.
    query(airflow, "UPDATE shop.alert_channels SET added_at = now() - interval '1 day' RETURNING 1")
    outages = watchdog(airflow)
    with database_away(airflow):
        outages.notify({"postgres"}, {"postgres": 45.0}, {})
    outages.notify(set(), {}, {})
    with web_hook() as later_hook:
        for name, connection in {
            "later": hook_at(later_hook.url),
            "team": mail(mailbox.port),
            "program": hook_at(hook.url),
        }.items():
            monkeypatch.setenv(f"AIRFLOW_CONN_ALERT_{name.upper()}", json.dumps(connection))
        send_now(airflow.dsn("ops"))
        assert later_hook.titles == [f"raised: {OUTAGE}"]
    assert len(hook.titles) == len(mailbox.subjects) == 2


def test_an_outage_in_a_maintenance_window_is_not_reported(airflow: Settings, receivers: tuple[Mailbox, Hook]) -> None:
    mailbox, hook = receivers
    announce_window(airflow.dsn("ops"), "a new server", length=timedelta(minutes=10))
    outages = watchdog(airflow)
    outages.notify(set(), {}, {})
    with database_away(airflow):
        outages.notify({"postgres"}, {"postgres": 45.0}, {})
    outages.notify(set(), {}, {})
    send_now(airflow.dsn("ops"))
    assert hook.titles == mailbox.subjects == []
