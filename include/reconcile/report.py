"""Collect comparisons into a report of what agrees and what does not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

_SHOWN_DIFFERENCES = 40
_SHOWN_PROBLEMS = 20

Number = int | Decimal


@dataclass(frozen=True)
class Comparison:
    """Two numbers that should be the same.

    Parameters
    ----------
    subject:
        The file, run or table that the numbers are about.
    measure:
        What is counted. The report adds up the comparisons of each measure.
    expected, found:
        The number in the manifest or the first table, and the number in the other table.
    """

    subject: str
    measure: str
    expected: Number
    found: Number

    @property
    def agrees(self) -> bool:
        """Whether the numbers are equal."""
        return self.expected == self.found


@dataclass
class _Sum:
    expected: Number = 0
    found: Number = 0
    compared: int = 0
    differing: int = 0


@dataclass(frozen=True)
class Report:
    """The outcome of a reconciliation.

    Parameters
    ----------
    sums:
        The sums of the comparisons by measure, in the order of their first comparison.
    differences:
        Every comparison that does not agree.
    problems:
        Reasons why something could not be compared that should have been. Each counts as a disagreement.
    notes:
        Remarks about what was left out for a valid reason.
    """

    sums: dict[str, _Sum]
    differences: tuple[Comparison, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    @classmethod
    def of(cls, comparisons: Iterable[Comparison], problems: Iterable[str] = (), notes: Iterable[str] = ()) -> Report:
        """Create a report from comparisons."""
        sums: dict[str, _Sum] = {}
        differences = []
        for one in comparisons:
            total = sums.setdefault(one.measure, _Sum())
            total.expected += one.expected
            total.found += one.found
            total.compared += 1
            if not one.agrees:
                total.differing += 1
                differences.append(one)
        return cls(sums, tuple(differences), tuple(problems), tuple(notes))

    @property
    def agrees(self) -> bool:
        """Whether everything could be compared and agrees."""
        return not self.differences and not self.problems

    def summary(self) -> str:
        """Return the outcome in one line."""
        compared = sum(one.compared for one in self.sums.values())
        if self.agrees:
            return f"agreed: {compared} comparisons, to the row and the cent"
        return f"NOT agreed: {len(self.differences)} of {compared} comparisons differ; problems: {len(self.problems)}"

    def show(self, console: Console) -> None:
        """Print the sums, the differences, the problems and the outcome."""
        table = Table("", "measure", "expected", "found", "compared", "differing", box=None, pad_edge=False)
        for column in table.columns[2:]:
            column.justify = "right"
        for measure, one in self.sums.items():
            mark = "[red]✗[/]" if one.differing else "[green]✓[/]"
            table.add_row(
                mark, escape(measure), str(one.expected), str(one.found), str(one.compared), str(one.differing)
            )
        console.print(table)
        if self.differences:
            table = Table("where", "measure", "expected", "found", box=None, pad_edge=False, title="Differences")
            for difference in self.differences[:_SHOWN_DIFFERENCES]:
                table.add_row(
                    escape(difference.subject),
                    escape(difference.measure),
                    str(difference.expected),
                    str(difference.found),
                )
            console.print(table)
            _print_rest(console, len(self.differences) - _SHOWN_DIFFERENCES, "differences")
        for problem in self.problems[:_SHOWN_PROBLEMS]:
            console.print(f"[red]✗[/] {escape(problem)}")
        _print_rest(console, len(self.problems) - _SHOWN_PROBLEMS, "problems")
        for note in self.notes:
            console.print(f"note: {escape(note)}")
        console.print(escape(self.summary()), style="green" if self.agrees else "red")


def _print_rest(console: Console, count: int, what: str) -> None:
    if count > 0:
        console.print(f"… and {count} more {what}")
