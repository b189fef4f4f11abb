"""Build the OpenAPI document: FastAPI's own schema, plus the responses and headers that all routes share."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from include.airflow.cockpit.access.guard import OWN_HEADER, SECURITY
from include.airflow.cockpit.models import Problem
from include.airflow.cockpit.responses.problems import MEDIA_TYPE

_PROBLEM = {"schema": {"$ref": "#/components/schemas/Problem"}}
_ALWAYS = {
    "401": "The caller is not signed in.",
    "403": "The user's role does not allow this.",
    "422": "A parameter or the body is invalid; `errors` lists each fault.",
    "503": "PostgreSQL does not answer; try again after `Retry-After` seconds.",
}
_ETAG = {"ETag": {"description": "Identifies this content.", "schema": {"type": "string"}}}
_KNOWN = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "The ETag of the content that the caller already has.",
}
_OWN = {
    "name": OWN_HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "`shopstream`; required when the caller authenticates with the cookie.",
}


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of the application."""
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
        problems["404"] = "The resource does not exist."
    if method == "post":
        problems["409"] = "The request conflicts with the current state."
        operation.setdefault("parameters", []).append(_OWN)
    else:
        operation.setdefault("parameters", []).append(_KNOWN)
        operation["responses"]["200"]["headers"] = _ETAG
        operation["responses"]["304"] = {"description": "The caller already has this content."}
    for status, text in problems.items():
        operation["responses"][status] = {"description": text, "content": {MEDIA_TYPE: _PROBLEM}}
