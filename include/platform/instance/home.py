"""Manage the state directory, which holds everything that an instance stores.

A marker file shows that Shopstream created the directory. It is written only into a new or empty directory, which
keeps a mistaken ``SHOPSTREAM_HOME`` from filling or deleting one of the user's directories.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from include.errors import PlatformError
from include.settings import PREFIX, Settings

_MARKER = ".shopstream-instance"
_LOCK = "lifecycle.lock"
# File systems have this directory at their root; it holds no user data.
_OF_THE_FILE_SYSTEM = frozenset({"lost+found"})
# These can belong to PostgreSQL's system user. PostgreSQL sets their modes itself.
_OF_POSTGRES = frozenset({"postgres", "postgres.partial", "run"})


def claim_home(settings: Settings, *, passable: bool = False) -> None:
    """Create or check the state directory, mark it, and close it to other users.

    The directory of a version without markers gets one, if it holds nothing but Shopstream's files.

    Parameters
    ----------
    settings:
        Settings of the instance.
    passable:
        Whether other users may traverse the directory, without listing it. PostgreSQL needs that when the platform
        runs as root, because it then runs as another user.

    Raises
    ------
    PlatformError
        When the directory holds files that are not Shopstream's, belongs to another user, or cannot be written.
    """
    root = settings.root
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if root.stat().st_uid != os.geteuid():
            raise PlatformError(
                f"{root} belongs to another user", f"Set {PREFIX}HOME to a directory of your own, or run as that user"
            )
        if not (root / _MARKER).exists():
            if foreign := _foreign(settings):
                raise PlatformError(
                    f"{root} was not created by Shopstream: it holds {_listed(foreign)}",
                    f"Set {PREFIX}HOME to a new or empty directory, or move the foreign files away",
                )
            with (root / _MARKER).open("w", encoding="utf-8") as file:
                file.write(f"{uuid.uuid4()}\n")
        root.chmod(0o711 if passable else 0o700)
        for child in root.iterdir():
            found = child.lstat()
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and child.name not in _OF_POSTGRES:
                child.chmod(0o700)
    except OSError as error:
        raise PlatformError(
            f"{error.filename or root} cannot be used as a state directory: {error.strerror}",
            f"Set {PREFIX}HOME to a directory that you may write to",
        ) from error


def is_instance(settings: Settings) -> bool:
    """Return whether Shopstream created the state directory; False for an empty one."""
    root = settings.root
    return (root / _MARKER).exists() or (root.is_dir() and any(root.iterdir()) and not _foreign(settings))


def has_lock(settings: Settings) -> bool:
    """Return whether a lifecycle command has ever run on the directory."""
    return (settings.root / _LOCK).exists()


def delete_home(settings: Settings) -> list[str]:
    """Delete Shopstream's files in the directory, and the directory itself if that leaves it empty.

    Returns
    -------
    list of str
        The names that are left because they are not Shopstream's.
    """
    root = settings.root
    # Delete the lock and the marker last. An interrupted deletion can then be resumed.
    for name in sorted(_ours(settings), key=lambda name: name in {_MARKER, _LOCK}):
        path = root / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    left = sorted(path.name for path in root.iterdir())
    if not left:
        with contextlib.suppress(OSError):
            root.rmdir()
    return left


def _ours(settings: Settings) -> set[str]:
    """Return the names of everything that Shopstream creates in the state directory."""
    directories = (
        settings.log_dir,
        settings.landing_dir,
        settings.admitted_dir,
        settings.archive_dir,
        settings.quarantine_dir,
        settings.manifest_dir,
        settings.checkpoint_dir,
        settings.secrets_dir,
    )
    names = {path.name for path in directories if path.parent == settings.root}
    files = {
        _MARKER,
        _LOCK,
        "lifecycle.json",
        "lifecycle.partial",
        "supervisord.conf",
        "watchdog.heartbeat",
        "broken.json",
        "alert-channels.json",
        "outage.json",
    }
    # Earlier versions wrote data-docs.
    return names | files | _OF_POSTGRES | {"spark", "airflow", "java", "data-docs"}


def _foreign(settings: Settings) -> list[str]:
    names = {path.name for path in settings.root.iterdir()}
    return sorted(names - _ours(settings) - _OF_THE_FILE_SYSTEM)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def make_directories(settings: Settings) -> None:
    """Create the directories that the processes expect; the one with the secrets is closed to other users."""
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
    """Hold the lock that lets only one lifecycle command at a time act on an instance.

    Raises
    ------
    PlatformError
        When another command holds the lock.
    """
    with (settings.root / _LOCK).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise PlatformError(
                f"another command works on {settings.root}: {file.read().strip() or 'unknown'}",
                "Wait until it has finished",
            ) from error
        # On a full disk skip the note about the holder. The lock works without it.
        with contextlib.suppress(OSError):
            os.ftruncate(file.fileno(), 0)
            os.write(file.fileno(), f"{purpose}, pid {os.getpid()}".encode())
        yield


@dataclass
class Memory:
    """State that one lifecycle command leaves for the next, stored in ``lifecycle.json``.

    Attributes
    ----------
    introduced:
        DAGs that ``make up`` has unpaused once. If one of them is paused now, a user paused it.
    paused_by_down:
        DAGs that ``make down`` paused and ``make up`` should unpause.
    bootstrapped:
        Fingerprint of the versions and settings that Airflow's metadata database was prepared for.
    settings:
        The ``SHOPSTREAM_`` variables of the running processes.
    """

    introduced: list[str] = field(default_factory=list)
    paused_by_down: list[str] = field(default_factory=list)
    bootstrapped: str = ""
    settings: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, settings: Settings) -> Memory:
        """Read the file; return an empty memory when it is missing or malformed.

        Another version may have written it, or a power cut may have emptied it. `make down` must work nevertheless.
        """
        try:
            kept: Any = json.loads(_memory_path(settings).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return cls()
        defaults = vars(cls())
        known = {one.name for one in fields(cls)}
        given = kept.items() if isinstance(kept, dict) else ()
        return cls(**{name: value for name, value in given if name in known and type(value) is type(defaults[name])})

    def save(self, settings: Settings) -> None:
        """Write the file atomically."""
        path = _memory_path(settings)
        partial = path.with_suffix(".partial")
        with partial.open("w", encoding="utf-8") as file:
            file.write(json.dumps(vars(self), indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)


def _memory_path(settings: Settings) -> Path:
    return settings.root / "lifecycle.json"
