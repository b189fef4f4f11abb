"""``make status``: show processes, stream, data, checks and disk on one screen, or print the same as JSON."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table

from include.db import load_queries, transaction
from include.errors import PlatformError
from include.platform.programs.catalog import expected_programs
from include.platform.programs.processes import footprint_bytes, instance_processes
from include.platform.programs.supervisor import Supervisor
from include.settings import Settings
from include.stream.intake.backlog import count_landed, sees_landing
from include.stream.intake.landing import Landing
from include.stream.supervision.diagnosis import notes
from include.stream.supervision.disk import free_inodes
from include.stream.supervision.status import StreamStatus, stream_status

_SQL = load_queries("platform")
_DAY_SECONDS = 86_400
# The loop does not turn while it loads a batch, which takes a few seconds.
_TURNS_WITHIN_SECONDS = 15


@dataclass(frozen=True)
class ProcessStatus:
    """One program with its descendants: times in seconds, memory as PSS in bytes."""

    name: str
    state: str
    pid: int
    uptime_seconds: int
    memory_bytes: int
    ports: dict[str, int]


@dataclass(frozen=True)
class PlatformStatus:
    """The content of ``make status``. Parts read from Postgres are None or empty while it cannot be reached."""

    home: str
    is_up: bool
    processes: list[ProcessStatus]
    disk_free_bytes: int
    disk_free_inodes: int | None
    stream: StreamStatus | None = None
    notes: list[str] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=dict)
    refreshes: list[dict[str, Any]] = field(default_factory=list)
    quality: list[dict[str, Any]] = field(default_factory=list)
    open_alerts: list[dict[str, Any]] = field(default_factory=list)
    alert_counts: list[dict[str, Any]] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    connections: list[dict[str, Any]] = field(default_factory=list)
    database_error: str | None = None

    @property
    def is_complete(self) -> bool:
        """Whether every process runs and Postgres answers."""
        return self.is_up and self.database_error is None and all(one.state == "RUNNING" for one in self.processes)

    def to_dict(self) -> dict[str, Any]:
        """Return the status as plain values for JSON."""
        content = asdict(self)
        if self.stream is not None:
            content["stream"]["is_alive"] = self.stream.is_alive
        return content


def platform_status(settings: Settings) -> PlatformStatus:
    """Collect the status of an instance, which need not be running."""
    supervisor = Supervisor(settings)
    states = supervisor.states()
    found = instance_processes(settings.root)
    processes = []
    for program in expected_programs(settings):
        state = states.get(program.name)
        members = [one.process for one in found if one.program == program.name]
        processes.append(
            ProcessStatus(
                program.name,
                state.state if state else "DOWN",
                state.pid if state else 0,
                state.uptime_seconds if state else 0,
                footprint_bytes(members),
                {name: settings.ports[name] for name in program.ports},
            )
        )
    existing = next(path for path in (settings.root, *settings.root.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    try:
        data = _read_database(settings)
        data["notes"] = notes(data["stream"], _files_in_landing(settings))
    except PlatformError as error:
        data = {"database_error": str(error)}
    return PlatformStatus(str(settings.root), bool(states), processes, free, free_inodes(existing), **data)


def _files_in_landing(settings: Settings) -> int:
    try:
        return sum(1 for _ in Landing.of(settings).waiting())
    except OSError:
        return 0


def _read_database(settings: Settings) -> dict[str, Any]:
    dsn = settings.dsn("owner")
    rows = {}
    # Read the stream's status first: without a server it fails at once, with a readable message.
    stream = _of_now(stream_status(dsn), settings)
    with transaction(dsn) as cursor:
        for name in (
            "totals",
            "last_refreshes",
            "last_quality",
            "open_alerts",
            "alert_counts",
            "recent_alerts",
            "connections",
        ):
            cursor.execute(_SQL[name])
            columns = [column.name for column in cursor.description]
            rows[name] = [dict(zip(columns, row, strict=True)) for row in cursor]
    return {
        "stream": stream,
        "totals": rows["totals"][0],
        "refreshes": rows["last_refreshes"],
        "quality": rows["last_quality"],
        "open_alerts": rows["open_alerts"],
        "alert_counts": rows["alert_counts"],
        "alerts": rows["recent_alerts"],
        "connections": rows["connections"],
    }


def _of_now(stream: StreamStatus, settings: Settings) -> StreamStatus:
    """Return the status with the files that wait now, because the count of a driver that has ended is out of date."""
    landed = None if stream.is_alive or not sees_landing(settings, stream.epoch) else count_landed(settings)
    if landed is None:
        return stream
    return replace(
        stream,
        backlog_files=landed.files + stream.admitted_files,
        backlog_bytes=landed.size_bytes + stream.admitted_bytes,
    )


def show_status(status: PlatformStatus, console: Console) -> None:
    """Print the status."""
    if not status.is_up:
        console.print(f"Shopstream is down ([dim]{escape(status.home)}[/dim]). Start it with [bold]make up[/bold].")
        return
    console.print(_processes(status))
    if status.stream is None:
        console.print(f"[red]{escape(str(status.database_error))}[/red]")
    else:
        console.print(Group(*_data_lines(status, status.stream)))
        for note in status.notes:
            console.print(f"         [yellow]{escape(note)}[/yellow]")
    free = status.disk_free_bytes / 1024**3
    inodes = "" if status.disk_free_inodes is None else f" and {status.disk_free_inodes:,} inodes"
    console.print(f"[bold]Disk[/bold]     {free:,.1f} GiB{inodes} free below {escape(status.home)}")


def _processes(status: PlatformStatus) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", show_footer=True, footer_style="dim")
    table.add_column("process", "all")
    table.add_column("state")
    table.add_column("pid", justify="right")
    table.add_column("up", justify="right")
    table.add_column(
        "memory", f"{sum(one.memory_bytes for one in status.processes) / 1024**2:,.0f} MiB", justify="right"
    )
    table.add_column("ports")
    for one in status.processes:
        color = "green" if one.state == "RUNNING" else "yellow" if one.state == "STARTING" else "red"
        ports = ", ".join(f"{name} {port}" for name, port in one.ports.items())
        memory = f"{one.memory_bytes / 1024**2:,.0f} MiB"
        state = f"[{color}]{one.state.lower()}[/{color}]"
        table.add_row(one.name, state, str(one.pid or ""), age(one.uptime_seconds), memory, ports)
    return table


def _data_lines(status: PlatformStatus, stream: StreamStatus) -> list[str]:
    totals = status.totals
    lines = [
        f"[bold]Stream[/bold]   {describe_stream(stream)}",
        f"[bold]Minute[/bold]   {stream.accepted / 60:,.0f} events/s accepted: {stream.read:,} read, "
        f"{stream.duplicate:,} duplicate, {stream.rejected:,} rejected in {stream.batches:,} batches",
        f"[bold]Total[/bold]    {totals['accepted']:,} events from {totals['read']:,} rows read: "
        f"{totals['duplicate']:,} duplicate, {totals['rejected']:,} rejected; "
        f"{totals['files_quarantined']:,} files in quarantine",
    ]
    for refresh in status.refreshes:
        lines.append(f"[bold]View[/bold]     {refresh['view_name']}: {describe_refresh(refresh)}")
    for suite in status.quality:
        checked = f"{suite['checks']} checks, {describe_verdict(suite)}, {age(suite['age_seconds'])} ago"
        lines.append(f"[bold]Suite[/bold]    {suite['suite']}: {checked}")
    if status.connections:
        lines.append(f"[bold]Postgres[/bold] {describe_connections(status.connections)}")
    open_ones, lately = _counted(status.open_alerts), _counted(status.alert_counts)
    lines.append(f"[bold]Alerts[/bold]   {open_ones} open; {lately} in 24 hours")
    for one in status.alerts[:3]:
        state = "[red]open[/red]" if one["is_open"] else "[dim]over[/dim]"
        title = f"{escape(one['source'])}: {escape(one['title'])}"
        lines.append(f"         {state} [dim]{age(one['age_seconds'])} ago[/dim] {one['severity']} {title}")
    return lines


def _counted(alerts: list[dict[str, Any]]) -> str:
    return ", ".join(f"{one['alerts']} {one['severity']}" for one in alerts) or "none"


def describe_connections(rows: list[dict[str, Any]]) -> str:
    """Return how many connections are in use, and which roles hold the most of them, as markup."""
    by_role = ", ".join(f"{one['connections']} by {escape(one['role'])}" for one in rows[:3])
    return f"[red]{rows[0]['used']} of {rows[0]['accepted']} connections[/red], {by_role}"


def describe_refresh(refresh: dict[str, Any]) -> str:
    """Return the result of the last refresh of a view, as markup."""
    ago = f"{age(refresh['age_seconds'])} ago"
    if refresh["error"]:
        return f"[red]{escape(refresh['error'].splitlines()[0])}[/red], {ago}"
    if refresh["held_because"]:
        read = refresh["readers_age_seconds"]
        rows = "nothing" if read is None else f"the rows of {age(read)} ago"
        return (
            f"[red]held back[/red] for {age(refresh['held_seconds'])}, readers see {rows}: "
            f"[red]{escape(refresh['held_because'])}[/red]"
        )
    fresh = f"[green]fresh[/green], {refresh['row_count']:,} rows in {refresh['seconds']:.1f} s, {ago}"
    if refresh["overrode"]:
        by, why, despite = (escape(refresh[key]) for key in ("overridden_by", "override_reason", "overrode"))
        return f"{fresh}; [yellow]published by override of {by} ({why}), despite {despite}[/yellow]"
    return fresh


def describe_verdict(suite: dict[str, Any]) -> str:
    """Return the result of the last run of a suite, as markup."""
    if suite["verdict"] == "broken":
        return "[red]the suite, or one of its checks, cannot be run[/red]"
    failures = [f"{suite[kind]} {kind}" for kind in ("critical", "warnings") if suite[kind]]
    color = "red" if suite["critical"] else "yellow" if suite["warnings"] else "green"
    return f"[{color}]{' and '.join(failures) + ' failed' if failures else 'all passed'}[/{color}]"


def describe_stream(stream: StreamStatus) -> str:
    """Return one line on the state of the stream, as markup."""
    if stream.epoch is None:
        return "has not run yet"
    if not stream.is_alive:
        error = f": {escape(stream.error.splitlines()[0])}" if stream.error else ""
        state = "[yellow]ended[/yellow]" if stream.ended_at else "[red]no heartbeat[/red]"
        return f"{state}{error}; {stream.backlog_files:,} files wait; desired state: {stream.desired_state}"
    lag = "" if stream.lag_seconds is None else f", last lag {stream.lag_seconds:.2f} s"
    ago = "" if stream.last_commit_age_seconds is None else f", last commit {age(stream.last_commit_age_seconds)} ago"
    turned = stream.turned_age_seconds
    still = "" if turned is None or turned < _TURNS_WITHIN_SECONDS else f", [red]loop stalled for {age(turned)}[/red]"
    ignored = "" if not stream.ignored_files else f", [yellow]{escape(describe_ignored(stream))}[/yellow]"
    paused = "" if stream.paused is None else f", [yellow]intake paused: {escape(stream.paused)}[/yellow]"
    return (
        f"[green]alive[/green] (epoch {stream.epoch}, {stream.mode}){lag}{ago}, "
        f"backlog {stream.backlog_files:,} files ({stream.backlog_bytes / 1024**2:,.1f} MiB){still}{paused}{ignored}"
    )


def describe_ignored(stream: StreamStatus) -> str:
    """Return a summary of the files in the landing folder that are ignored."""
    since = "" if stream.ignored_since is None else f", oldest since {stream.ignored_since:%Y-%m-%d %H:%M} UTC"
    return f"{stream.ignored_files:,} in landing/ not *.csv{since}: {', '.join(stream.ignored_examples)}"


def age(seconds: float) -> str:
    """Format a duration for reading: ``12 s``, ``3 min``, ``5 h``, ``2 d``."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 2 * _DAY_SECONDS else f"{seconds / _DAY_SECONDS:.0f} d"
