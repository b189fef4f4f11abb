"""The commands behind the Makefile: ``python -m include.platform --help``."""

from __future__ import annotations

import argparse
import io
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

from include.contract import FILE_FAULTS
from include.db.export import export as export_table
from include.errors import PlatformError, ShopstreamError
from include.platform.commands.down import Shutdown
from include.platform.commands.load import Delivered, load_files
from include.platform.commands.logs import follow
from include.platform.commands.report import Report, make_console
from include.platform.commands.retraction import take_back
from include.platform.commands.status import describe_stream, platform_status, show_status
from include.platform.commands.up import SERVICES, Startup
from include.platform.commands.users import make_user
from include.platform.instance.environment import airflow_environment
from include.platform.instance.home import delete_home, exclusive, is_instance
from include.platform.instance.secrets import ADMIN, admin_password_file
from include.platform.programs.processes import instance_processes
from include.platform.programs.supervisor import Supervisor, running_settings
from include.platform.services import postgres
from include.retraction import Selection, parse_time
from include.settings import REPOSITORY, ROLES, Settings

_DOWN_STATUS = 3


def main(argv: list[str] | None = None) -> int:
    """Run one command and return the exit status."""
    arguments = _parser().parse_args(argv)
    command: Callable[[Settings, argparse.Namespace], int] = arguments.command
    for stream in (sys.stdout, sys.stderr):
        # Print a question mark for a character that the terminal's encoding lacks, instead of failing.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    if command is not psql:
        # Keep events, logs and secrets private to the platform's user. Files written from psql follow the user's umask.
        os.umask(0o077)
    try:
        return command(_settings(command), arguments)
    except ShopstreamError as error:
        make_console(stderr=True).print(f"[red]✗[/red] {escape(str(error))}")
        return 1
    except KeyboardInterrupt:
        print(
            "\ninterrupted; started programs keep running: `make up` continues, `make down` stops them", file=sys.stderr
        )
        return 130


def _settings(command: Callable[[Settings, argparse.Namespace], int]) -> Settings:
    """Return the settings a running platform was started with, or else those of the environment."""
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
    """Drain the stream and stop the platform."""
    report = Report()
    if Shutdown(settings, report).run():
        report.console.print(
            f"Shopstream is down after {report.seconds:.0f} s; its data stays in {escape(str(settings.root))}"
        )
    else:
        report.console.print("Shopstream was not running.")
    return 0


def status(settings: Settings, arguments: argparse.Namespace) -> int:
    """Show the state of the platform on one screen; exit with 3 when it is down, 1 when a part of it is down."""
    found = platform_status(settings)
    if arguments.json:
        print(json.dumps(found.to_dict(), default=str, indent=2))
    else:
        show_status(found, make_console())
    return 0 if found.is_complete else 1 if found.is_up else _DOWN_STATUS


def logs(settings: Settings, arguments: argparse.Namespace) -> int:
    """Follow the logs."""
    follow(settings, arguments.name or None)
    return 0


def psql(settings: Settings, arguments: argparse.Namespace) -> int:
    """Replace this process by psql."""
    program = _psql_program()
    os.execv(program, [program, settings.dsn(arguments.role), *arguments.arguments])


def dsn(settings: Settings, arguments: argparse.Namespace) -> int:
    """Print the connection string and nothing else."""
    print(settings.dsn(arguments.role))
    return 0


def export(settings: Settings, arguments: argparse.Namespace) -> int:
    """Write a table or view as CSV, safe to open in a spreadsheet."""
    # Exit silently when the reader, such as head, closes the pipe.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    hidden = export_table(settings.dsn(arguments.role), arguments.table, sys.stdout.buffer)
    if hidden:
        print(f"left out columns that the role {arguments.role} may not read: {', '.join(hidden)}", file=sys.stderr)
    return 0


def alert_test(settings: Settings, arguments: argparse.Namespace) -> int:
    """Send a test alert through every channel and print each reply; exit with 1 when one did not get through."""
    _refuse_without_instance(settings)
    command = [sys.executable, "-m", "include.airflow.alerting.dispatch", "--test"]
    return subprocess.run(command, cwd=REPOSITORY, env=airflow_environment(settings)).returncode


def clean(settings: Settings, arguments: argparse.Namespace) -> int:
    """Delete the state directory."""
    if not settings.root.exists():
        print(f"There is nothing at {settings.root}.")
        return 0
    _refuse_while_running(settings)
    if not is_instance(settings):
        raise PlatformError(f"{settings.root} was not created by Shopstream", "Correct SHOPSTREAM_HOME")
    if not arguments.yes:
        question = f"Delete all data of this instance, {settings.root} (events, logs, passwords)? Type yes: "
        if not sys.stdin.isatty() or input(question).strip() != "yes":
            raise PlatformError("nothing was deleted", "Answer yes, or run `make clean CONFIRM=yes`")
    with exclusive(settings, "make clean"):
        # Check again: the platform may have been started while the question waited for its answer.
        _refuse_while_running(settings)
        if settings.socket_dir.parent != settings.root:
            shutil.rmtree(settings.socket_dir, ignore_errors=True)
        left = delete_home(settings)
    if left:
        print(f"Deleted Shopstream's files in {settings.root}; left in place, not Shopstream's: {', '.join(left)}")
    else:
        print(f"{settings.root} is deleted.")
    return 0


