"""Plan the faults: the same seed gives the same faults in the same order, with the same choices in each."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from tests.programs.chaos.faults import FAULTS, Fault


def schedule(seed: int, only: Sequence[str] = ()) -> Iterator[tuple[Fault, random.Random]]:
    """Every fault once in a random order, then random ones without end, each with a source of chance of its own.

    Parameters
    ----------
    seed:
        Of everything that is random in a run, but for the moments at which the instance itself gets somewhere.
    only:
        The names of the faults to choose from; all when empty.
    """
    chance = random.Random(seed)
    faults = [FAULTS[name] for name in only or FAULTS]
    first = faults if only else chance.sample(faults, len(faults))
    for number, fault in enumerate(_endless(first, faults, chance)):
        yield fault, random.Random(f"{seed}/{number}/{fault.name}")


def _endless(first: list[Fault], faults: list[Fault], chance: random.Random) -> Iterator[Fault]:
    yield from first
    while True:
        yield chance.choices(faults, [fault.weight for fault in faults])[0]
