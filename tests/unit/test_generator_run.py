"""Tests of delivery: files appear whole, after their manifests and on time, and no stop leaves half a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from include.errors import ShopstreamError
from include.generator.files import generate_files
from include.generator.run import generate
from include.manifest import Manifest, ManifestError, manifest_path, read_manifest, to_json
from include.settings import REPOSITORY
from tests.support.generated import content, make_options, read_rows

DEADLINE_SECONDS = 60.0


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    return tmp_path / "landing"


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    return tmp_path / "manifests"


def test_delivers_files_and_manifests(landing: Path, manifests: Path) -> None:
    seen: list[Manifest] = []
    totals = generate(make_options(), landing, manifests, seen.append)
    made = list(generate_files(make_options()))
    assert [(landing / file.manifest.file).read_bytes() for file in made] == [content(file) for file in made]
    assert [manifest_path(manifests, file.manifest.file).read_bytes() for file in made] == [
        to_json(file.manifest) for file in made
    ]
    assert seen == [file.manifest for file in made]
    assert len(list(landing.iterdir())) == len(list(manifests.iterdir())) == totals.files == 12
    assert totals.rows == 6000 == totals.valid + totals.bad + totals.duplicates
    assert totals.late == sum(manifest.late for manifest in seen)


@contextmanager
def audited() -> Iterator[list[tuple[str, str]]]:
    """Record the files that this process opens for writing or renames, from the interpreter's audit events."""
    seen: list[tuple[str, str]] = []
    is_on = True

    def hook(event: str, arguments: tuple) -> None:
        if not is_on:
            return
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
            seen.append(("write", str(arguments[0])))
        elif event == "os.rename":
            seen.append(("rename", str(arguments[1])))

    sys.addaudithook(hook)  # An audit hook cannot be removed, so it is switched off below.
    try:
        yield seen
    finally:
        is_on = False


def test_a_file_appears_whole_and_after_its_manifest(landing: Path, manifests: Path) -> None:
    with audited() as actions:
        generate(make_options(), landing, manifests)
    written = [Path(path).name for action, path in actions if action == "write" and Path(path).parent == landing]
    renamed = [Path(path).name for action, path in actions if action == "rename"]
    files = sorted(path.name for path in landing.iterdir())
    assert len(written) == 12
    assert all(name.startswith(".") for name in written), "nothing is written under a name that the stream would read"
    assert renamed == [name for file in files for name in (f"{file}.json", file)]


def test_delivering_again_gives_the_same_bytes(landing: Path, manifests: Path) -> None:
    generate(make_options(), landing, manifests)
    before = {path.name: path.read_bytes() for path in landing.iterdir()}
    generate(make_options(), landing, manifests)
    assert {path.name: path.read_bytes() for path in landing.iterdir()} == before


def test_another_run_of_the_same_name_is_refused(landing: Path, manifests: Path) -> None:
    generate(make_options(), landing, manifests)
    with pytest.raises(ManifestError, match="Choose another seed or start"):
        generate(make_options(bad_share=0.2), landing, manifests)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, manifests: Path) -> None:
    (tmp_path / "landing").write_text("in the way")
    with pytest.raises(ShopstreamError, match=r"landing cannot be written.*Make room"):
        generate(make_options(), tmp_path / "landing", manifests)


def test_a_paced_file_appears_at_the_end_of_its_window(landing: Path, manifests: Path) -> None:
    start = datetime.now(UTC)
    appeared: list[float] = []
    options = make_options(start=start, events_per_second=200, rows_per_file=40, duration_seconds=1.5, is_paced=True)
    totals = generate(options, landing, manifests, lambda _: appeared.append(time.time()))
    due = [options.start_ms / 1000 + 0.2 * number for number in range(1, 8)] + [options.start_ms / 1000 + 1.5]
    assert len(appeared) == 8
    assert all(there >= when for there, when in zip(appeared, due, strict=True)), "the future is not delivered"
    assert totals.rows == 300
    assert totals.behind_seconds < 1


