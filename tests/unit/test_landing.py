"""Tests of the landing folder: which files are admitted, when they count as complete, and what is ignored."""

from __future__ import annotations

import gzip
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from include.db.text import storable
from include.stream.intake.arrivals import QUIET_SECONDS, Arrivals, has_arrivals
from include.stream.intake.ignored import IgnoredEntries
from include.stream.intake.landing import Landing, is_delivery
from include.stream.intake.rename import rename_new
from include.stream.reading.delivered import is_packed
from include.stream.supervision.disk import shortage
from tests.support.disks import small_disk
from tests.support.postgres import temporary_home
from tests.support.waiting import wait_until

NOBODY = 65534


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    folders = (tmp_path / name for name in ("landing", "landing-admitted", "landing-archive", "landing-quarantine"))
    landing = Landing(*map(str, folders))
    landing.make()
    return landing


@pytest.mark.parametrize("name", ["a.csv", "a.CSV", "a.Csv", "a.csv.gz", "a.CSV.GZ", "a.csv.Gz", "a b.tar.csv"])
def test_the_case_of_a_suffix_does_not_matter(landing: Landing, name: str) -> None:
    assert is_delivery(name)
    assert is_packed(name) == name.lower().endswith(".gz")
    assert landing.admitted_path(3, 7, name).name == ("7.csv.gz" if is_packed(name) else "7.csv")


@pytest.mark.parametrize(
    "name", ["a.tsv", "a.csv.part", "a.csv.filepart", ".a.csv", "_a.csv", "a.gz", "csv", "a.csv.zip"]
)
def test_other_names_are_not_admitted(name: str) -> None:
    assert not is_delivery(name)


def test_the_uncompressed_size_is_known_for_a_suffix_in_any_case(landing: Landing) -> None:
    content = b"x" * 100_000
    (Path(landing.incoming) / "one.CSV.GZ").write_bytes(gzip.compress(content))
    (arrival,) = Arrivals(landing).take(10)
    assert arrival.unpacked_bytes == len(content)


def test_new_folders_are_private_and_existing_ones_keep_their_mode(landing: Landing) -> None:
    incoming, admitted = Path(landing.incoming), Path(landing.admitted)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (incoming, admitted)} == {0o700}
    incoming.chmod(0o730)
    landing.make()
    landing.take_over(1)
    assert stat.S_IMODE(incoming.stat().st_mode) == 0o730
    assert stat.S_IMODE((admitted / "1").stat().st_mode) == 0o700


