"""Tests that the site of docs/ builds without a broken link, and finds one that is broken."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from include.settings import REPOSITORY

pytestmark = pytest.mark.slow


def build(repository: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Build the site of a checkout into a directory."""
    command = [sys.executable, "-m", "mkdocs", "build", "--config-file", ".mkdocs.yml", "--site-dir", str(site)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True)


def test_the_site_builds_without_a_broken_link_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    done = build(REPOSITORY, tmp_path / "site")
    assert done.returncode == 0, done.stderr
    for name in ("index.html", "api.html", "dags.html", "decisions/index.html"):
        text = (tmp_path / "site" / name).read_text(encoding="utf-8")
        assert 'src="http' not in text
        assert 'rel="stylesheet" href="http' not in text


def test_broken_links_and_pages_outside_the_navigation_fail_the_build(tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY / "docs", tmp_path / "docs")
    for name in (".mkdocs.yml", "tests/programs/docs_site.py", "CONTRIBUTING.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, tmp_path / name)
    with (tmp_path / "docs" / "faq.md").open("a", encoding="utf-8") as page:
        page.write("\n[a](nowhere.md) [b](operations.md#no-such-heading) [c](../include/nowhere.py)\n")
    (tmp_path / "docs" / "forgotten.md").write_text("# Forgotten\n")
    done = build(tmp_path, tmp_path / "site")
    assert done.returncode != 0
    for part in ("nowhere.md", "#no-such-heading", "../include/nowhere.py", "forgotten.md"):
        assert part in done.stderr


def test_the_navigation_and_the_start_page_have_the_same_pages() -> None:
    text = (REPOSITORY / ".mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2].partition("\nnot_in_nav")[0]
    sections = yaml.safe_load(f"nav:{text}")["nav"]
    pages = {
        page for section in sections for pages in section.values() for page in ([pages], pages)[type(pages) is list]
    }
    start = (REPOSITORY / "docs" / "README.md").read_text(encoding="utf-8")
    assert {page for page in pages if page != "README.md" and f"({page})" not in start} == set()
