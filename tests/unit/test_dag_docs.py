"""Tests that docs/dags.md is generated from the current DAG files."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.airflow.dag_docs import PAGE, main, read_dag, render


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "run `python -m include.airflow.dag_docs`"


def test_check_reports_a_stale_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "docs" / "dags.md"
    monkeypatch.setattr("include.airflow.dag_docs.PAGE", page)
    assert main(["--check"]) == 1
    assert "is stale; run `python -m include.airflow.dag_docs`" in capsys.readouterr().err
    assert main([]) == 0
    assert main(["--check"]) == 0
    page.write_text(page.read_text() + "edited")
    assert main(["--check"]) == 1


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("@dag(schedule='@daily')\ndef one(): ...", "has no docstring"),
        ('"""Runbook."""\n@dag(schedule="@daily")\ndef other(): ...', "defines no function one"),
        ('"""Runbook."""\n@dag(schedule=SCHEDULE)\ndef one(): ...', "no literal schedule"),
    ],
)
def test_a_dag_file_that_cannot_be_described_is_named(tmp_path: Path, source: str, fault: str) -> None:
    path = tmp_path / "one.py"
    path.write_text(source)
    with pytest.raises(ValueError, match=f"one.py .*{fault}"):
        read_dag(path)
