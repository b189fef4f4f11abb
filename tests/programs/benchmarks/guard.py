"""Guard a release: compare the ratios of a quick run with the committed ones."""

from __future__ import annotations

from collections.abc import Iterator

from tests.programs.benchmarks.figures import Figure
from tests.programs.benchmarks.results import Results, measured_of

# On a shared machine, two runs of the same commit differ by less than this.
TOLERANCE = 0.25


def regressions(now: Results, committed: Results) -> list[str]:
    """Return the figures whose ratio is worse than the committed one by more than the tolerance, in words."""
    known = {figure.name: figure for figure in _figures(committed)}
    found = []
    for figure in (one for one in _figures(now) if one.is_guarded):
        before = known.get(figure.name)
        if before is None or before.ratio is None or figure.ratio is None:
            continue
        worse = before.ratio / figure.ratio if figure.is_better == "more" else figure.ratio / before.ratio
        if worse > 1 + TOLERANCE:
            found.append(
                f"{figure.title}: {figure.ratio:.2f} of {figure.reference}, committed {before.ratio:.2f}: "
                f"worse by {100 * (worse - 1):.0f} %, {100 * TOLERANCE:.0f} % are tolerated"
            )
    return found


def _figures(results: Results) -> Iterator[Figure]:
    for found in results.values():
        yield from measured_of(found).figures
