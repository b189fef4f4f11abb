"""Define a measured figure: its values by round, the reference's values, and its target."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Reach:
    """A bound for the median of the values or of the ratios."""

    of: Literal["value", "ratio"]
    at_least: float | None = None
    at_most: float | None = None

    def holds(self, figure: Figure) -> bool:
        """Return whether the figure is within the bound."""
        found = figure.value if self.of == "value" else figure.ratio
        if found is None:
            return False
        return (self.at_least is None or found >= self.at_least) and (self.at_most is None or found <= self.at_most)


@dataclass(frozen=True)
class Figure:
    """A measured time or speed.

    Parameters
    ----------
    name:
        Unique among all figures; it is how the guard finds the one to compare with.
    title, unit:
        For the reader.
    values:
        One a round.
    reference:
        What ``references`` are, in words.
    references:
        In the same unit, one a round, or a single one for all.
    reach:
        What was to be reached, if anything.
    is_better:
        Which way is good.
    is_guarded:
        Whether it repeats well enough, in a quick run too, for the guard to compare it.
    """

    name: str
    title: str
    unit: str
    values: Sequence[float]
    reference: str = ""
    references: Sequence[float] = ()
    reach: Reach | None = None
    is_better: Literal["more", "less"] = "less"
    is_guarded: bool = True

    @property
    def value(self) -> float:
        """Return the median of the rounds."""
        return statistics.median(self.values)

    @property
    def ratios(self) -> list[float]:
        """Return value by reference for each round; empty without a reference."""
        if len(self.references) == len(self.values):
            return [value / reference for value, reference in zip(self.values, self.references, strict=True)]
        if len(self.references) == 1:
            return [value / self.references[0] for value in self.values]
        if self.references:
            return [self.value / statistics.median(self.references)]
        return []

    @property
    def ratio(self) -> float | None:
        """Return the median of the ratios; None without a reference."""
        return statistics.median(self.ratios) if self.references else None


@dataclass(frozen=True)
class Series:
    """A line of a plot: ``y`` over ``x``, of equal length."""

    name: str
    title: str
    x_title: str
    y_title: str
    x: Sequence[float | str]
    y: Sequence[float]


@dataclass(frozen=True)
class Measured:
    """The results of one benchmark."""

    figures: list[Figure] = field(default_factory=list)
    series: list[Series] = field(default_factory=list)

    def __add__(self, other: Measured) -> Measured:
        return Measured([*self.figures, *other.figures], [*self.series, *other.series])


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least ``share`` of all values do not exceed (nearest rank)."""
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * share // 1))
    return ordered[int(rank) - 1]
