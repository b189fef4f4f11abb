"""Inject faults at the named points of a batch, which a proxy finds by its statements."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from tests.programs.chaos.faults.base import PROMISED_SECONDS, Fault, Scene
from tests.programs.chaos.faults.database import divert
from tests.programs.chaos.instance import kill
from tests.programs.chaos.proxy import Action, Link, Point, Proxy

_HANG_SECONDS = 10.0
_REACH_SECONDS = 60.0


def _kill_driver(scene: Scene) -> Action:
    driver = scene.instance.driver()

    def action(link: Link) -> bool:
        kill(driver)
        link.cut()
        return False

    return action


def _cut(scene: Scene) -> Action:
    def action(link: Link) -> bool:
        link.cut()
        return False

    return action


def _hang(scene: Scene) -> Action:
    def action(link: Link) -> bool:
        time.sleep(_HANG_SECONDS)
        return True

    return action


def _at(point: Point, effect: Callable[[Scene], Action]) -> Callable[[Scene], float]:
    def act(scene: Scene) -> float:
        with Proxy(scene.instance.settings) as proxy:
            divert(scene, proxy)
            time.sleep(scene.random.uniform(0, 1))
            action, moments = effect(scene), []

            def strike(link: Link) -> bool:
                moments.append(time.time())
                return action(link)

            proxy.strike(point, strike, seconds=_REACH_SECONDS)
            scene.note(point.value)
            return time.time() if effect is _hang else moments[0]

    return act


def point_faults() -> Iterator[Fault]:
    """Return the driver's death at each point, the loss of the connection where it matters, and a hang."""
    for point in Point:
        yield Fault(
            f"{point.name.lower()}_kill",
            f"kill -9 of the driver when {point.value}",
            _at(point, _kill_driver),
            promised_seconds=PROMISED_SECONDS,
        )
    for point in (Point.MID_COPY, Point.BEFORE_COMMIT, Point.UNKNOWN_COMMIT):
        yield Fault(f"{point.name.lower()}_cut", f"the connection is cut when {point.value}", _at(point, _cut))
    yield Fault(
        "before_commit_hang",
        f"the connection hangs for {_HANG_SECONDS:.0f} s when {Point.BEFORE_COMMIT.value}",
        _at(Point.BEFORE_COMMIT, _hang),
    )
