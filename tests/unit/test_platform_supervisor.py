"""Tests of the configuration of supervisord."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from include.errors import PlatformError
from include.platform.programs.catalog import PROGRAMS
from include.platform.programs.supervisor import Supervisor, _stored_settings, configuration
from include.settings import REPOSITORY, Settings
from tests.support.postgres import temporary_home


def parse(settings: Settings, path: Path, monkeypatch: pytest.MonkeyPatch) -> ServerOptions:
    """Parse the configuration with supervisord's own parser, in the directory where supervisord is started."""
    monkeypatch.chdir(settings.log_dir)
    path.write_text(configuration(settings), encoding="utf-8")
    options = ServerOptions()
    options.realize(["-c", str(path)])
    return options


@pytest.fixture(params=["plain", "with space and 100%"])
def settings(request: pytest.FixtureRequest) -> Iterator[Settings]:
    """Yield settings of a home with an ordinary or an awkward name, short enough for the sockets below it."""
    with temporary_home() as directory:
        home = directory / request.param
        (home / "logs").mkdir(parents=True)
        (home / "run").mkdir()
        yield Settings(home=home, port=9000)


def test_supervisord_reads_every_program(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = parse(settings, tmp_path / "supervisord.conf", monkeypatch)
    assert Path(options.directory) == settings.log_dir
    assert Path(options.pidfile) == settings.socket_dir / "supervisord.pid"
    programs = {config.name: config for group in options.process_group_configs for config in group.process_configs}
    assert set(programs) == set(PROGRAMS)
    for name, config in programs.items():
        assert shlex.split(config.command) == [sys.executable, "-m", "include.platform.programs.launch", name]
        assert config.autorestart
        assert not config.autostart
        assert config.stdout_logfile == f"{name}.log"


def test_an_external_postgres_is_not_supervised(tmp_path: Path) -> None:
    assert "[program:postgres]" not in configuration(Settings(home=tmp_path, database_host="db.example"))


def test_settings_of_another_version_do_not_prevent_a_stop(tmp_path: Path) -> None:
    stored = {
        "SHOPSTREAM_HOME": "/elsewhere",
        "SHOPSTREAM_OLD_KNOB": "1",
        "SHOPSTREAM_PORT": "9000",
        "SHOPSTREAM_TRIGGER_SECONDS": "not a number any more",
    }
    settings = _stored_settings(stored, Settings(home=tmp_path))
    assert settings.root == tmp_path
    assert settings.port == 9000
    assert settings.trigger_seconds == Settings(home=tmp_path).trigger_seconds


def test_a_program_unknown_to_the_running_supervisor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="another version, which does not know metrics"):
        Supervisor(Settings(home=tmp_path)).start_programs(["metrics"])


def test_programs_write_files_for_their_user_only(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert parse(settings, tmp_path / "supervisord.conf", monkeypatch).umask == 0o077


def test_postgres_has_the_time_to_write_a_checkpoint() -> None:
    assert PROGRAMS["postgres"].stop_seconds >= 60


def test_the_output_of_an_ended_driver_is_kept_as_long_as_other_logs(tmp_path: Path) -> None:
    command = PROGRAMS["spark-worker"].command(Settings(home=tmp_path, retention_days=2))
    assert "-Dspark.worker.cleanup.appDataTtl=172800" in command


@pytest.mark.parametrize("directory", ["/tmp", "/var/tmp"])
def test_sockets_are_found_from_a_shell_with_another_tmpdir(directory: str) -> None:
    code = "from include.settings import Settings; print(Settings(home='/' + 'long/' * 30).socket_dir)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env={"TMPDIR": directory},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()).parent == Path("/tmp")


def test_a_missing_supervisor_is_down(tmp_path: Path) -> None:
    supervisor = Supervisor(Settings(home=tmp_path))
    assert not supervisor.is_up
    assert supervisor.states() == {}