def test_a_paced_run_that_is_behind_catches_up(landing: Path, manifests: Path) -> None:
    options = make_options(start=datetime.now(UTC) - timedelta(hours=1), is_paced=True)
    totals = generate(options, landing, manifests)
    assert totals.rows == 6000
    assert totals.elapsed_seconds < 60, "five minutes of traffic are not waited for"
    assert totals.behind_seconds > 3000


def test_generation_stops_between_files_on_request(landing: Path, manifests: Path) -> None:
    totals = generate(make_options(), landing, manifests, stop=lambda: len(list(landing.glob("*.csv"))) == 3)
    assert totals.files == 3
    assert len(list(landing.iterdir())) == len(list(manifests.iterdir())) == 3


def test_generation_stops_while_it_waits(landing: Path, manifests: Path) -> None:
    options = make_options(start=datetime.now(UTC), duration_seconds=None, rows_per_file=100_000, is_paced=True)
    asked: list[float] = []

    def stop() -> bool:
        asked.append(time.monotonic())
        return len(asked) == 3

    assert generate(options, landing, manifests, stop=stop).files == 0
    assert asked[-1] - asked[0] < 5
    assert list(landing.iterdir()) == list(manifests.iterdir()) == []


# The command line ----------------------------------------------------------------------------------------------------


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Yield a function that starts the command line in a process; kill the processes that still run at the end."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("SHOPSTREAM_")}
        process = subprocess.Popen(
            [sys.executable, "-m", "include.generator", *arguments],
            cwd=REPOSITORY,
            env={**environ, "SHOPSTREAM_HOME": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def wait_for_files(landing: Path, count: int) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while len(list(landing.glob("events-*.csv"))) < count:
        assert time.monotonic() < deadline, f"fewer than {count} files after {DEADLINE_SECONDS} s"
        time.sleep(0.01)


def check_whole(landing: Path, manifest_dir: Path) -> None:
    for path in landing.glob("events-*.csv"):
        assert len(read_rows(path.read_bytes())) == read_manifest(manifest_path(manifest_dir, path.name)).rows


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_command_cleanly(
    command: Callable[..., subprocess.Popen[str]], tmp_path: Path, number: signal.Signals
) -> None:
    process = command("--rate", "500", "--rows-per-file", "20")
    wait_for_files(tmp_path / "landing", 3)
    process.send_signal(number)
    output, errors = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 0, errors
    files = list((tmp_path / "landing").iterdir())
    assert output.startswith(f"stopped after {len(files)} files, {20 * len(files)} rows")
    assert not [path for path in files if path.name.startswith(".")]
    assert len(list((tmp_path / "landing-manifests").iterdir())) == len(files)
    check_whole(tmp_path / "landing", tmp_path / "landing-manifests")


def test_a_kill_leaves_no_half_file(command: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    process = command("--no-pace", "--rate", "1000", "--duration", "86400", "--rows-per-file", "20000")
    wait_for_files(tmp_path / "landing", 4)
    process.kill()
    process.communicate()
    check_whole(tmp_path / "landing", tmp_path / "landing-manifests")


def test_the_command_applies_its_options(command: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    arguments = ["--no-pace", "--rate", "20", "--duration", "300", "--rows-per-file", "500", "--seed", "7"]
    arguments += ["--start", "2026-03-04T17:30:00Z"]
    arguments += ["--bad-share", "0.05", "--duplicate-share", "0.05", "--late-share", "0.05"]
    process = command(*arguments)
    output, errors = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 0, errors
    assert output.startswith("12 files, 6000 rows")
    for file in generate_files(make_options()):
        assert (tmp_path / "landing" / file.manifest.file).read_bytes() == content(file)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--no-pace", "--rate", "-3"], "2 options of the generator cannot be used"),
        (["--rate", "nan"], "nan is not a finite number"),
        (["--start", "yesterday"], "yesterday is not an ISO 8601 time such as"),
    ],
)
def test_the_command_refuses_wrong_options(
    command: Callable[..., subprocess.Popen[str]], arguments: list[str], message: str
) -> None:
    process = command(*arguments)
    _, errors = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode != 0
    assert message in errors
    assert "Traceback" not in errors
