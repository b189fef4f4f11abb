"""The arithmetic of the benchmarks: what they say of a figure, and what the guard calls worse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from include.blocks import replace_block
from tests.benchmarks.figures import Figure, Measured, Reach, Series, percentile
from tests.benchmarks.guard import regressions
from tests.benchmarks.report import markdown
from tests.benchmarks.results import measured_of, read_results, with_measured, write_results

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


def test_one_reference_serves_all_rounds_and_unlike_counts_are_compared_by_their_medians() -> None:
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
def test_a_bound_is_for_the_value_or_for_the_ratio(reach: Reach, holds: bool) -> None:
    assert reach.holds(figure(50.0)) is holds


def test_a_bound_of_a_ratio_that_there_is_not_does_not_hold() -> None:
    assert not Reach("ratio", at_least=0.0).holds(Figure("a", "A", "s", [1.0]))


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [percentile(values, share) for share in (0.5, 0.99, 1.0, 0.001)] == [50.0, 99.0, 100.0, 1.0]
    assert percentile([3.0], 0.99) == 3.0


def test_the_guard_reports_what_became_worse_and_nothing_else() -> None:
    committed = results_of(figure(40.0))
    (worse,) = regressions(results_of(figure(30.0)), committed)
    assert "Speed: 0.30 of the other, committed 0.40" in worse
    assert "33 %" in worse
    assert regressions(results_of(figure(39.0)), committed) == []
    assert regressions(results_of(figure(80.0)), committed) == []
    assert regressions(results_of(figure(30.0)), {}) == []


def test_for_a_time_more_is_worse() -> None:
    committed = results_of(figure(40.0, is_better="less"))
    assert regressions(results_of(figure(30.0, is_better="less")), committed) == []
    assert len(regressions(results_of(figure(60.0, is_better="less")), committed)) == 1


def test_what_does_not_repeat_is_not_guarded() -> None:
    assert regressions(results_of(figure(10.0, is_guarded=False)), results_of(figure(40.0))) == []


def test_a_machine_that_is_slower_in_all_is_not_worse() -> None:
    assert regressions(results_of(figure(10.0, 25.0)), results_of(figure(40.0, 100.0))) == []


def test_results_survive_their_file(tmp_path: Path) -> None:
    measured = Measured(
        [figure(123456.0, reach=Reach("ratio", at_least=1.0))], [Series("a", "A", "x", "y", [1.0, 2.0], [0.5, 0.25])]
    )
    path = tmp_path / "results.json"
    write_results(path, with_measured(read_results(path), "full", "throughput", measured, ABOUT))
    again = measured_of(read_results(path)["full"]["throughput"])
    # Four digits are kept.
    assert again.figures[0].value == 123500.0
    assert again.figures[0].reach == Reach("ratio", at_least=1.0)
    assert again.series == measured.series


def test_the_report_says_what_was_not_reached() -> None:
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


def test_a_block_is_replaced_and_nothing_else() -> None:
    assert replace_block("a\n<b>\nold\n<e>\nz\n", "<b>", "<e>", "new\n") == "a\n<b>\n\nnew\n\n<e>\nz\n"


@pytest.mark.parametrize(("page", "missing"), [("a\n<e>\n", "<b>"), ("a\n<b>\n", "<e>")])
def test_a_page_without_a_marker_is_told(page: str, missing: str) -> None:
    with pytest.raises(ValueError, match=missing):
        replace_block(page, "<b>", "<e>", "new")
