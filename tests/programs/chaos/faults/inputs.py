"""Deliver files with a wrong clock, and one that Postgres refuses."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.programs.chaos.faults.base import Fault, Scene
from tests.programs.chaos.waiting import BrokenPromiseError, wait_for
from tests.support.csv_files import csv_text, deliver, valid_row

_DAY_SECONDS = 86400
_ROWS = 500
_POISON_PRODUCT = "P-POISON"


def _clock_off(days: int) -> Callable[[Scene], float]:
    def act(scene: Scene) -> float:
        instance = scene.instance
        landing = Path(instance.landing.incoming)
        workshop = landing.with_name("chaos-clock")
        path = scene.feed.deliver_once(workshop, rows=_ROWS)
        stamp = time.time() + days * _DAY_SECONDS
        os.utime(path, (stamp, stamp))
        since = time.time()
        path.rename(landing / path.name)
        shutil.rmtree(workshop)
        wait_for(
            lambda: instance.value("SELECT state = 'loaded' FROM shop.files WHERE name = %(name)s", name=path.name),
            seconds=60,
            what=f"{path.name} with a time {days:+d} days off to be loaded",
        )
        return since

    return act


def _poison(scene: Scene) -> float:
    """Deliver a file that passes every check of the stream but that Postgres refuses."""
    instance = scene.instance
    instance.execute(
        "ALTER TABLE shop.events ADD CONSTRAINT chaos_poison CHECK (product_id <> %(product)s) NOT VALID",
        product=_POISON_PRODUCT,
    )
    try:
        since = time.time()
        name = f"poison-{scene.random.getrandbits(32):08x}.csv"
        deliver(Path(instance.landing.incoming), csv_text([valid_row(product_id=_POISON_PRODUCT)]), name)
        state, fault = wait_for(
            lambda: instance.rows(
                "SELECT state, fault FROM shop.files WHERE name = %(name)s AND state <> 'admitted'", name=name
            ),
            seconds=120,
            what=f"{name} to be finished",
        )[0]
        if (state, fault) != ("quarantined", "poison"):
            raise BrokenPromiseError(f"{name} is {state} with fault {fault}, not quarantined as poison")
        scene.note(f"{name} was quarantined after {time.time() - since:.1f} s")
    finally:
        instance.execute("ALTER TABLE shop.events DROP CONSTRAINT chaos_poison")
    return since


def input_faults() -> Iterator[Fault]:
    """Return the faults: times and poison."""
    yield Fault("clock_ahead", "file times 8 days ahead", _clock_off(8))
    yield Fault("clock_behind", "file times 8 days behind", _clock_off(-8))
    yield Fault("poison", "a file whose load Postgres refuses: quarantined, the rest goes on", _poison, weight=0.3)
