"""``make break KIND=...``: break the data of an instance on purpose, and see which checks find it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from include.errors import PlatformError, ShopstreamError
from include.platform.programs.supervisor import running_settings
from include.platform.services.airflow_api import AirflowApi
from include.settings import Settings
from tests.programs.breaks.instance import Breakage
from tests.programs.breaks.kinds import KINDS, MID_REFRESH, RETRACTED_FILE

REPAIR = "repair"
_FEED = "generate_events"
_WATCHERS = ("refresh_views", "check_quality")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return 1 when nothing could be done."""
    arguments = _parser().parse_args(argv)
    try:
        settings = running_settings(Settings.from_env())
        if arguments.kind == REPAIR:
            _repair(settings)
        else:
            _break(settings, arguments.kind, is_sure=arguments.yes)
    except ShopstreamError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _break(settings: Settings, name: str, *, is_sure: bool) -> None:
    kind, breakage, api = KINDS[name], Breakage(settings), AirflowApi(settings)
    breakage.refuse_what_is_not_a_playground()
    if not is_sure:
        question = f"Break the data of {settings.root}: {kind.what}. Type {name} to do it: "
        if not sys.stdin.isatty() or input(question).strip() != name:
            raise PlatformError("nothing was broken", f"Type {name}, or run make break KIND={name} CONFIRM=yes")
    # The regular feed delivers good events meanwhile, which would hide the bad ones.
    api.set_paused(_FEED, True)
    for run in api.active_runs(_FEED):
        api.end_run(_FEED, run, f"Ended by make break KIND={name}")
    if name == MID_REFRESH:
        _look(api, f"Before make break KIND={name}")
    try:
        breakage.damage(name)
    except PlatformError:
        # Nothing was broken, so there will be no repair that resumes the feed.
        api.set_paused(_FEED, False)
        raise
    _look(api, f"After make break KIND={name}")
    held = "; the views are not published until it is repaired" if kind.is_blocking else ""
    state = "fails" if kind.fails else "succeeds"
    print(f"Broken: {kind.what}.")
    print(f"The check {kind.check} of the suite {kind.suite} finds it in the runs that were just triggered{held}.")
    print(f"The run of refresh_views {state}.")
    print("`make status` shows the alerts, the page Quality of the cockpit the checks. Then: make break KIND=repair")
    if name == RETRACTED_FILE:
        print(f"Or retract it like any delivery: make retract FILE='break-{name}-*.csv' CONFIRM=yes")


def _repair(settings: Settings) -> None:
    kind, api = Breakage(settings).repair(), AirflowApi(settings)
    api.set_paused(_FEED, False)
    _look(api, "After make break KIND=repair")
    print(f"Mended: {kind}. The alert ends with the runs that were just triggered, or once the feed has delivered.")


def _look(api: AirflowApi, note: str) -> None:
    for dag_id in _WATCHERS:
        api.trigger(dag_id, {}, note)


def _parser() -> argparse.ArgumentParser:
    kinds = "\n".join(f"  {kind.name:18}{kind.what} -> {kind.suite}: {kind.check}" for kind in KINDS.values())
    parser = argparse.ArgumentParser(
        prog="python -m tests.programs.breaks",
        description=__doc__,
        epilog=f"kinds:\n{kinds}\n  {REPAIR:18}takes the damage back",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("kind", choices=[*KINDS, REPAIR], metavar="KIND", help="what to break, or repair")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    return parser


if __name__ == "__main__":
    sys.exit(main())
