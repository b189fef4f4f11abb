"""Print how well each objective is met, as a table in the terminal (``make objectives``)."""

from __future__ import annotations

import sys
from typing import Any

from rich.markup import escape
from rich.table import Table

from include.errors import ShopstreamError
from include.objectives.catalog import Objective, describe, objectives_of
from include.objectives.report import Attainment, Current, RecordedMiss, attainment, current, misses
from include.platform.commands.report import make_console
from include.platform.programs.supervisor import running_settings
from include.settings import Settings

_MISSES_SHOWN = 5


def main() -> int:
    """Print the table and the newest misses; return 1 when the database is unavailable."""
    console = make_console()
    try:
        settings = running_settings(Settings.from_env())
        objectives = objectives_of(settings)
        dsn = settings.dsn("ops")
        kept = {one.objective: one for one in attainment(dsn)}
        now = {one.objective: one for one in current(dsn, objectives)}
        newest = misses(dsn, limit=_MISSES_SHOWN)
    except ShopstreamError as error:
        make_console(stderr=True).print(f"[red]✗[/red] {escape(str(error))}")
        return 1
    console.print(_table(objectives, kept, now))
    for miss in newest:
        console.print(_line(miss, {one.name: one for one in objectives}))
    return 0


def _table(objectives: tuple[Objective, ...], kept: dict[str, Attainment], now: dict[str, Current]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for header in ("objective", "bound", "now", "this month", "target", "evaluated"):
        table.add_column(header, justify="left" if header == "objective" else "right")
    for one in objectives:
        month = kept.get(one.name)
        table.add_row(
            one.name,
            one.promise,
            _now(one, now[one.name]),
            "" if month is None else _colored(f"{month.share:.3%}", is_good=month.share >= one.target),
            f"{one.target:.1%}",
            "no minute yet" if month is None else f"{month.minutes:,} min",
        )
    return table


def _now(objective: Objective, newest: Current) -> str:
    if newest.minute is None or newest.value is None:
        return "nothing to measure" if newest.minute else ""
    return _colored(describe(newest.value, objective.unit), is_good=bool(newest.is_met))


def _line(miss: RecordedMiss, objectives: dict[str, Objective]) -> str:
    lasted = "ongoing" if miss.ended_at is None else f"{(miss.ended_at - miss.began_at).total_seconds() / 60:.0f} min"
    objective = objectives.get(miss.objective)
    worst = "" if objective is None or miss.worst_value is None else f", {describe(miss.worst_value, objective.unit)}"
    seen = f" [dim]({escape(miss.acknowledged_by)})[/dim]" if miss.acknowledged_by else ""
    cause = escape(miss.cause.splitlines()[0]) if miss.cause else "cause unknown"
    return f"[dim]{miss.began_at:%Y-%m-%d %H:%M}[/dim] {miss.objective}: {lasted}{worst}{seen}: {cause}"


def _colored(text: Any, *, is_good: bool) -> str:
    return f"[{'green' if is_good else 'red'}]{text}[/{'green' if is_good else 'red'}]"


if __name__ == "__main__":
    sys.exit(main())
