"""``make load``: deliver a user's own files to the landing folder atomically, and report their balance."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from include.db import load_queries, transaction
from include.db.text import storable
from include.errors import PlatformError
from include.settings import Settings
from include.stream.intake.landing import SUFFIXES, is_delivery
from include.stream.intake.rename import rename_new
from include.stream.supervision.status import stream_status

_SQL = load_queries("platform")


@dataclass(frozen=True)
class Reason:
    """A reason why rows of a file were rejected, with their number and an example value."""

    code: str
    rows: int
    example: str | None


@dataclass(frozen=True)
class Delivered:
    """The result of delivering a file; counts are rows."""

    name: str
    file_id: int
    state: str
    read: int
    accepted: int
    duplicate: int
    rejected: int
    fault: str | None
    fault_detail: str | None
    reasons: list[Reason]


def load_files(settings: Settings, paths: Sequence[Path], *, timeout_seconds: float = 600.0) -> list[Delivered]:
    """Deliver files and wait until each is archived or quarantined.

    Raises
    ------
    PlatformError
        When a file cannot be delivered, or the stream does not finish them in time.
    """
    _check(settings, paths)
    dsn = settings.dsn("owner")
    if not stream_status(dsn).is_alive:
        raise PlatformError("the stream is not running; nothing was delivered", "Start it with `make up`")
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["newest_file"])
        (newest,) = cursor.fetchone()
    for path in paths:
        deliver(settings.landing_dir, path)
    names = [storable(path.name) for path in paths]
    deadline = time.monotonic() + timeout_seconds
    while True:
        delivered = _look(dsn, newest, names)
        if len(delivered) == len(names) and all(one.state != "admitted" for one in delivered):
            return delivered
        if time.monotonic() > deadline:
            raise PlatformError(
                f"{len(names)} files were delivered, but not all are loaded after {timeout_seconds:.0f} s",
                "The stream still loads them; watch it with `make status`",
            )
        time.sleep(0.2)


def deliver(landing: Path, path: Path) -> None:
    """Copy a file into the landing folder under a hidden name, then rename it.

    Raises
    ------
    PlatformError
        When a file of that name has arrived there meanwhile; it is not replaced.
    """
    # Do not derive the hidden name from the file's name, which may already have the maximum length.
    hidden = landing / f".load-{os.getpid()}"
    try:
        shutil.copyfile(path, hidden)
        rename_new(hidden, landing / path.name)
    except FileExistsError as error:
        raise PlatformError(
            f"{path.name} was not delivered: a file of that name waits in {landing}",
            "Load it after that file has been admitted, or under another name",
        ) from error
    finally:
        hidden.unlink(missing_ok=True)


def _check(settings: Settings, paths: Sequence[Path]) -> None:
    faults = []
    for path in paths:
        if not path.is_file():
            faults.append(f"{path} is not a file")
        elif not is_delivery(path.name):
            faults.append(f"{path.name} is not named *{' or *'.join(SUFFIXES)}, or begins with . or _")
        elif (settings.landing_dir / path.name).exists():
            faults.append(f"a file named {path.name} already waits in {settings.landing_dir}")
    if len({path.name for path in paths}) < len(paths):
        faults.append("two of the files have the same name")
    if faults:
        raise PlatformError("nothing was delivered:\n  - " + "\n  - ".join(faults))


def _look(dsn: str, after: int, names: Sequence[str]) -> list[Delivered]:
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["delivered_files"], {"after": after, "names": list(names)})
        columns = [column.name for column in cursor.description]
        rows = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
        for row in rows:
            cursor.execute(_SQL["reject_reasons"], {"file_id": row["file_id"]})
            row["reasons"] = [Reason(*found) for found in cursor.fetchall()]
    return [Delivered(**row) for row in rows]
