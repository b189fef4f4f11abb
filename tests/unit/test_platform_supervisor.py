"""The configuration of supervisord."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from include.platform.programs import PROGRAMS
from include.platform.supervisor import Supervisor, configuration
from include.settings import Settings
from tests.support.postgres import temporary_home


def parse(settings: Settings, path: Path, monkeypatch: pytest.MonkeyPatch) -> ServerOptions:
    """Let supervisord itself read the configuration, where it is started."""
    monkeypatch.chdir(settings.log_dir)
    path.write_text(configuration(settings), encoding="utf-8")
    options = ServerOptions()
    options.realize(["-c", str(path)])
    return options


@pytest.fixture(params=["plain", "with space and 100%"])
def settings(request: pytest.FixtureRequest) -> Iterator[Settings]:
    """Settings of a home with an ordinary and with an awkward name, short enough for sockets below it."""
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
        assert shlex.split(config.command) == [sys.executable, "-m", "include.platform.launch", name]
        assert config.autorestart
        assert not config.autostart
        assert config.stdout_logfile == f"{name}.log"


def test_own_postgres_is_not_supervised(tmp_path: Path) -> None:
    assert "[program:postgres]" not in configuration(Settings(home=tmp_path, database_host="db.example"))


def test_supervisor_that_is_not_there_is_down(tmp_path: Path) -> None:
    supervisor = Supervisor(Settings(home=tmp_path))
    assert not supervisor.is_up
    assert supervisor.states() == {}
