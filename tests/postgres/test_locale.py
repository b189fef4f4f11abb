"""Tests that a database cluster does not depend on the locale of the user's shell."""

from __future__ import annotations

import pytest

from include.platform.services import postgres
from include.settings import Settings
from tests.support.postgres import temporary_home


@pytest.mark.parametrize("locale", ["xx_XX", "de_DE.UTF-8", None])
def test_a_cluster_is_made_under_a_locale_that_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, locale: str | None
) -> None:
    for name in ("LC_ALL", "LANG", "LC_NUMERIC"):
        if locale is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, locale)
    with temporary_home() as home:
        settings = Settings(home=home)
        postgres.let_server_through(settings)
        assert postgres.initialize(settings, is_durable=False)
        configuration = (postgres.data_dir(settings) / "postgresql.conf").read_text(encoding="utf-8")
    chosen = [line.split("#")[0].split() for line in configuration.splitlines() if line.startswith("lc_")]
    assert [value.strip("'") for *_, value in chosen] == ["C"] * 4
