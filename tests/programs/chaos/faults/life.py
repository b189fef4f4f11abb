"""Faults in the life of an instance: a crash of the machine, a stop during a burst, an upgrade under load."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from include.db.migrate import MIGRATIONS_DIR, migrate, read_migrations
from tests.programs.chaos.faults.base import Fault, Scene
from tests.programs.chaos.faults.checkpoint import checkpoint_files
from tests.programs.chaos.instance import are_dead, kill
from tests.programs.chaos.waiting import wait_for

_NEWEST_FILES = 6
_COLUMNS = (("events", "chaos_note"), ("files", "chaos_note"))


def _machine_crash(scene: Scene) -> float:
    instance = scene.instance
    since = time.time()
    killed = 0
    # Repeat until nothing is left, since a process may have been starting when the others were killed.
    while processes := instance.everything():
        killed += len(kill(processes))
        wait_for(partial(are_dead, processes), seconds=20, what="everything to be dead")
    # A crash loses data that was not flushed to disk.
    newest = checkpoint_files(instance.settings.checkpoint_dir)[:_NEWEST_FILES]
    for path in newest:
        path.write_bytes(b"")
    scene.note(f"kill -9 of {killed} processes, {len(newest)} checkpoint files emptied")
    instance.platform.up()
    return since


def _down_and_up(scene: Scene) -> float:
    platform = scene.instance.platform
    platform.succeed("include.platform", "down")
    since = time.time()
    platform.up()
    return since


def _upgrade(scene: Scene) -> float:
    """Apply a migration that changes the tables of the stream, as a next version would."""
    instance = scene.instance
    number = len(read_migrations()) + 1
    name = f"{number:04d}_chaos.sql"
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch) / "migrations"
        shutil.copytree(MIGRATIONS_DIR, directory)
        statements = [f"ALTER TABLE shop.{table} ADD COLUMN {column} text;" for table, column in _COLUMNS]
        (directory / name).write_text("\n".join(statements) + "\n", encoding="utf-8")
        since = time.time()
        applied = migrate(instance.settings.dsn("owner"), directory)
    scene.note(f"{', '.join(applied)} applied in {time.time() - since:.1f} s")
    try:
        wait_for(lambda: instance.first_commit_after(since), seconds=60, what="events after the migration")
    finally:
        # This checkout does not know the migration, so `make up` would refuse the database.
        for table, column in _COLUMNS:
            instance.execute(f"ALTER TABLE shop.{table} DROP COLUMN {column}")
        instance.execute("DELETE FROM public.schema_migrations WHERE number = %(number)s", number=number)
    return since


def life_faults() -> Iterator[Fault]:
    """Return the faults: crash, stop, upgrade."""
    yield Fault(
        "machine_crash",
        "machine crash: kill -9 of everything, newest checkpoint files emptied, `make up`",
        _machine_crash,
        with_airflow=True,
        timeout_seconds=180,
        weight=0.2,
    )
    yield Fault(
        "down_and_up",
        "`make down` in the middle of a burst, `make up`",
        _down_and_up,
        with_airflow=True,
        timeout_seconds=180,
        weight=0.2,
    )
    yield Fault("upgrade", "an upgrade adds a migration under load", _upgrade)
