"""Tests of the chaos harness: its schedule is replayable, and its proxy separates protocol messages."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.programs.chaos.__main__ import main
from tests.programs.chaos.faults import FAULTS
from tests.programs.chaos.schedule import schedule
from tests.programs.chaos.table import BEGIN, END, write_into
from tests.programs.chaos.wire import Framing


def names_and_draws(seed: int, count: int) -> list[tuple[str, float]]:
    """Return the first faults of a schedule, each with the first random number that it would draw."""
    return [(fault.name, chance.random()) for fault, chance in itertools.islice(schedule(seed), count)]


def test_a_seed_gives_the_same_faults_with_the_same_choices() -> None:
    assert names_and_draws(7, 100) == names_and_draws(7, 100)
    assert names_and_draws(7, 100) != names_and_draws(8, 100)


def test_every_fault_comes_once_before_any_comes_again() -> None:
    first = [name for name, _ in names_and_draws(7, len(FAULTS))]
    assert sorted(first) == sorted(FAULTS)


def test_chosen_faults_come_in_the_given_order() -> None:
    chosen = ("poison", "upgrade")
    assert [fault.name for fault, _ in itertools.islice(schedule(7, chosen), 2)] == list(chosen)


def test_an_unknown_fault_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "kill_driver_jvm,meteorite"]) == 2
    assert "meteorite is not a fault" in capsys.readouterr().err


def message(kind: bytes, body: bytes) -> bytes:
    """Build a message of PostgreSQL's protocol version 3."""
    return kind + (len(body) + 4).to_bytes(4) + body


STARTUP = message(b"", (196608).to_bytes(4) + b"user\0shop_ingest\0database\0shop\0\0")
QUERY = message(b"Q", b"COMMIT\0")
COPY_DATA = message(b"d", b"a\tb\n")


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_messages_are_separated_wherever_the_stream_is_cut(size: int) -> None:
    framing = Framing(is_started=False)
    stream = STARTUP + QUERY + COPY_DATA
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    found = [one for piece in pieces for one in framing.feed(piece)]
    assert [(one.kind, one.text) for one in found] == [(b"", ""), (b"Q", "COMMIT"), (b"d", "")]
    assert b"".join(one.raw for one in found) == stream
    assert framing.user == "shop_ingest"


def test_a_tls_request_is_recognized_before_the_startup() -> None:
    framing = Framing(is_started=False)
    found = list(framing.feed(message(b"", (80877103).to_bytes(4)) + STARTUP + QUERY))
    assert [one.kind for one in found] == [b"", b"", b"Q"]


def test_only_the_old_table_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n\n{BEGIN}\nold\n{END}\n\nafter\n")
    write_into(page, "new")
    assert page.read_text() == f"before\n\n{BEGIN}\n\nnew\n\n{END}\n\nafter\n"
