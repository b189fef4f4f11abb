"""Tests that the missing prerequisites of the tests are named before anything else runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import prerequisites


def test_without_root_one_line_names_everything_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert prerequisites.main() == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: the tests need prometheus, openssl, ")
    assert "git, make" in line
    assert "chromium" not in line, "Playwright fetches one later, without root"


def test_nothing_is_missing_where_the_tests_run() -> None:
    assert set(prerequisites.missing()) <= {prerequisites.FETCHED_LATER}
