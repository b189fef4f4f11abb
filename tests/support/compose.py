"""Read docker/compose.yaml and the Dockerfiles as an engine does, as far as they use its features."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from include.settings import REPOSITORY

DOCKER = REPOSITORY / "docker"
COMPOSE_FILE = DOCKER / "compose.yaml"

_VARIABLE = re.compile(r"\$\{(?P<name>[A-Z_]+)(?::-(?P<default>[^}]*))?\}")


def read_environment(path: Path) -> dict[str, str]:
    """Return the variables of a file like .env."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def read_compose(variables: Mapping[str, str] = {}) -> dict[str, Any]:
    """Return the compose file with its variables replaced; each must be known or have a default."""

    def fill(value: Any) -> Any:
        if isinstance(value, str):
            return _VARIABLE.sub(lambda found: _value_of(found, variables), value)
        if isinstance(value, list):
            return [fill(one) for one in value]
        if isinstance(value, dict):
            return {name: fill(one) for name, one in value.items()}
        return value

    filled: dict[str, Any] = fill(yaml.safe_load(COMPOSE_FILE.read_text(encoding="utf-8")))
    return filled


def variables_of_compose() -> set[str]:
    """Return the names of all variables that the compose file mentions."""
    text = "\n".join(
        line for line in COMPOSE_FILE.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")
    )
    return {found["name"] for found in _VARIABLE.finditer(text)}


def _value_of(found: re.Match[str], variables: Mapping[str, str]) -> str:
    value = variables.get(found["name"], "")
    if value == "" and found["default"] is None:
        raise KeyError(f"{found['name']} has no value and no default")
    return value or str(found["default"])


@dataclass
class Image:
    """The properties that the last stage of a Dockerfile gives to containers."""

    base: str
    entrypoint: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    directory: str = "/"
    # The home directory of the image's user.
    home: str = "/"
    # Paths of the image by paths of the repository.
    files: dict[str, str] = field(default_factory=dict)


def instructions(path: Path) -> list[tuple[str, str]]:
    """Yield the instructions of a Dockerfile in order: word and arguments."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [(word, rest) for word, _, rest in (line.strip().partition(" ") for line in lines) if word]


def read_dockerfile(path: Path) -> Image:
    """Read the last stage; files from an earlier stage are taken from the same path of the repository."""
    image = Image("")
    for word, rest in instructions(path):
        if word == "FROM":
            image = Image(rest.split()[0])
        elif word == "WORKDIR":
            image.directory = rest
        elif word == "ENV":
            name, _, value = rest.partition("=")
            image.environment[name] = value
        elif word == "ENTRYPOINT":
            image.entrypoint = json.loads(rest)
        elif word == "RUN" and (found := re.search(r"--home-dir (\S+)", rest)):
            image.home = found[1]
        elif word == "COPY":
            arguments = [one for one in rest.split() if not one.startswith("--")]
            *sources, target = arguments
            if "--from=build" in rest:
                sources = [target]
            for source in sources:
                image.files[source] = target if target.startswith("/") else f"{image.directory}/{target}"
    return image
