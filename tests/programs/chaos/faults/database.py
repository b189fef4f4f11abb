"""Kill or restart Postgres, and cut or block the stream's connections."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator

import psutil

from tests.programs.chaos.faults.base import Fault, Scene
from tests.programs.chaos.instance import kill
from tests.programs.chaos.proxy import Proxy

_HANG_SECONDS = (5.0, 20.0)


def divert(scene: Scene, proxy: Proxy) -> None:
    """Make the stream connect through the proxy, and wait for its first batch there.

    Ending its backends is a fault by itself, so the one that counts begins after it.
    """
    scene.instance.end_backends_of_stream()
    proxy.wait_for_batch(60)
    scene.before = scene.instance.identity() or scene.before


def _kill_backend(scene: Scene) -> float:
    (pid,) = scene.random.choice(
        scene.instance.rows("SELECT pid FROM pg_stat_activity WHERE usename = 'shop_ingest' ORDER BY pid")
    )
    since = time.time()
    kill([psutil.Process(pid)])
    scene.note(f"backend {pid}: Postgres restarts all of them")
    return since


def _kill_postmaster(scene: Scene) -> float:
    since = time.time()
    kill([scene.instance.postmaster()])
    return since


def _restart(number: signal.Signals) -> Callable[[Scene], float]:
    def act(scene: Scene) -> float:
        since = time.time()
        # The supervisor restarts it.
        kill([scene.instance.postmaster()], number)
        return since

    return act


def _cut(scene: Scene) -> float:
    with Proxy(scene.instance.settings) as proxy:
        divert(scene, proxy)
        time.sleep(scene.random.uniform(0, 1))
        since = time.time()
        scene.note(f"{proxy.cut_all()} connections cut")
    return since


def _hang(scene: Scene) -> float:
    seconds = scene.random.uniform(*_HANG_SECONDS)
    with Proxy(scene.instance.settings) as proxy:
        divert(scene, proxy)
        time.sleep(scene.random.uniform(0, 1))
        proxy.hang()
        time.sleep(seconds)
        proxy.resume()
        scene.note(f"nothing passed for {seconds:.1f} s")
        return time.time()


def database_faults() -> Iterator[Fault]:
    """Return the faults of Postgres and of the way to it."""
    yield Fault("kill_backend", "kill -9 of a Postgres backend of the stream", _kill_backend)
    yield Fault("kill_postmaster", "kill -9 of the Postgres postmaster", _kill_postmaster)
    yield Fault("restart_fast", "Postgres restarted fast (SIGINT)", _restart(signal.SIGINT))
    yield Fault("restart_immediate", "Postgres restarted immediately (SIGQUIT)", _restart(signal.SIGQUIT))
    yield Fault("cut_connections", "the stream's connections are cut", _cut)
    yield Fault("hang_connections", "the stream's connections hang for 5 to 20 s", _hang)