def test_a_rename_never_replaces_a_file(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("new")
    target.write_text("old")
    with pytest.raises(FileExistsError):
        rename_new(source, target)
    assert (source.read_text(), target.read_text()) == ("new", "old")
    target.unlink()
    rename_new(source, target)
    assert target.read_text() == "new"
    with pytest.raises(FileNotFoundError):
        rename_new(source, tmp_path / "other")


def test_a_newer_driver_takes_over_the_folder_of_an_older_one(landing: Landing) -> None:
    admitted = Path(landing.admitted)
    for epoch in (1, 2):
        (admitted / str(epoch)).mkdir()
        (admitted / str(epoch) / f"{epoch}.csv").write_text("admitted")
    # Earlier releases left the folder like this.
    (admitted / ".epoch-2").touch()
    (admitted / "3.csv.gz").write_text("admitted")
    (admitted / "notes").touch()
    assert landing.is_known()
    landing.take_over(5)
    assert {path.name for path in admitted.iterdir()} == {"5", "notes"}
    assert sorted(path.name for path in (admitted / "5").iterdir()) == ["1.csv", "2.csv", "3.csv.gz"]
    assert sorted(landing.admitted_ids(5)) == [1, 2, 3]
    # A late driver with an older epoch leaves the folder of the newer one alone.
    landing.take_over(4)
    landing.check_reached(5)
    assert sorted(landing.admitted_ids(5)) == [1, 2, 3]


def test_two_files_with_the_same_id_are_both_kept(landing: Landing) -> None:
    for epoch in (1, 2):
        folder = Path(landing.admitted) / str(epoch)
        folder.mkdir()
        (folder / "7.csv").write_text(str(epoch))
    landing.take_over(3)
    assert landing.admitted_path(3, 7, "a.csv").read_text() == "2"
    assert (Path(landing.incoming) / "1-7.csv").read_text() == "1"


def test_an_archived_file_replaces_no_other(landing: Landing) -> None:
    landing.take_over(1)
    finished_at = datetime(2026, 11, 23, 8, tzinfo=UTC)
    target = landing.final_path(7, "a.csv", finished_at, is_quarantined=False)
    target.parent.mkdir()
    target.write_text("earlier")
    landing.admitted_path(1, 7, "a.csv").write_text("later")
    landing.put_away(1, 7, "a.csv", finished_at, is_quarantined=False)
    assert target.read_text() == "earlier"
    assert sorted(path.read_text() for path in target.parent.iterdir()) == ["earlier", "later"]
    assert landing.admitted_ids(1) == []


def test_a_long_name_is_not_cut_within_a_character(landing: Landing) -> None:
    path = landing.final_path(7, "\u6ce8" * 67 + ".csv", datetime(2026, 11, 23, tzinfo=UTC), is_quarantined=True)
    path.name.encode()
    assert path.name.endswith("\u6ce8.csv")
    assert len(os.fsencode(path.name)) <= 255


def test_text_that_postgres_refuses_is_escaped() -> None:
    assert storable(os.fsdecode(b"caf\xe9.csv")) == "caf\\xe9.csv"
    assert storable("\ud800 and \0") == "\\ud800 and \\x00"
    assert storable("\u6ce8\u6587.csv") == "\u6ce8\u6587.csv"


@contextmanager
def another_user() -> Iterator[None]:
    """Drop the rights of the files' owner: the kernel then grants this process no lease on the files."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def shared() -> Iterator[Landing]:
    """Yield a landing folder that another user can reach, which pytest's own folders do not allow."""
    with temporary_home() as home:
        landing = Landing(*(str(home / name) for name in ("landing", "admitted", "archive", "quarantine")))
        landing.make()
        Path(landing.incoming).chmod(0o755)
        yield landing


@pytest.mark.parametrize("clock_ahead_seconds", [0, 5, -86_400])
def test_a_file_of_another_user_is_complete_once_quiet_by_our_clock(shared: Landing, clock_ahead_seconds: int) -> None:
    """The clock of a file server may differ from ours, so file times are compared only with each other."""
    path = Path(shared.incoming) / "slow.csv"
    path.write_text("half")
    os.utime(path, (time.time() + clock_ahead_seconds,) * 2)
    arrivals = Arrivals(shared)
    with another_user():
        began = time.monotonic()
        assert arrivals.take(10) == []
        # A drain waits for this file.
        assert has_arrivals(shared)
        wait_until(lambda: time.monotonic() - began > QUIET_SECONDS / 2, seconds=10, what="half the time")
    path.write_text("more than half")
    changed = time.monotonic()
    with another_user():
        wait_until(lambda: arrivals.take(10), seconds=10, what="the file to count as whole")
    assert time.monotonic() - changed >= QUIET_SECONDS


def test_an_old_file_of_another_user_is_watched_before_it_is_taken(shared: Landing) -> None:
    (Path(shared.incoming) / "old.csv").write_text("rows")
    arrivals = Arrivals(shared)
    wait_until(
        lambda: time.time() - (Path(shared.incoming) / "old.csv").stat().st_ctime > QUIET_SECONDS,
        seconds=10,
        what="the file to be old",
    )
    with another_user():
        assert arrivals.take(10) == []


def test_ignored_entries_are_reported_after_a_quiet_time(landing: Landing) -> None:
    incoming = Path(landing.incoming)
    for name in ("a.tsv", "b.csv.filepart", "_c.csv"):
        (incoming / name).write_text("rows")
    (incoming / "folder").mkdir()
    os.mkfifo(incoming / "pipe")
    (incoming / "link").symlink_to("/nowhere")
    (incoming / "fine.csv").write_text("rows")
    arrivals = Arrivals(landing, ignored_after_seconds=0.4)
    arrivals.take(10)
    assert arrivals.ignored().files == 0

    def has_reported(number: int) -> bool:
        (incoming / "b.csv.filepart").write_text(str(time.monotonic_ns()))
        arrivals.take(10)
        return arrivals.ignored().files == number

    # The upload that is still in progress is not among them.
    wait_until(lambda: has_reported(5), seconds=10, what="five quiet entries")
    ignored = arrivals.ignored()
    assert set(ignored.examples) == {"a.tsv", "_c.csv", "folder", "pipe", "link"}
    assert ignored.since is not None
    assert abs((datetime.now(UTC) - ignored.since).total_seconds()) < 60
    for name in ("a.tsv", "_c.csv", "pipe", "link"):
        (incoming / name).unlink()
    (incoming / "folder").rmdir()
    wait_until(lambda: has_reported(0), seconds=10, what="no ignored entries")


def test_ignored_entries_are_examined_only_periodically() -> None:
    entries = IgnoredEntries(after_seconds=600)
    assert entries.is_due()
    entries.look([])
    assert not entries.is_due()


def test_a_disk_without_inodes_is_short_of_space_despite_free_bytes(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "size=64m,nr_inodes=100") as disk:
        # 64 MiB are enough, but a limit of 0.05 GiB requires 100 free inodes, and the root folder takes one.
        message = shortage([disk], 0.05)
        assert message is not None
        assert "inodes are free at" in message
        assert "below the limit of 100 (2,000 for each GiB of SHOPSTREAM_PAUSE_BELOW_GIB)" in message
        assert shortage([disk], 0.04) is None
