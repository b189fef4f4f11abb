"""Tests of text and JSON logs: both carry the ids of what a line is about."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from include import logs
from include.logs import LogFormat, bind, start_logging


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    logs._bound.clear()


def written(capsys: pytest.CaptureFixture[str], log_format: LogFormat) -> str:
    """Log one line with ids and one with an error; return the output."""
    start_logging(log_format)
    log = logging.getLogger("jobs.query")
    bind(epoch=7)
    log.info("batch %s committed", 12, extra={"data": {"batch_id": 12, "file_ids": (3, 4)}})
    try:
        raise ValueError("no")
    except ValueError:
        log.exception("the driver gives up")
    return capsys.readouterr().err


def test_a_json_line_carries_the_ids_of_the_process_and_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = map(json.loads, written(capsys, "json").splitlines())
    assert first.pop("time")
    assert first == {
        "level": "INFO",
        "logger": "jobs.query",
        "message": "batch 12 committed",
        "epoch": 7,
        "batch_id": 12,
        "file_ids": [3, 4],
    }
    assert (second["message"], second["epoch"]) == ("the driver gives up", 7)
    assert second["exception"].endswith("ValueError: no")


def test_a_text_line_carries_the_same_ids(capsys: pytest.CaptureFixture[str]) -> None:
    first, second, *_, last = written(capsys, "text").splitlines()
    assert first.endswith("INFO batch 12 committed [epoch=7 batch_id=12 file_ids=(3, 4)]")
    assert second.endswith("ERROR the driver gives up [epoch=7]")
    assert last == "ValueError: no"


def test_an_unbound_id_is_removed(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging("text")
    bind(epoch=7, mode="drain")
    bind(epoch=None)
    logging.getLogger().warning("a line")
    assert capsys.readouterr().err.endswith("WARNING a line [mode=drain]\n")
