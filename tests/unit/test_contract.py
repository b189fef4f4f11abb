"""Tests that the contract is consistent and that docs/contract.md shows its current state."""

from __future__ import annotations

import pytest

from include.contract import COLUMNS, EVENT_TYPES, REJECT_RULES, RULES, Column
from include.contract.dictionary import PAGE, with_dictionary
from include.stream.storage.slice_rows import reasons_of


def test_the_page_shows_the_current_contract() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == with_dictionary(text), "run `make docs` and commit docs/contract.md"


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
def test_a_column_is_fully_described(column: Column) -> None:
    assert column.meaning.endswith(".")
    assert set(column.required_for) <= set(EVENT_TYPES)
    assert not column.values or column.example in column.values


def test_every_closed_set_and_every_required_column_has_its_rule() -> None:
    codes = {rule.code for rule in RULES}
    assert {f"{column.name}_unknown" for column in COLUMNS if column.values} <= codes
    assert {f"{column.name}_missing" for column in COLUMNS if column.required_for} <= codes


def test_each_flag_maps_to_its_rule() -> None:
    for bit, rule in enumerate(RULES):
        assert reasons_of(1 << bit) == ([rule.code] if rule.severity == "reject" else [])
    assert reasons_of((1 << len(RULES)) - 1) == [rule.code for rule in REJECT_RULES]


def test_only_the_rules_of_the_reader_have_no_corrupt_value() -> None:
    intact = {rule.code for rule in REJECT_RULES if not rule.corrupt}
    assert intact == {rule.code for rule in REJECT_RULES if rule.predicate is None}
