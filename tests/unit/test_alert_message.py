"""Tests of alert messages: they are complete, and quoted values stay plain text in every format."""

from __future__ import annotations

import json
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import jsonschema
import pytest

from include.alerts.message import Message
from include.settings import REPOSITORY
from tests.support.messages import RAISED_AT, make_delivery

HOSTILE = '<img src=x onerror="alert(1)">\r\nBcc: everybody@example.org & <!channel> ```'


def message(**changes: Any) -> Message:
    return Message(make_delivery(**changes), "http://airflow.test/")


class Elements(HTMLParser):
    """Collect the element names, links and text of an HTML page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: list[str | None] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.links += [value for name, value in attrs if name in ("href", "src")]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_message_says_what_failed_since_when_and_what_to_do() -> None:
    one = message(occurrences=3, last_raised_at=RAISED_AT + timedelta(minutes=5), earlier=2)
    assert one.subject == "[critical] refresh_views.refresh: refresh failed: deadlock detected"
    assert one.text.splitlines() == [
        "refresh failed: deadlock detected",
        "",
        "Severity:    critical",
        "Owner:       shop-data",
        "Source:      refresh_views.refresh",
        "Since:       2026-11-24 09:30:00 UTC",
        "How often:   3 times, the last 2026-11-24 09:35:00 UTC",
        "Before:      came and went 2 more times within the day before",
        "",
        "PlatformError: the view mart_x could not be refreshed",
        "",
        "What to do:  http://airflow.test/dags/refresh_views",
        "Log:         http://airflow.test/dags/refresh_views/runs/run-1",
    ]
    page = Elements(one.html)
    assert page.links == [
        "http://airflow.test/dags/refresh_views",
        "http://airflow.test/dags/refresh_views/runs/run-1",
    ]
    for value in one.facts.values():
        assert value in page.text


@pytest.mark.parametrize(
    ("changes", "subject", "over"),
    [
        ({"occasion": "reminder"}, "[critical] still open: refresh_views.refresh: ", None),
        ({"resolution": "recovered"}, "[critical] recovered: ", "2026-11-24 11:00:00 UTC, after 90 min"),
        ({"resolution": "by Ann"}, "[critical] recovered: ", "2026-11-24 11:00:00 UTC, after 90 min (by Ann)"),
    ],
)
def test_a_reminder_and_a_recovery_say_so(changes: dict[str, Any], subject: str, over: str | None) -> None:
    if "resolution" in changes:
        changes = {**changes, "occasion": "recovered", "resolved_at": RAISED_AT + timedelta(minutes=90)}
    one = message(**changes)
    assert one.subject.startswith(subject)
    assert one.facts.get("Over") == over


def test_quoted_values_stay_plain_text() -> None:
    one = message(title=f"product {HOSTILE}", detail=HOSTILE, source=HOSTILE, owner=HOSTILE, resolution=HOSTILE)
    assert "\n" not in one.subject
    assert "\r" not in one.subject
    page = Elements(one.html)
    assert "img" not in page.names
    assert '<img src=x onerror="alert(1)">' in page.text
    assert "<!channel>" not in json.dumps(one.slack)
    assert "&lt;!channel&gt;" in one.slack["text"]
    # The quoted text cannot end the code block that holds it.
    assert one.slack["attachments"][0]["text"].count("```") == 2
    assert one.payload["detail"] == HOSTILE


def test_a_subject_is_one_line_of_at_most_180_characters() -> None:
    subject = message(title="x" * 5000).subject
    assert len(subject) == 180
    assert subject.endswith("…")


def test_only_web_pages_are_linked() -> None:
    one = message(url="javascript:alert(1)", runbook_url=None)
    assert one.links == {}
    assert Elements(one.html).links == []
    assert one.payload["url"] is None


def test_a_chat_message_fits_the_limit_of_the_chat() -> None:
    attachment = message(detail="x" * 8000).slack["attachments"][0]
    assert len(attachment["text"]) < 3000
    assert attachment["text"].endswith(
        " …```\n<http://airflow.test/dags/refresh_views|What to do> · "
        "<http://airflow.test/dags/refresh_views/runs/run-1|Log>"
    )


@pytest.mark.parametrize(
    "changes", [{}, {"occasion": "recovered", "resolved_at": RAISED_AT, "resolution": "recovered"}]
)
def test_the_payload_matches_its_published_schema(changes: dict[str, Any]) -> None:
    schema = json.loads((REPOSITORY / "docs" / "alert.schema.json").read_text(encoding="utf-8"))
    payload = json.loads(json.dumps(message(**changes).payload))
    jsonschema.validate(payload, schema, format_checker=jsonschema.FormatChecker())
    assert payload["raised_at"] == "2026-11-24T09:30:00+00:00"
