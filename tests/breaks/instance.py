"""Damage to a running instance, and its repair."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from psycopg2 import sql

from include.db import transaction
from include.db.queries import parse_queries
from include.errors import PlatformError
from include.platform.load import load_files
from include.platform.supervisor import Supervisor
from include.settings import Settings
from tests.breaks.feeds import as_csv, broken
from tests.breaks.kinds import KINDS, STALE_VIEW

ENOUGH_EVENTS = 1000
_ROWS_PER_FILE = 100_000
_SQL = parse_queries(Path(__file__).with_name("breaks.sql"))

Deliver = Callable[[Settings, Sequence[Path]], Any]


class Breakage:
    """What is broken in an instance is on record in a file of its home until it is repaired.

    Parameters
    ----------
    settings:
        The instance.
    deliver:
        Brings files into the database and returns when they are loaded.
    """

    def __init__(self, settings: Settings, deliver: Deliver = load_files) -> None:
        self._settings = settings
        self._deliver = deliver
        self._owner = settings.dsn("owner")
        self._record = settings.root / "broken.json"

    def refuse_what_is_not_a_playground(self) -> None:
        """Only an instance below its home, with the embedded PostgreSQL, that was fed by the generator alone.

        Raises
        ------
        PlatformError
            When it is anything else, or is broken already.
        """
        if self._settings.database_host is not None:
            raise PlatformError(
                f"the database is at {self._settings.database_host}, not below {self._settings.root}",
                "Only an instance with its own PostgreSQL is broken on purpose; unset SHOPSTREAM_DATABASE_HOST",
            )
        if not Supervisor(self._settings).is_up:
            raise PlatformError(f"no platform runs at {self._settings.root}", "Start one with `make up`")
        self.refuse_data_of_others()

    def refuse_data_of_others(self) -> None:
        """As far as the database tells.

        Raises
        ------
        PlatformError
            As said above.
        """
        if self._record.exists():
            kind = self._kept()["kind"]
            raise PlatformError(f"this instance is broken already ({kind})", "Mend it first: make break KIND=repair")
        foreign = [name for (name,) in self._query("foreign_files")]
        if foreign:
            raise PlatformError(
                f"this instance holds files that the generator did not make: {', '.join(foreign)}",
                "Nothing was broken; use an instance without data of your own (SHOPSTREAM_HOME=/tmp/other make up)",
            )
        if self._query("has_retired")[0][0]:
            raise PlatformError(
                "retention has removed events of this instance, so that a repair could not make the facts anew",
                "Use a younger instance",
            )

    def damage(self, kind: str) -> None:
        """Break it.

        Raises
        ------
        PlatformError
            When there is too little to compare with, or the events cannot be delivered.
        """
        if kind == "stale-view":
            (last,) = self._query("last_refresh", view_name=STALE_VIEW)[0]
            self._keep(kind, last_refresh_id=last)
            self._run("make_stale", view_name=STALE_VIEW)
            return
        before = self._query("events_before")[0][0]
        if before < ENOUGH_EVENTS:
            raise PlatformError(
                f"only {before} events are older than ten minutes, too few to compare with", "Wait a while, try again"
            )
        per_minute = float(self._query("per_minute")[0][0])
        rows = broken(kind, datetime.now(UTC), per_minute)
        with tempfile.TemporaryDirectory() as directory:
            paths: list[Path] = []
            while chunk := list(islice(rows, _ROWS_PER_FILE)):
                path = Path(directory) / f"break-{kind}-{int(time.time())}-{len(paths):04d}.csv"
                path.write_text(as_csv(chunk), encoding="utf-8")
                paths.append(path)
            # Before they are delivered: whatever happens then can be undone.
            self._keep(kind, names=[path.name for path in paths])
            self._deliver(self._settings, paths)

    def repair(self) -> str:
        """Take the damage back; returns its kind.

        Raises
        ------
        PlatformError
            When nothing is broken.
        """
        if not self._record.exists():
            raise PlatformError(f"nothing is broken at {self._settings.root}", f"Choose from {', '.join(KINDS)}")
        kept = self._kept()
        if kept["kind"] == "stale-view":
            self._run("make_fresh", view_name=STALE_VIEW, last_refresh_id=kept["last_refresh_id"])
        else:
            self._withdraw(kept["names"])
        self._record.unlink()
        return str(kept["kind"])

    def _withdraw(self, names: list[str]) -> None:
        with transaction(self._owner) as cursor:
            cursor.execute(_SQL["lock"])
            cursor.execute(_SQL["withdrawn"], {"names": names})
            for statement in (
                "withdraw_rollups",
                "withdraw_events",
                "withdraw_from_batches",
                "withdraw_files",
                "delete_empty_batches",
                "forget_facts",
            ):
                cursor.execute(_SQL[statement])

    def _keep(self, kind: str, **values: Any) -> None:
        self._record.write_text(json.dumps({"kind": kind, **values}), encoding="utf-8")

    def _kept(self) -> dict[str, Any]:
        kept: dict[str, Any] = json.loads(self._record.read_text(encoding="utf-8"))
        return kept

    def _query(self, name: str, **values: Any) -> list[tuple[Any, ...]]:
        with transaction(self._owner) as cursor:
            cursor.execute(_SQL[name], values)
            return list(cursor.fetchall())

    def _run(self, name: str, **values: Any) -> None:
        candidate = sql.Identifier("shop_next", STALE_VIEW)
        with transaction(self._owner) as cursor:
            cursor.execute(sql.SQL(_SQL[name]).format(candidate=candidate), values)
