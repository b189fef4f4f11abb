"""The files of the cockpit's pages: what they may not contain, that they find each other, that colours can be read."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

from include.settings import REPOSITORY

STATIC = REPOSITORY / "include" / "airflow" / "cockpit" / "static"
MODULES = sorted(STATIC.rglob("*.js"))
TEXTS = [*MODULES, STATIC / "index.html", STATIC / "cockpit.css", STATIC / "icon.svg"]
# A name, not an address: nothing is fetched from there.
SVG_NAMESPACE = "http://www.w3.org/2000/svg"


def names(paths: list[Path]) -> list[str]:
    """For the titles of the tests."""
    return [str(path.relative_to(STATIC)) for path in paths]


@pytest.mark.parametrize("path", MODULES, ids=names(MODULES))
def test_data_cannot_become_markup_or_code(path: Path) -> None:
    ways = (
        r"innerHTML|outerHTML|insertAdjacentHTML|setHTML|document\.write|createContextualFragment|\beval\(|new Function"
    )
    assert re.findall(ways, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", TEXTS, ids=names(TEXTS))
def test_nothing_comes_from_elsewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace(SVG_NAMESPACE, "")
    assert re.findall(r"""https?://[^\s"'`]+|["'(]//[a-z]""", text) == []


@pytest.mark.parametrize("path", MODULES, ids=names(MODULES))
def test_imports_are_files(path: Path) -> None:
    for name in re.findall(r"""(?:from|import\()\s*["'](\.[^"']+)["']""", path.read_text(encoding="utf-8")):
        assert (path.parent / name).is_file(), f"{path.name} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=names(MODULES))
def test_what_is_imported_is_exported_and_used(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for imported, name in re.findall(r"""import \{([^}]+)\} from ["'](\.[^"']+)["']""", text):
        source = (path.parent / name).read_text(encoding="utf-8")
        for one in filter(None, (part.strip() for part in imported.split(","))):
            assert re.search(rf"export (?:async )?(?:const|function|class) {one}\b", source), f"{name} exports no {one}"
            assert len(re.findall(rf"\b{one}\b", text)) > 1, f"{one} is imported and not used"


def test_the_shell_names_files_that_exist_and_all_that_every_page_needs() -> None:
    shell = (STATIC / "index.html").read_text(encoding="utf-8")
    for name in re.findall(r"""(?:src|href)="static/([^"]+)\"""", shell):
        assert (STATIC / name).is_file(), f"index.html names {name}"
    shared = {path.name for path in STATIC.glob("*.js")}
    assert {name for name in shared if f'"static/{name}"' in shell} == shared


def test_everything_vendored_says_where_it_comes_from() -> None:
    told = (STATIC / "vendor" / "README.md").read_text(encoding="utf-8")
    for path in (STATIC / "vendor").iterdir():
        assert path.name == "README.md" or f"`{path.name}`" in told


# Colours --------------------------------------------------------------------------------------------------------------

TEXT_CONTRAST = 4.5
SHAPE_CONTRAST = 3.0
GROUNDS = ("ground", "surface", "raised")


def colours(theme: str) -> dict[str, str]:
    """The custom properties of a theme that are colours, dark ones over the light ones."""
    css = (STATIC / "cockpit.css").read_text(encoding="utf-8")
    light, dark = re.findall(r":root(?:\[data-theme=\"dark\"\])? \{([^}]+)\}", css)
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light))
    return found | dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", dark)) if theme == "dark" else found


def luminance(colour: str) -> float:
    """Relative luminance, as WCAG 2.2 defines it."""
    channels = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """The ratio of two colours, 1 to 21."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_can_be_read(theme: str) -> None:
    given = colours(theme)
    states = ("ok", "warn", "bad", "info")
    texts = [*product(("ink", "quiet", "accent"), GROUNDS), *product(states, ("ground", "surface"))]
    texts += [(state, f"{state}-ground") for state in states]
    texts += [("ink", f"{state}-ground") for state in states] + [("on-accent", "accent")]
    shapes = [*product((f"series-{number}" for number in range(6)), ["surface"]), *product(["edge"], GROUNDS)]
    ratios = {pair: contrast(given[pair[0]], given[pair[1]]) for pair in [*texts, *shapes]}
    limits = dict.fromkeys(texts, TEXT_CONTRAST) | dict.fromkeys(shapes, SHAPE_CONTRAST)
    assert {pair: round(ratio, 2) for pair, ratio in ratios.items() if ratio < limits[pair]} == {}