def _refuse_without_instance(settings: Settings) -> None:
    """Stop commands that need the secrets from creating them in a directory that is not Shopstream's."""
    if not settings.secrets_dir.exists():
        raise PlatformError(
            f"there is no instance at {settings.root}", "Run `make up` first, or correct SHOPSTREAM_HOME"
        )


def _refuse_while_running(settings: Settings) -> None:
    if Supervisor(settings).is_up or instance_processes(settings.root):
        raise PlatformError(f"the platform at {settings.root} is running", "Stop it with `make down` first")


def load(settings: Settings, arguments: argparse.Namespace) -> int:
    """Deliver files and show their balance; exit with 1 when one of them was quarantined."""
    delivered = load_files(settings, arguments.files)
    console = make_console()
    for one in delivered:
        _show_balance(console, one)
    return int(any(one.state == "quarantined" for one in delivered))


def retract(settings: Settings, arguments: argparse.Namespace) -> int:
    """Retract deliveries with everything that they loaded, after showing what will change and asking."""
    selection = Selection(
        name=arguments.file,
        file_id=arguments.file_id,
        batch_id=arguments.batch,
        since=parse_time(arguments.since) if arguments.since else None,
        until=parse_time(arguments.until) if arguments.until else None,
    )
    take_back(settings, selection, reason=arguments.reason, is_confirmed=arguments.yes, console=make_console())
    return 0


def user(settings: Settings, arguments: argparse.Namespace) -> int:
    """Create a user of the Airflow UI and the API, or give an existing user another role."""
    _refuse_without_instance(settings)
    password = make_user(settings, arguments.name, arguments.role)
    if password is None:
        print(f"{arguments.name} now has the role {arguments.role}; the password is unchanged.")
    else:
        print(f"{arguments.name} has the role {arguments.role}. The password is shown only this once: {password}")
    return 0


def _show_balance(console: Console, one: Delivered) -> None:
    if one.state == "quarantined":
        remedy = FILE_FAULTS[one.fault].message if one.fault in FILE_FAULTS else ""
        console.print(
            f"[red]✗[/red] {escape(one.name)} is in quarantine: {one.fault}: {escape(one.fault_detail or '')}. {remedy}"
        )
        return
    console.print(
        f"[green]✓[/green] {escape(one.name)}: {one.read:,} rows read = {one.accepted:,} accepted "
        f"+ {one.duplicate:,} duplicate + {one.rejected:,} rejected"
    )
    for reason in one.reasons:
        example = f", for example {escape(reason.example)}" if reason.example else ""
        console.print(f"    {reason.rows:,} rows: {reason.code}{example}")


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
    """Return the user's own psql, which has history and completion, unless it is older than the server."""
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
    add("status", status).add_argument("--json", action="store_true", help="print JSON")
    add("logs", logs).add_argument("name", nargs="?", help="one program (default all)")
    with_psql = add("psql", psql)
    with_psql.add_argument("--role", choices=ROLES, default="owner", help="database role (default %(default)s)")
    with_psql.add_argument("arguments", nargs="*", help="further arguments for psql, after --")
    add("dsn", dsn).add_argument("--role", choices=ROLES, default="owner", help="database role (default %(default)s)")
    with_table = add("export", export)
    with_table.add_argument("table", help="name of the table or view in the schema shop")
    with_table.add_argument("--role", choices=ROLES, default="analyst", help="database role (default %(default)s)")
    add("alert-test", alert_test)
    add("clean", clean).add_argument("--yes", action="store_true", help="do not ask")
    with_name = add("user", user)
    with_name.add_argument("name", help="login name")
    with_name.add_argument(
        "--role", default="Viewer", help="Viewer reads, Op also acts, Admin may do everything (default %(default)s)"
    )
    to_retract = add("retract", retract)
    to_retract.add_argument("--file", metavar="NAME", help="name of the file; * matches any characters, ? matches one")
    to_retract.add_argument("--file-id", type=int, help="id of the file in shop.files")
    to_retract.add_argument("--batch", type=int, metavar="BATCH_ID", help="files that this batch loaded")
    to_retract.add_argument(
        "--since", metavar="TIME", help="files loaded at this time or later (ISO 8601, UTC unless it names a zone)"
    )
    to_retract.add_argument("--until", metavar="TIME", help="files loaded before this time")
    to_retract.add_argument("--reason", help="reason to record")
    to_retract.add_argument("--yes", action="store_true", help="do not ask")
    add("load", load).add_argument("files", nargs="+", type=Path, help="CSV files, gzip or plain")
    return parser


if __name__ == "__main__":
    sys.exit(main())
