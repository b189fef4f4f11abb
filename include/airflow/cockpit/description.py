"""The machine-readable description of the API: what FastAPI finds out, and what all routes have in common."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from include.airflow.cockpit.guard import OWN_HEADER, SECURITY
from include.airflow.cockpit.models import Problem
from include.airflow.cockpit.problems import MEDIA_TYPE

_PROBLEM = {"schema": {"$ref": "#/components/schemas/Problem"}}
_ALWAYS = {
    "401": "Nobody is logged in.",
    "403": "The user's role does not allow this.",
    "422": "A parameter is at fault; `errors` says which.",
    "503": "Postgres does not answer; try again after `Retry-After` seconds.",
}
_ETAG = {"ETag": {"description": "Of this content.", "schema": {"type": "string"}}}
_KNOWN = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "The ETag of what the caller has.",
}
_OWN = {
    "name": OWN_HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "`shopstream`; required of callers that are authenticated by the cookie.",
}


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of the application."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes, servers=app.servers
        )
        schemas = document["components"]["schemas"]
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        _, problem = models_json_schema([(Problem, "serialization")], ref_template="#/components/schemas/{model}")
        schemas.update(problem["$defs"])
        document["components"]["securitySchemes"] = SECURITY
        document["security"] = [{name: []} for name in SECURITY]
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                _complete(path, method, operation)
        app.openapi_schema = document
    return app.openapi_schema


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    problems = dict(_ALWAYS)
    if "{" in path:
        problems["404"] = "There is no such thing."
    if method == "post":
        problems["409"] = "It contradicts the state that things are in."
        operation.setdefault("parameters", []).append(_OWN)
    else:
        operation.setdefault("parameters", []).append(_KNOWN)
        operation["responses"]["200"]["headers"] = _ETAG
        operation["responses"]["304"] = {"description": "The caller has it already."}
    for status, text in problems.items():
        operation["responses"][status] = {"description": text, "content": {MEDIA_TYPE: _PROBLEM}}
