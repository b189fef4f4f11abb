"""The state directory: everything that an instance keeps lies below it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from include.errors import PlatformError
from include.settings import Settings


def make_directories(settings: Settings) -> None:
    """Make the directories that the processes expect; those with secrets are closed to everybody else."""
    settings.root.mkdir(parents=True, exist_ok=True)
    settings.secrets_dir.mkdir(mode=0o700, exist_ok=True)
    for directory in (
        settings.log_dir,
        settings.landing_dir,
        settings.admitted_dir,
        settings.archive_dir,
        settings.quarantine_dir,
        settings.manifest_dir,
        settings.checkpoint_dir,
        settings.root / "spark" / "work",
        settings.root / "airflow",
    ):
        directory.mkdir(parents=True, exist_ok=True)


@contextmanager
def exclusive(settings: Settings, purpose: str) -> Iterator[None]:
    """Let one lifecycle command at a time act on an instance.

    Raises
    ------
    PlatformError
        When another one is under way.
    """
    settings.root.mkdir(parents=True, exist_ok=True)
    with (settings.root / "lifecycle.lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise PlatformError(
                f"another command works on {settings.root}: {file.read().strip() or 'unknown'}",
                "Wait until it has ended",
            ) from error
        file.truncate(0)
        file.write(f"{purpose}, pid {os.getpid()}")
        file.flush()
        yield


@dataclass
class Memory:
    """What one lifecycle command leaves for the next, kept in ``lifecycle.json``.

    Attributes
    ----------
    introduced:
        DAGs that were unpaused once; if they are paused now, a person did that.
    paused_by_down:
        DAGs that ``make down`` paused and ``make up`` is to unpause.
    bootstrapped:
        Fingerprint of what Airflow's metadata database was prepared for.
    settings:
        The ``SHOPSTREAM_`` variables of the running processes.
    """

    introduced: list[str] = field(default_factory=list)
    paused_by_down: list[str] = field(default_factory=list)
    bootstrapped: str = ""
    settings: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, settings: Settings) -> Memory:
        """Read it; empty when there is none."""
        try:
            kept: dict[str, Any] = json.loads(_memory_path(settings).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls()
        return cls(**kept)

    def save(self, settings: Settings) -> None:
        """Write it, whole or not at all."""
        path = _memory_path(settings)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(vars(self), indent=2) + "\n", encoding="utf-8")
        partial.replace(path)


def _memory_path(settings: Settings) -> Path:
    return settings.root / "lifecycle.json"
