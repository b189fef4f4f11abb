"""Tests of the suites in expectations/: mistakes are reported with place and remedy, and they match the contract."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import yaml
from yaml.nodes import MappingNode, Node, SequenceNode

from include.contract import COLUMNS, FILE_FAULTS, REJECT_RULES
from include.db.views import view_names
from include.errors import SuiteError
from include.quality.__main__ import main
from include.quality.model import Suite
from include.quality.reading import CHECK_KEYS, NEEDS_KEYS, SUITE_KEYS, WINDOW_KEYS
from include.quality.results import Status
from include.quality.sql_text import PLACEHOLDERS, fault_of_query
from include.quality.suites import SUITES_DIR, load_suite, load_suites, suite_names
from include.settings import REPOSITORY

# Importing Great Expectations takes eight seconds of a core.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shipped() -> dict[str, Suite]:
    return {suite.name: suite for suite in load_suites()}


def faults_of(directory: Path, text: str) -> list[str]:
    """Return the faults of one suite, ``bad.yml``, without the directory."""
    (directory / "bad.yml").write_text(text, encoding="utf-8")
    with pytest.raises(SuiteError) as caught:
        load_suites(directory)
    return [line.strip().removeprefix(f"{directory}/") for line in str(caught.value).splitlines() if "bad.yml:" in line]


def check(**lines: str) -> str:
    """Build a suite of shop.events with one check, which begins in line 3."""
    given = {
        "expect": "expect_column_values_to_be_in_set",
        "column": "currency",
        "value_set": "[EUR]",
        "severity": "critical",
        **lines,
    }
    body = "\n    ".join(f"{key}: {value}" for key, value in given.items() if value)
    return f"table: shop.events\nchecks:\n  - {body}\n"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            check(expect="expect_column_values_to_be_in_sett"),
            "bad.yml:3: there is no expectation expect_column_values_to_be_in_sett; "
            "did you mean expect_column_values_to_be_in_set?",
        ),
        (
            check(value_set="", value_sett="[EUR]"),
            "bad.yml:6: expect_column_values_to_be_in_set takes no value_sett; did you mean value_set?",
        ),
        (check(value_set=""), "bad.yml:3: expect_column_values_to_be_in_set needs value_set"),
        (check(value_set="3"), "bad.yml:5: value_set: 3: value is not a valid list"),
        (
            check(value_set="contract.curency"),
            "bad.yml:5: contract.curency does not exist; did you mean contract.currency?",
        ),
        (
            check(severity="critcal"),
            "bad.yml:6: severity critcal does not exist; did you mean critical?",
        ),
        (check(severity=""), "bad.yml:3: the check has no severity; add one of critical, warning, info"),
        (
            check(column="curency"),
            "bad.yml:4: shop.events has no column curency; did you mean currency?",
        ),
        (
            check(
                expect="expect_compound_columns_to_be_unique", column="", value_set="", column_list="[event_id, usr_id]"
            ),
            "bad.yml:5: shop.events has no column usr_id; did you mean user_id?",
        ),
        (
            check(expect="expect_column_values_to_match_regex", value_set="", regex="'^[A-Z'"),
            "bad.yml:6: regex ^[A-Z is not a regular expression: unterminated character set at position 1",
        ),
        (
            check(expect="expect_table_row_count_to_be_between", column="", value_set="", min_value="5", max_value="1"),
            "bad.yml:3: expect_table_row_count_to_be_between: "
            "min_value (5) must be less than or equal to max_value (1)",
        ),
        (
            check(expect="unexpected_rows_expectation", column="", value_set="", unexpected_rows_query="SELECT 1"),
            "bad.yml:3: unexpected_rows_expectation needs a `name:`, which identifies it in the results",
        ),
        (
            check(row_condition="x"),
            "bad.yml:7: expect_column_values_to_be_in_set takes no row_condition; "
            "known are column, mostly, value_set, name, expect, severity, when, needs, why",
        ),
        (
            check(expect="", expct="expect_column_values_to_be_in_set"),
            "bad.yml:3: the check does not say what to expect; expct should probably be expect",
        ),
        (
            check(name="[a]"),
            "bad.yml:7: name must be a non-empty string",
        ),
        (
            check() + "    column: currency\n",
            "bad.yml:7: column is given twice, first in line 4",
        ),
        (
            check() + check().partition("checks:\n")[2],
            "bad.yml:7: this check has the name and columns of the one in line 3; give it a `name:`",
        ),
        (
            check().replace("table", "tabel"),
            "bad.yml:1: tabel is not a key of a suite; did you mean table?",
        ),
        (
            check().replace("table: shop.events\n", ""),
            "bad.yml:1: the suite names no table; add, for example, `table: shop.events`",
        ),
        (
            check().replace("shop.events", "events"),
            "bad.yml:1: table events is not written as schema.table, for example shop.events",
        ),
        (
            check() + "rows: true; drop table shop.events\n",
            "bad.yml:7: rows must be one SQL condition, without a semicolon",
        ),
        *(
            (
                check(
                    name="sql",
                    expect="unexpected_rows_expectation",
                    column="",
                    value_set="",
                    unexpected_rows_query=query,
                ),
                f"bad.yml:6: unexpected_rows_query {fault}",
            )
            for query, fault in {
                "DELETE FROM shop.events": "contains DELETE, but checks can only read: write a SELECT",
                "WITH a AS (delete from x RETURNING 1) SELECT 1": "contains DELETE, but checks can only read:"
                " write a SELECT",
                "SELECT 1; DROP TABLE x": "contains DROP, but checks can only read: write a SELECT",
                "SELECT 1; SELECT 2": "has more than one statement; write one SELECT",
                "SELEC 1": "begins with SELEC; write one SELECT, or WITH ... SELECT",
                "SELECT '{wndow}'": "has {wndow}; known are {batch}, {window_from}, {window_to}, {last_batch_id},"
                " {cadence}, {live}, {grace}, {feed_rests}, {feed_is_expected};"
                " double a brace that belongs to the SQL",
                "SELECT '{a'": "has an unmatched brace (expected '}' before end of string);"
                " double a brace that belongs to the SQL",
            }.items()
        ),
        (
            check() + "window: {column: ingestd_at, first: 1 hour, longest: 1 day}\n",
            "bad.yml:7: shop.events has no column ingestd_at; did you mean ingested_at?",
        ),
        (
            check() + "window: {column: ingested_at, first: soon, longest: 1 day}\n",
            "bad.yml:7: first: 'soon' is not a time such as 10 minutes, 1 hour or 2 days",
        ),
        (
            check() + "window: {column: ingested_at}\n",
            "bad.yml:7: the window lacks first, longest; write, for example, "
            "`window: {column: ingested_at, first: 1 hour, longest: 1 day}`",
        ),
        (check() + "holds_publication: maybe\n", "bad.yml:7: holds_publication must be true or false, not maybe"),
        (check(when="nihgtly"), "bad.yml:7: when nihgtly does not exist; did you mean nightly?"),
        (
            check(needs="{query: SELECT 1}"),
            "bad.yml:7: needs lacks otherwise; it takes a `query:` and a message `otherwise:` for when it has no row",
        ),
        (
            check(needs="{query: TRUNCATE x, otherwise: no}"),
            "bad.yml:7: query contains TRUNCATE, but checks can only read: write a SELECT",
        ),
        (
            check().replace("shop.events", "shop.mine") + "columns: {currencies: text}\n",
            "bad.yml:4: shop.mine has no column currency; did you mean currencies?",
        ),
        (
            "table: shop.events\n",
            "bad.yml:1: the suite has no checks; add a list `checks:` with at least one `- expect: ...`",
        ),
        (
            "table: shop.events\nchecks: []\n",
            "bad.yml:2: the suite has no checks; add a list `checks:` with at least one `- expect: ...`",
        ),
        ("table: shop.events\nchecks:\n  - not null\n", "bad.yml:3: a check must be a list of `key: value` lines"),
        ("- a\n- b\n", "bad.yml:1: a suite must be a list of `key: value` lines"),
        ("table: [shop\nchecks: 1\n", "bad.yml:2: not YAML: expected ',' or ']', but got ':'"),
        ("", "bad.yml:1: the file is empty"),
        ("? [a]\n: b\n", "bad.yml:1: a key must be a word"),
        (
            check(value_set="!!python/name:os.system"),
            "bad.yml:5: could not determine a constructor for the tag 'tag:yaml.org,2002:python/name:os.system'",
        ),
    ],
)
def test_each_mistake_is_reported_with_its_place_and_remedy(tmp_path: Path, text: str, fault: str) -> None:
    assert fault in faults_of(tmp_path, text)


def replacements(root: Node) -> Iterator[tuple[Node, str]]:
    """Yield each scalar, list and mapping of a document with each text that might stand there by mistake."""
    wrong = ("3", "-1", "''", "[]", "{}", "null", "[[a]]", "{a: b}", "1" + 30 * "0", "1.5", "true", "!!int abc", "&a")
    nodes = [root]
    while nodes:
        node = nodes.pop()
        if isinstance(node, MappingNode):
            nodes += [one for pair in node.value for one in pair]
        elif isinstance(node, SequenceNode):
            nodes += node.value
        if node is not root:
            yield from ((node, text) for text in (*wrong, "9999999999999 days"))


def test_no_malformed_suite_ends_in_anything_but_a_list_of_mistakes(tmp_path: Path) -> None:
    text = check(
        name="sql",
        mostly="0.5",
        why="because",
        when="nightly",
        needs="[{query: SELECT 1, otherwise: too few, of: window}]",
    )
    text += "owner: anna\nrows: quantity > 1\nholds_publication: false\n"
    text += "columns: {currency: text, ingested_at: timestamptz}\n"
    text += "window: {column: ingested_at, first: 1 hour, longest: 1 day}\n"
    path = tmp_path / "events.yml"
    path.write_text(text, encoding="utf-8")
    assert load_suites(tmp_path)
    refusals = []
    root = yaml.compose(text, yaml.SafeLoader)
    assert root is not None
    for node, wrong in replacements(root):
        path.write_text(text[: node.start_mark.index] + wrong + text[node.end_mark.index :], encoding="utf-8")
        try:
            load_suites(tmp_path)
        except SuiteError as error:
            refusals.append(str(error))
    assert len(refusals) > 300
    assert [one for one in refusals if not re.search(r"events\.yml:\d+: \S", one)] == []


def test_the_name_of_a_file_names_the_suite(tmp_path: Path) -> None:
    (tmp_path / "My suite.yml").write_text(check(), encoding="utf-8")
    with pytest.raises(SuiteError, match=r"My suite\.yml:1: the file's name, My suite\.yml, names the suite"):
        load_suites(tmp_path)


def test_write_keywords_in_literals_and_comments_are_allowed(tmp_path: Path) -> None:
    query = "SELECT 'a; DELETE FROM b' AS \"(DROP\" /* ;CREATE */ FROM {batch} -- (ALTER\n"
    assert fault_of_query(query) == ""
    assert fault_of_query("SELECT '{{1,2}}'::int[]") == ""


def test_a_file_that_is_not_text_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "bad.yml").write_bytes(b"table: \xff\x00")
    with pytest.raises(SuiteError, match=r"bad\.yml:1: not a text file"):
        load_suites(tmp_path)


def test_all_mistakes_of_all_files_are_reported_at_once(tmp_path: Path) -> None:
    (tmp_path / "also_bad.yml").write_text(check(severity="loud"), encoding="utf-8")
    (tmp_path / "bad.yml").write_text(check(column="curency", severity="high", mostly="2"), encoding="utf-8")
    with pytest.raises(SuiteError, match="4 mistakes") as caught:
        load_suites(tmp_path)
    assert re.findall(r"(\w+\.yml:\d+)", str(caught.value)) == [
        "also_bad.yml:6",
        "bad.yml:6",
        "bad.yml:7",
        "bad.yml:4",
    ]


def test_a_directory_without_suites_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="contains no suite"):
        load_suites(tmp_path)


def test_one_suite_is_read_despite_mistakes_in_others(tmp_path: Path) -> None:
    (tmp_path / "events.yml").write_text(check(), encoding="utf-8")
    (tmp_path / "bad.yml").write_text("", encoding="utf-8")
    assert load_suite("events", tmp_path).table == "shop.events"
    with pytest.raises(SuiteError, match=r"there is no suite event in .*\. Choose one of bad, events\."):
        load_suite("event", tmp_path)


def test_yaml_words_are_not_read_as_booleans_or_dates(tmp_path: Path) -> None:
    (tmp_path / "events.yml").write_text(check(value_set="[NO, on, 2026-01-01, true, 1]"), encoding="utf-8")
    (suite,) = load_suites(tmp_path)
    assert suite.checks[0].parameters["value_set"] == ["NO", "on", "2026-01-01", True, 1]


def test_every_table_with_data_has_a_suite(shipped: dict[str, Suite]) -> None:
    tables = {"batches", "events", "files", "rejects", "rollup_minute", *view_names()}
    assert {suite.table for suite in shipped.values()} == {f"shop.{table}" for table in tables}
    assert {suite.name: suite.table for suite in shipped.values()} == {name: f"shop.{name}" for name in tables}


def test_columns_of_events_are_those_of_the_contract(shipped: dict[str, Suite]) -> None:
    added = {"batch_id": "bigint", "file_id": "bigint", "ingested_at": "timestamptz", "extra": "jsonb"}
    assert shipped["events"].columns == {column.name: column.postgres_type for column in COLUMNS} | added


def test_closed_sets_are_those_of_the_contract(shipped: dict[str, Suite]) -> None:
    allowed = {column.name: set(column.values) for column in COLUMNS if column.values}
    for suite in shipped.values():
        in_suite = {
            one.parameters["column"]: set(one.parameters["value_set"])
            for one in suite.checks
            if one.expectation == "expect_column_values_to_be_in_set"
        }
        if suite.name == "files":
            assert in_suite == {"fault": set(FILE_FAULTS)}
        elif suite.name == "events":
            assert in_suite == allowed
        else:
            assert in_suite == {column: allowed[column] for column in in_suite}


def test_columns_that_the_contract_requires_are_checked_for_null(shipped: dict[str, Suite]) -> None:
    not_null = {
        one.parameters["column"]
        for one in shipped["events"].checks
        if one.expectation == "expect_column_values_to_not_be_null"
    }
    assert not_null == {column.name for column in COLUMNS if not column.is_nullable}


def test_columns_that_some_event_types_require_are_checked_for_these_types(shipped: dict[str, Suite]) -> None:
    pattern = re.compile(r"WHERE event_type (?:= ('\w+')|IN \(([^)]*)\)) AND (\w+) IS NULL")
    in_suite = {}
    for one in shipped["events"].checks:
        for single, several, column in pattern.findall(str(one.parameters.get("unexpected_rows_query"))):
            in_suite[column] = set(re.findall(r"\w+", single or several))
    assert in_suite == {
        column.name: set(column.required_for) for column in COLUMNS if column.is_nullable and column.required_for
    }


def test_reject_reasons_are_those_of_the_contract(shipped: dict[str, Suite]) -> None:
    (known,) = (one for one in shipped["rejects"].checks if one.name == "reasons_are_known")
    assert re.findall(r"'(\w+)'", known.parameters["unexpected_rows_query"]) == [rule.code for rule in REJECT_RULES]


def test_suite_names_are_known_without_importing_great_expectations() -> None:
    code = (
        "import sys, include.quality.suites as s; print(*s.suite_names()); print('great_expectations' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [" ".join(suite_names()), "False"]
    assert set(suite_names()) == {path.stem for path in SUITES_DIR.glob("*.yml")}


def test_the_readme_shows_a_suite_that_works(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", (SUITES_DIR / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "events.yml").write_text(example, encoding="utf-8")
    (suite,) = load_suites(tmp_path)
    assert [one.name for one in suite.checks] == [
        "expect_column_values_to_be_in_set",
        "purchases_carry_a_payment_method",
        "no_day_is_half_as_large",
    ]


def test_the_readme_explains_every_key_and_placeholder() -> None:
    text = (SUITES_DIR / "README.md").read_text(encoding="utf-8")
    missing = [name for name in PLACEHOLDERS if f"`{{{name}}}`" not in text]
    missing += [key for key in (*SUITE_KEYS, *CHECK_KEYS, *WINDOW_KEYS, *NEEDS_KEYS) if f"{key}:" not in text]
    missing += [status for status in get_args(Status) if f"`{status}`" not in text]
    assert missing == []


def test_no_page_states_the_number_of_suites_or_views() -> None:
    counted = re.compile(r"\b(five|six|seven|eight|nine|ten|eleven|twelve|\d+)\s+(suites|views)\b", re.IGNORECASE)
    pages = [*REPOSITORY.glob("docs/*.md"), REPOSITORY / "README.md", SUITES_DIR / "README.md"]
    assert [(page.name, found[0]) for page in pages for found in counted.finditer(page.read_text("utf-8"))] == []


def test_validate_sets_its_exit_status_by_its_findings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "events.yml").write_text(check(), encoding="utf-8")
    assert main(["validate", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "events: 1 checks of shop.events\n"
    (tmp_path / "events.yml").write_text(check(severity="loud"), encoding="utf-8")
    assert main(["validate", str(tmp_path)]) == 1
    assert f"{tmp_path}/events.yml:6: severity loud does not exist" in capsys.readouterr().err
