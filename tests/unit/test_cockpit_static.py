"""Tests of the cockpit's static files: forbidden content, imports that exist, and color contrast."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

from include.settings import REPOSITORY

STATIC = REPOSITORY / "include" / "airflow" / "cockpit" / "static"
MODULES = sorted(STATIC.rglob("*.js"))
TEXTS = [*MODULES, STATIC / "index.html", STATIC / "cockpit.css", STATIC / "icon.svg"]
# A namespace name only: nothing is fetched from it.
SVG_NAMESPACE = "http://www.w3.org/2000/svg"


def names(paths: list[Path]) -> list[str]:
    """Return the file names, which serve as test ids."""
    return [str(path.relative_to(STATIC)) for path in paths]


@pytest.mark.parametrize("path", MODULES, ids=names(MODULES))
def test_data_cannot_become_markup_or_code(path: Path) -> None:
    ways = (
        r"innerHTML|outerHTML|insertAdjacentHTML|setHTML|document\.write|createContextualFragment|\beval\(|new Function"
    )
    assert re.findall(ways, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", TEXTS, ids=names(TEXTS))
def test_no_file_refers_to_another_site(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace(SVG_NAMESPACE, "")
    assert re.findall(r"""https?://[^\s"'`]+|["'(]//[a-z]""", text) == []


@pytest.mark.parametrize("path", MODULES, ids=names(MODULES))
def test_imported_modules_exist(path: Path) -> None:
    for name in re.findall(r"""(?:from|import\()\s*["'](\.[^"']+)["']""", path.read_text(encoding="utf-8")):
        assert (path.parent / name).is_file(), f"{path.name} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=names(MODULES))
def test_imported_names_are_exported_and_used(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for imported, name in re.findall(r"""import \{([^}]+)\} from ["'](\.[^"']+)["']""", text):
        source = (path.parent / name).read_text(encoding="utf-8")
        for one in filter(None, (part.strip() for part in imported.split(","))):
            assert re.search(rf"export (?:async )?(?:const|function|class) {one}\b", source), f"{name} exports no {one}"
            assert len(re.findall(rf"\b{one}\b", text)) > 1, f"{one} is imported and not used"


def test_the_shell_names_existing_files_and_every_shared_module() -> None:
    shell = (STATIC / "index.html").read_text(encoding="utf-8")
    for name in re.findall(r"""(?:src|href)="static/([^"]+)\"""", shell):
        assert (STATIC / name).is_file(), f"index.html names {name}"
    shared = {path.name for path in STATIC.glob("*.js")}
    assert {name for name in shared if f'"static/{name}"' in shell} == shared


def test_the_vendor_readme_names_every_vendored_file() -> None:
    page = (STATIC / "vendor" / "README.md").read_text(encoding="utf-8")
    for path in (STATIC / "vendor").iterdir():
        assert path.name == "README.md" or f"`{path.name}`" in page


# Colours --------------------------------------------------------------------------------------------------------------

TEXT_CONTRAST = 4.5
SHAPE_CONTRAST = 3.0
GROUNDS = ("ground", "surface", "raised")


def colours(theme: str) -> dict[str, str]:
    """Return the custom properties of a theme that are colors; the dark theme overrides the light one."""
    css = (STATIC / "cockpit.css").read_text(encoding="utf-8")
    light, dark = re.findall(r":root(?:\[data-theme=\"dark\"\])? \{([^}]+)\}", css)
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light))
    return found | dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", dark)) if theme == "dark" else found


def luminance(colour: str) -> float:
    """Return the relative luminance, as WCAG 2.2 defines it."""
    channels = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colors, 1 to 21."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_matches_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_have_enough_contrast(theme: str) -> None:
    given = colours(theme)
    states = ("ok", "warn", "bad", "info")
    texts = [*product(("ink", "quiet", "accent"), GROUNDS), *product(states, ("ground", "surface"))]
    texts += [(state, f"{state}-ground") for state in states]
    texts += [("ink", f"{state}-ground") for state in states] + [("on-accent", "accent"), ("on-accent", "bad")]
    shapes = [*product((f"series-{number}" for number in range(6)), ["surface"]), *product(["edge"], GROUNDS)]
    ratios = {pair: contrast(given[pair[0]], given[pair[1]]) for pair in [*texts, *shapes]}
    limits = dict.fromkeys(texts, TEXT_CONTRAST) | dict.fromkeys(shapes, SHAPE_CONTRAST)
    assert {pair: round(ratio, 2) for pair, ratio in ratios.items() if ratio < limits[pair]} == {}
