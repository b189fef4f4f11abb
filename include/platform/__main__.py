"""The commands behind the Makefile: ``python -m include.platform --help``."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from include.db.export import export as export_table
from include.errors import PlatformError, ShopstreamError
from include.platform import postgres
from include.platform.down import Shutdown
from include.platform.environment import airflow_environment
from include.platform.home import exclusive
from include.platform.load import Delivered, load_files
from include.platform.logs import follow
from include.platform.processes import instance_processes
from include.platform.report import Report, make_console
from include.platform.secrets import ADMIN, admin_password_file
from include.platform.status import describe_stream, platform_status, show_status
from include.platform.supervisor import Supervisor, running_settings
from include.platform.up import SERVICES, Startup
from include.platform.users import make_user
from include.settings import REPOSITORY, ROLES, Settings

_DOWN_STATUS = 3


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    arguments = _parser().parse_args(argv)
    command: Callable[[Settings, argparse.Namespace], int] = arguments.command
    try:
        return command(_settings(command), arguments)
    except ShopstreamError as error:
        make_console(stderr=True).print(f"[red]✗[/red] {escape(str(error))}")
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; what was started goes on: `make up` continues, `make down` stops it", file=sys.stderr)
        return 130


def _settings(command: Callable[[Settings, argparse.Namespace], int]) -> Settings:
    """The settings of the environment; those that the platform was started with, while it runs."""
    settings = Settings.from_env()
    return settings if command is up else running_settings(settings)


def up(settings: Settings, arguments: argparse.Namespace) -> int:
    """Start the platform."""
    report = Report()
    services = arguments.only.split(",")
    if unknown := set(services) - set(SERVICES):
        raise PlatformError(f"{', '.join(sorted(unknown))} is not a service", f"Choose from {', '.join(SERVICES)}")
    Startup(settings, report, services).run()
    if "airflow" in services:
        _summarize(running_settings(settings), report)
    return 0


def down(settings: Settings, arguments: argparse.Namespace) -> int:
    """Stop it."""
    report = Report()
    if Shutdown(settings, report).run():
        report.console.print(
            f"Shopstream is down after {report.seconds:.0f} s; its data stays in {escape(str(settings.root))}"
        )
    else:
        report.console.print("Shopstream was not running.")
    return 0


def status(settings: Settings, arguments: argparse.Namespace) -> int:
    """Show one screen; 3 when the platform is down, 1 when a part of it is."""
    found = platform_status(settings)
    if arguments.json:
        print(json.dumps(found.to_dict(), default=str, indent=2))
    else:
        show_status(found, make_console())
    return 0 if found.is_complete else 1 if found.is_up else _DOWN_STATUS


def logs(settings: Settings, arguments: argparse.Namespace) -> int:
    """Follow logs."""
    follow(settings, arguments.name or None)
    return 0


def psql(settings: Settings, arguments: argparse.Namespace) -> int:
    """Become psql."""
    program = _psql_program()
    os.execv(program, [program, settings.dsn(arguments.role), *arguments.arguments])


def dsn(settings: Settings, arguments: argparse.Namespace) -> int:
    """Print the connection string and nothing else."""
    print(settings.dsn(arguments.role))
    return 0


def export(settings: Settings, arguments: argparse.Namespace) -> int:
    """Write a table or view as CSV, safe to open in a spreadsheet."""
    # A reader that has seen enough, such as head, ends it without a word.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    hidden = export_table(settings.dsn(arguments.role), arguments.table, sys.stdout.buffer)
    if hidden:
        print(f"left out, since the role {arguments.role} may not read them: {', '.join(hidden)}", file=sys.stderr)
    return 0


def alert_test(settings: Settings, arguments: argparse.Namespace) -> int:
    """Send a test alert through every channel and print what each said; 1 when one did not get through."""
    command = [sys.executable, "-m", "include.airflow.dispatch", "--test"]
    return subprocess.run(command, cwd=REPOSITORY, env=airflow_environment(settings)).returncode


def clean(settings: Settings, arguments: argparse.Namespace) -> int:
    """Delete the state directory."""
    if not settings.root.exists():
        print(f"There is nothing at {settings.root}.")
        return 0
    if Supervisor(settings).is_up or instance_processes(settings.root):
        raise PlatformError(f"the platform at {settings.root} is running", "Stop it with `make down` first")
    if not (settings.root / "lifecycle.lock").exists():
        raise PlatformError(f"{settings.root} was not made by Shopstream", "Correct SHOPSTREAM_HOME")
    if not arguments.yes:
        question = f"Delete all data of this instance, {settings.root} (events, logs, passwords)? Type yes: "
        if not sys.stdin.isatty() or input(question).strip() != "yes":
            raise PlatformError("nothing was deleted", "Answer yes, or run `make clean CONFIRM=yes`")
    with exclusive(settings, "make clean"):
        if settings.socket_dir.parent != settings.root:
            shutil.rmtree(settings.socket_dir, ignore_errors=True)
        shutil.rmtree(settings.root)
    print(f"{settings.root} is deleted.")
    return 0


def load(settings: Settings, arguments: argparse.Namespace) -> int:
    """Deliver files; 1 when one of them was quarantined."""
    delivered = load_files(settings, arguments.files)
    console = make_console()
    for one in delivered:
        _show_balance(console, one)
    return int(any(one.state == "quarantined" for one in delivered))


def user(settings: Settings, arguments: argparse.Namespace) -> int:
    """Make a user of the Airflow UI and the API, or give one another role."""
    password = make_user(settings, arguments.name, arguments.role)
    if password is None:
        print(f"{arguments.name} has the role {arguments.role} now, and keeps the password.")
    else:
        print(f"{arguments.name} has the role {arguments.role} and, shown only now, the password {password}")
    return 0


def _show_balance(console: Console, one: Delivered) -> None:
    if one.state == "quarantined":
        console.print(f"[red]✗[/red] {escape(one.name)} is in quarantine: {one.fault} {escape(one.fault_detail or '')}")
        return
    console.print(
        f"[green]✓[/green] {escape(one.name)}: {one.read:,} rows read = {one.accepted:,} accepted "
        f"+ {one.duplicate:,} duplicate + {one.rejected:,} rejected"
    )
    for reason, rows in one.reasons.items():
        console.print(f"    {rows:,} rows: {reason}")


def _summarize(settings: Settings, report: Report) -> None:
    found = platform_status(settings)
    memory = sum(one.memory_bytes for one in found.processes) / 1024**3
    accepted = found.totals.get("accepted", 0)
    checks = sum(suite["checks"] for suite in found.quality)
    critical = sum(suite["critical"] for suite in found.quality)
    lines = [
        "",
        f"[bold]Shopstream is up[/bold] after {report.seconds:.0f} s, {memory:.1f} GiB of memory",
        f"  Airflow     http://127.0.0.1:{settings.ports['airflow']}  user {ADMIN}, "
        f"password in {escape(str(admin_password_file(settings)))}",
        f"  Spark       http://127.0.0.1:{settings.ports['spark-master-ui']}",
        f"  Metrics     http://127.0.0.1:{settings.ports['metrics']}/metrics",
        f"  Events      {accepted:,} in shop.events, {found.totals.get('rejected', 0):,} rows rejected",
        f"  Stream      {describe_stream(found.stream) if found.stream else 'unknown'}",
        f"  Quality     {checks} checks, {critical} critical failures",
        "  Try next    make status · make psql · make load FILES=my.csv · make reconcile · make down",
    ]
    report.console.print("\n".join(lines))


def _psql_program() -> str:
    """The user's psql, which knows history and completion, unless it is older than the server."""
    found = shutil.which("psql")
    if found:
        version = subprocess.run([found, "--version"], capture_output=True, text=True).stdout
        major = re.search(r" (\d+)", version)
        if major and int(major[1]) >= postgres.MAJOR_VERSION:
            return found
    return str(postgres.BINARIES / "psql")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m include.platform", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[Settings, argparse.Namespace], int]) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=command.__doc__, description=command.__doc__)
        added.set_defaults(command=command)
        return added

    add("up", up).add_argument(
        "--only", default=",".join(SERVICES), help="comma-separated services (default %(default)s)"
    )
    add("down", down)
    add("status", status).add_argument("--json", action="store_true", help="as JSON")
    add("logs", logs).add_argument("name", nargs="?", help="one program; default all")
    with_psql = add("psql", psql)
    with_psql.add_argument("--role", choices=ROLES, default="owner", help="database role (default %(default)s)")
    with_psql.add_argument("arguments", nargs="*", help="further arguments of psql, after --")
    add("dsn", dsn).add_argument("--role", choices=ROLES, default="owner", help="database role (default %(default)s)")
    with_table = add("export", export)
    with_table.add_argument("table", help="its name in the schema shop")
    with_table.add_argument("--role", choices=ROLES, default="analyst", help="database role (default %(default)s)")
    add("alert-test", alert_test)
    add("clean", clean).add_argument("--yes", action="store_true", help="do not ask")
    with_name = add("user", user)
    with_name.add_argument("name", help="to log in with")
    with_name.add_argument(
        "--role", default="Viewer", help="Viewer looks, Op acts, Admin may all (default %(default)s)"
    )
    add("load", load).add_argument("files", nargs="+", type=Path, help="CSV files, gzip or plain")
    return parser


if __name__ == "__main__":
    sys.exit(main())
