"""Tests of the benchmark arithmetic: ratios, bounds, and what the guard reports as a regression."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from include.blocks import replace_block
from tests.programs.benchmarks.figures import Figure, Measured, Reach, Series, percentile
from tests.programs.benchmarks.guard import regressions
from tests.programs.benchmarks.report import markdown
from tests.programs.benchmarks.results import measured_of, read_results, with_measured, write_results

ABOUT = {
    "date": "2026-03-04",
    "commit": "abc",
    "machine": "2 cores",
    "python": "3.11",
    "postgres": "18.1",
    "pyspark": "4.2",
    "apache-airflow": "3.3",
    "pyarrow": "25",
    "minutes": 1,
}


def figure(value: float, reference: float = 100.0, **changes: Any) -> Figure:
    options = {"unit": "rows/s", "reference": "the other", "is_better": "more", **changes}
    return Figure("speed", "Speed", values=[value], references=[reference], **options)


def results_of(one: Figure) -> dict[str, Any]:
    results = with_measured({}, "quick", "throughput", Measured([one]), ABOUT)
    return dict(results["quick"])


def test_ratios_are_taken_round_by_round() -> None:
    found = Figure("a", "A", "s", [10.0, 30.0, 20.0], "b", [10.0, 10.0, 40.0])
    assert found.ratios == [1.0, 3.0, 0.5]
    assert (found.value, found.ratio) == (20.0, 1.0)


def test_one_reference_serves_all_rounds_and_different_counts_compare_medians() -> None:
    assert Figure("a", "A", "s", [10.0, 30.0], "b", [10.0]).ratios == [1.0, 3.0]
    assert Figure("a", "A", "s", [10.0, 30.0], "b", [10.0, 5.0, 20.0]).ratios == [2.0]
    assert Figure("a", "A", "s", [10.0]).ratio is None


@pytest.mark.parametrize(
    ("reach", "holds"),
    [
        (Reach("value", at_most=50), True),
        (Reach("value", at_most=49.9), False),
        (Reach("ratio", at_least=0.5), True),
        (Reach("ratio", at_least=0.51), False),
        (Reach("value", at_least=49, at_most=51), True),
    ],
)
def test_a_bound_applies_to_the_value_or_the_ratio(reach: Reach, holds: bool) -> None:
    assert reach.holds(figure(50.0)) is holds


def test_a_bound_on_a_missing_ratio_does_not_hold() -> None:
    assert not Reach("ratio", at_least=0.0).holds(Figure("a", "A", "s", [1.0]))


def test_percentiles_are_measured_values() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [percentile(values, share) for share in (0.5, 0.99, 1.0, 0.001)] == [50.0, 99.0, 100.0, 1.0]
    assert percentile([3.0], 0.99) == 3.0


def test_the_guard_reports_only_regressions() -> None:
    committed = results_of(figure(40.0))
    (worse,) = regressions(results_of(figure(30.0)), committed)
    assert "Speed: 0.30 of the other, committed 0.40" in worse
    assert "33 %" in worse
    assert regressions(results_of(figure(39.0)), committed) == []
    assert regressions(results_of(figure(80.0)), committed) == []
    assert regressions(results_of(figure(30.0)), {}) == []


def test_a_longer_time_is_a_regression() -> None:
    committed = results_of(figure(40.0, is_better="less"))
    assert regressions(results_of(figure(30.0, is_better="less")), committed) == []
    assert len(regressions(results_of(figure(60.0, is_better="less")), committed)) == 1


def test_an_unguarded_figure_is_never_a_regression() -> None:
    assert regressions(results_of(figure(10.0, is_guarded=False)), results_of(figure(40.0))) == []


def test_a_slower_machine_is_not_a_regression() -> None:
    assert regressions(results_of(figure(10.0, 25.0)), results_of(figure(40.0, 100.0))) == []


def test_results_survive_a_round_trip_through_their_file(tmp_path: Path) -> None:
    measured = Measured(
        [figure(123456.0, reach=Reach("ratio", at_least=1.0))], [Series("a", "A", "x", "y", [1.0, 2.0], [0.5, 0.25])]
    )
    path = tmp_path / "results.json"
    write_results(path, with_measured(read_results(path), "full", "throughput", measured, ABOUT))
    again = measured_of(read_results(path)["full"]["throughput"])
    # Values are rounded to four significant digits.
    assert again.figures[0].value == 123500.0
    assert again.figures[0].reach == Reach("ratio", at_least=1.0)
    assert again.series == measured.series


def test_the_report_marks_missed_bounds() -> None:
    measured = Measured(
        [
            figure(50.0, reach=Reach("ratio", at_least=0.45)),
            figure(40.0, reach=Reach("ratio", at_least=0.45)),
        ],
        [
            Series("line", "A line", "minute", "MiB", [0.0, 1.0], [10.0, 12.5]),
            Series("bars", "Some bars", "stage", "µs", ["read", "copy"], [1.5, 2.5]),
        ],
    )
    text = markdown(with_measured({}, "full", "throughput", measured, ABOUT))
    reached, missed = (line for line in text.splitlines() if line.startswith("| Speed"))
    assert reached == "| Speed | 50 rows/s |  | the other: 100 rows/s | 0.50 | ratio ≥ 0.45 | ✓ |"
    assert missed.endswith("| ratio ≥ 0.45 | **not reached** |")
    assert "line [10, 12.5]" in text
    assert "| copy | 2.5 |" in text


def test_only_the_block_is_replaced() -> None:
    assert replace_block("a\n<b>\nold\n<e>\nz\n", "<b>", "<e>", "new\n") == "a\n<b>\n\nnew\n\n<e>\nz\n"


@pytest.mark.parametrize(("page", "missing"), [("a\n<e>\n", "<b>"), ("a\n<b>\n", "<e>")])
def test_a_page_without_a_marker_is_refused(page: str, missing: str) -> None:
    with pytest.raises(ValueError, match=missing):
        replace_block(page, "<b>", "<e>", "new")
