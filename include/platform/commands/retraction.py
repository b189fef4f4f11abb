"""``make retract``: show what a retraction will change, ask, and carry it out."""

from __future__ import annotations

import getpass
import sys

from rich.console import Console
from rich.markup import escape

from include.errors import PlatformError
from include.platform.services.airflow_api import AirflowApi
from include.retraction import Preview, RetractionError, Selection, preview, retract
from include.retraction.report import describe_brought, describe_changes
from include.settings import Settings


def take_back(
    settings: Settings, selection: Selection, *, reason: str | None, is_confirmed: bool, console: Console
) -> None:
    """Show what will change, ask unless already confirmed, and retract the deliveries.

    Raises
    ------
    RetractionError
        When they cannot be retracted, or the answer is not yes; nothing was changed.
    """
    dsn = settings.dsn("owner")
    _show(preview(dsn, selection), console)
    if not is_confirmed:
        _ask(selection)
    done = retract(dsn, selection, by=getpass.getuser(), reason=reason or "taken back with make retract")
    console.print(
        f"[green]✓[/green] retraction {done.retraction_id}: {len(done.brought.deliveries):,} files retracted, "
        f"{done.brought.total('accepted') - done.brought.reassigned:,} events removed"
    )
    console.print(f"  {_refresh(settings)}")


def _show(found: Preview, console: Console) -> None:
    console.print("[bold]Will be removed[/bold]")
    for line in describe_brought(found.brought):
        console.print(f"  {escape(line)}")
    console.print("[bold]Published figures that will change[/bold]")
    for line in describe_changes(found):
        console.print(f"  {escape(line)}")


def _ask(selection: Selection) -> None:
    question = f"Retract the deliveries that match {selection}? Type yes: "
    if not sys.stdin.isatty() or input(question).strip() != "yes":
        raise RetractionError("nothing was changed: this was a dry run", "Answer yes, or run it again with CONFIRM=yes")


def _refresh(settings: Settings) -> str:
    """Start a refresh of the views if Airflow runs, and return a sentence on when the figures follow."""
    try:
        AirflowApi(settings).trigger("refresh_views", {}, "after a retraction")
    except PlatformError:
        return "Airflow does not run: the published figures follow with the next refresh of the views"
    return "a refresh of the views has been started; the published figures follow with it"
