"""The OpenAPI document is valid and complete, and matches docs/api.md."""

from __future__ import annotations

import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from include.settings import REPOSITORY, Settings
from tests.cockpit.conftest import Server
from tests.support.trust import add_alert, add_minute, add_quality_run

PAGE = (REPOSITORY / "docs" / "api.md").read_text(encoding="utf-8")


@pytest.fixture
def document(server: Server) -> dict[str, Any]:
    """Return the document that clients get."""
    found: dict[str, Any] = server.get("/openapi.json").json()
    return found


def test_the_openapi_document_is_valid(document: dict[str, Any]) -> None:
    validate(document)
    assert document["servers"] == [{"url": "/shopstream"}]
    names = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(set(names)) == len(names)


def test_every_operation_says_how_it_fails(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["description"], path
            problems = {"401", "403", "422", "503"} | ({"409"} if method == "post" else set())
            for status in problems | ({"404"} if "{" in path else set()):
                assert list(operation["responses"][status]["content"]) == ["application/problem+json"]
            assert ("304" in operation["responses"]) == (method == "get")


def test_every_route_is_on_the_page_and_no_other(document: dict[str, Any]) -> None:
    actions = {
        "/stream/{act}": ("pause", "resume", "drain"),
        "/retractions/requests/{dag_run_id}/{act}": ("approve", "reject"),
    }
    described = {
        (method.upper(), path.removeprefix("/api/v1"))
        for path, methods in document["paths"].items()
        for method in methods
        if path.removeprefix("/api/v1") not in actions
    } | {("POST", path.replace("{act}", act)) for path, names in actions.items() for act in names}
    written = set()
    for line in re.findall(r"^\| `(.+)$", PAGE, re.MULTILINE):
        method = line.split()[0]
        for path in re.findall(r"`(?:GET |POST )?(/[^?`]+)", "`" + line.split(" | ")[0]):
            written.add((method, path))
    assert written == described


PATHS = (
    "/me",
    "/overview",
    "/stream",
    "/stream/batches",
    "/stream/files",
    "/stream/rejects",
    "/views",
    "/quality/suites",
    "/objectives",
    "/alerts",
    "/alerts/1",
)


@pytest.mark.parametrize("path", PATHS)
def test_responses_match_the_schema(server: Server, database: Settings, document: dict[str, Any], path: str) -> None:
    add_alert(database)
    add_quality_run(database)
    add_minute(database, "freshness", 1, 0.5)
    template = re.sub(r"/\d+", "/{alert_id}", path)
    schema = document["paths"][f"/api/v1{template}"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    validator = Draft202012Validator({**schema, "components": document["components"]})
    assert list(validator.iter_errors(server.get(path).json())) == []
