"""Errors as RFC 9457 has them: each that leaves the API, also those of Airflow and of Postgres, is a ``Problem``."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import psycopg2
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy import exc
from starlette.exceptions import HTTPException

from include.airflow.cockpit.models import Problem, ProblemField
from include.errors import PlatformError, ShopstreamError

MEDIA_TYPE = "application/problem+json"
_LONGEST_VALUE = 100
_RETRY_SECONDS = 5
# Of the analytics database, and of Airflow's own, which knows the users.
_LOST_DATABASE = (psycopg2.OperationalError, psycopg2.InterfaceError, exc.OperationalError, exc.TimeoutError)
# For programs, and for people.
_KINDS = {
    HTTPStatus.UNAUTHORIZED: ("unauthenticated", "Nobody is logged in"),
    HTTPStatus.FORBIDDEN: ("forbidden", "Not allowed"),
    HTTPStatus.NOT_FOUND: ("not-found", "There is no such thing"),
    HTTPStatus.METHOD_NOT_ALLOWED: ("method-not-allowed", "Not that way"),
    HTTPStatus.CONFLICT: ("conflict", "It contradicts how things are"),
    HTTPStatus.UNPROCESSABLE_ENTITY: ("invalid", "A parameter is at fault"),
    HTTPStatus.INTERNAL_SERVER_ERROR: ("internal", "The server failed"),
    HTTPStatus.SERVICE_UNAVAILABLE: ("unavailable", "Postgres does not answer"),
}


class ProblemError(ShopstreamError):
    """A request that is refused: the HTTP status, what happened, and what to do."""

    def __init__(self, status: HTTPStatus, what: str, remedy: str = "") -> None:
        self.status = status
        super().__init__(what, remedy)


def not_found(what: str, remedy: str = "") -> ProblemError:
    """Nothing is there."""
    return ProblemError(HTTPStatus.NOT_FOUND, what, remedy)


def conflict(what: str, remedy: str = "") -> ProblemError:
    """The request contradicts the state that things are in."""
    return ProblemError(HTTPStatus.CONFLICT, what, remedy)


def forbidden(what: str, remedy: str = "") -> ProblemError:
    """The caller is known, and may not."""
    return ProblemError(HTTPStatus.FORBIDDEN, what, remedy)


def answer(request: Request, error: Exception) -> JSONResponse:
    """The answer to a request that ended with an error."""
    match error:
        case ProblemError():
            return _response(request, error.status, str(error))
        case RequestValidationError():
            return _invalid(request, error)
        case HTTPException():
            return _response(request, HTTPStatus(error.status_code), _worded(request, error), error.headers)
        case PlatformError():
            return _away(request, str(error))
        case psycopg2.errors.QueryCanceled():
            return _away(request, "PostgreSQL took too long to answer; it is busy. Ask again in a moment.")
        case _ if isinstance(error, _LOST_DATABASE):
            return _away(request, "A database does not answer. See `make status`; `make up` starts what is down.")
        case _:
            return _response(
                request,
                HTTPStatus.INTERNAL_SERVER_ERROR,
                "The server failed in a way that nobody foresaw. The log of the api-server has the traceback.",
            )


def handle_problems(app: FastAPI) -> None:
    """Have the application answer with problems only."""
    for kind in (ProblemError, RequestValidationError, HTTPException, PlatformError, *_LOST_DATABASE, Exception):
        app.add_exception_handler(kind, answer)


def _response(
    request: Request, status: HTTPStatus, detail: str, headers: Any = None, errors: list[ProblemField] | None = None
) -> JSONResponse:
    kind, title = _KINDS.get(status, (None, status.phrase))
    problem = Problem(
        type="about:blank" if kind is None else f"urn:shopstream:problem:{kind}",
        title=title,
        status=int(status),
        detail=detail,
        instance=request.url.path,
        errors=errors,
    )
    content = problem.model_dump(mode="json", exclude_none=True)
    return JSONResponse(content, int(status), {"Cache-Control": "no-store", **(headers or {})}, MEDIA_TYPE)


def _away(request: Request, detail: str) -> JSONResponse:
    headers = {"Retry-After": str(_RETRY_SECONDS)}
    return _response(request, HTTPStatus.SERVICE_UNAVAILABLE, detail, headers)


def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    faults = [
        ProblemField(
            name=".".join(str(part) for part in one["loc"]),
            message=one["msg"],
            value=None if one.get("input") is None else _printable(str(one["input"])[:_LONGEST_VALUE]),
        )
        for one in error.errors()
    ]
    detail = "; ".join(f"{fault.name}: {fault.message}" for fault in faults)
    return _response(request, HTTPStatus.UNPROCESSABLE_ENTITY, f"{detail}.", errors=faults)


def _printable(text: str) -> str:
    """Without halves of characters, which no answer could carry."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _worded(request: Request, error: HTTPException) -> str:
    match error.status_code:
        case HTTPStatus.UNAUTHORIZED:
            return "Nobody is logged in. Log in to Airflow, or send a token from POST /auth/token as bearer."
        case HTTPStatus.FORBIDDEN:
            return "Your role in Airflow does not allow this. Ask an administrator for one that does."
        case HTTPStatus.NOT_FOUND:
            return f"There is nothing at {request.url.path}. The routes are in /shopstream/api/v1/openapi.json."
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return f"{request.url.path} does not take {request.method}."
        case _:
            return str(error.detail)
