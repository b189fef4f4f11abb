"""Damage a running instance, and repair it."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from psycopg2 import sql

from include.db import transaction
from include.db.queries import parse_queries
from include.errors import PlatformError
from include.platform.commands.load import load_files
from include.platform.programs.supervisor import Supervisor
from include.quality.suites import SUITES_DIR
from include.retraction import Selection, retract
from include.settings import Settings
from tests.programs.breaks.feeds import ROWS, Row, as_csv, broken, ordinary
from tests.programs.breaks.kinds import KINDS, MENDED_DRIFT, MID_REFRESH, RENAMED_SUITE, STALE_VIEW

ENOUGH_EVENTS = 1000
_ROWS_PER_FILE = 100_000
_RENAMED = "events"
_REFRESH_WITHIN_SECONDS = 420.0
_LOOK_EVERY_SECONDS = 0.1
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
    suites:
        The directory of the suites.
    """

    def __init__(self, settings: Settings, deliver: Deliver = load_files, suites: Path = SUITES_DIR) -> None:
        self._settings = settings
        self._deliver = deliver
        self._suites = suites
        self._owner = settings.dsn("owner")
        self._record = settings.root / "broken.json"

    def refuse_what_is_not_a_playground(self) -> None:
        """Allow only an instance with the embedded PostgreSQL below its home, fed by the generator alone.

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
        """Refuse a database that has data of others, as far as it can tell.

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
            When there is too little to compare with, the events cannot be delivered, or no refresh runs in which they
            could be.
        """
        if kind == "stale-view":
            (last,) = self._query("last_refresh", view_name=STALE_VIEW)[0]
            self._keep(kind, last_refresh_id=last)
            self._run("make_stale", view_name=STALE_VIEW)
            return
        if kind == RENAMED_SUITE:
            self._keep(kind, suite=_RENAMED)
            (self._suites / f"{_RENAMED}.yml").rename(self._suites / f"{_RENAMED}.yaml")
            return
        before = self._query("events_before")[0][0]
        if before < ENOUGH_EVENTS:
            raise PlatformError(
                f"only {before} events are older than ten minutes, too few to compare with", "Wait a while, try again"
            )
        per_minute = float(self._query("per_minute")[0][0])
        now = datetime.now(UTC)
        with tempfile.TemporaryDirectory() as directory:
            paths = self._files(Path(directory), kind, broken(kind, now, per_minute))
            mended = []
            if kind == MENDED_DRIFT:
                good = ordinary(now - timedelta(minutes=3), ROWS, timedelta(minutes=1))
                mended = self._files(Path(directory), kind, good, first=len(paths))
            # Record the damage before the delivery, so that it can be undone in any case.
            ((newest, _),) = self._query("last_candidates")
            self._keep(kind, names=[path.name for path in [*paths, *mended]])
            if kind == MID_REFRESH:
                self._wait_for_candidates(newest)
            self._deliver(self._settings, paths)
            if mended:
                self._deliver(self._settings, mended)

    def _files(self, directory: Path, kind: str, rows: Iterator[Row], first: int = 0) -> list[Path]:
        """Write events into files of the contract; ``first`` is the number of the first file."""
        paths: list[Path] = []
        while chunk := list(islice(rows, _ROWS_PER_FILE)):
            path = directory / f"break-{kind}-{int(time.time())}-{first + len(paths):04d}.csv"
            path.write_text(as_csv(chunk), encoding="utf-8")
            paths.append(path)
        return paths

    def _wait_for_candidates(self, before: int) -> None:
        """Wait until a refresh after the given one has built its candidates, which it is about to check."""
        until = time.monotonic() + _REFRESH_WITHIN_SECONDS
        while self._query("last_candidates")[0][1] <= before:
            if time.monotonic() > until:
                raise PlatformError(
                    f"no refresh built its candidates within {_REFRESH_WITHIN_SECONDS:.0f} s",
                    "Nothing was delivered. See the DAG refresh_views, then: make break KIND=repair",
                )
            time.sleep(_LOOK_EVERY_SECONDS)

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
        elif kept["kind"] == RENAMED_SUITE:
            (self._suites / f"{kept['suite']}.yaml").rename(self._suites / f"{kept['suite']}.yml")
        else:
            self._withdraw(kept["kind"], kept["names"])
        self._record.unlink()
        return str(kept["kind"])

    def _withdraw(self, kind: str, names: list[str]) -> None:
        for (file_id,) in self._query("loaded", names=names):
            retract(self._owner, Selection(file_id=file_id), by="make break", reason=f"KIND={kind} is repaired")

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
