"""``make load``: a user's own files enter the landing folder whole, and their balance is shown."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from include.db import load_queries, transaction
from include.errors import PlatformError
from include.settings import Settings
from include.stream.landing import HIDDEN, SUFFIXES
from include.stream.status import stream_status

_SQL = load_queries("platform")


@dataclass(frozen=True)
class Delivered:
    """What became of a file; counts are rows."""

    name: str
    file_id: int
    state: str
    read: int
    accepted: int
    duplicate: int
    rejected: int
    fault: str | None
    fault_detail: str | None
    reasons: dict[str, int]


def load_files(settings: Settings, paths: Sequence[Path], *, timeout_seconds: float = 600.0) -> list[Delivered]:
    """Deliver files and wait until each is settled.

    Raises
    ------
    PlatformError
        When a file cannot be delivered, or the stream does not settle them in time.
    """
    _check(settings, paths)
    dsn = settings.dsn("owner")
    if not stream_status(dsn).is_alive:
        raise PlatformError("the stream is not running, nothing was delivered", "Start it with `make up`")
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["newest_file"])
        (newest,) = cursor.fetchone()
    for path in paths:
        deliver(settings.landing_dir, path)
    names = [path.name for path in paths]
    deadline = time.monotonic() + timeout_seconds
    while True:
        delivered = _look(dsn, newest, names)
        if len(delivered) == len(names) and all(one.state != "admitted" for one in delivered):
            return delivered
        if time.monotonic() > deadline:
            raise PlatformError(
                f"{len(names)} files were delivered, but are not settled after {timeout_seconds:.0f} s",
                "They will be; look at the stream with `make status`",
            )
        time.sleep(0.2)


def deliver(landing: Path, path: Path) -> None:
    """Copy a file into the landing folder under a hidden name, then rename it."""
    hidden = landing / f".{path.name}.{os.getpid()}"
    try:
        shutil.copyfile(path, hidden)
        hidden.rename(landing / path.name)
    finally:
        hidden.unlink(missing_ok=True)


def _check(settings: Settings, paths: Sequence[Path]) -> None:
    faults = []
    for path in paths:
        if not path.is_file():
            faults.append(f"{path} is not a file")
        elif not path.name.endswith(SUFFIXES) or path.name.startswith(HIDDEN):
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
            row["reasons"] = dict(cursor.fetchall())
    return [Delivered(**row) for row in rows]
