"""Turn every error of the API, including those of Airflow and PostgreSQL, into a ``Problem`` (RFC 9457)."""

from __future__ import annotations

import logging
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

_log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
_LONGEST_VALUE = 100
_RETRY_SECONDS = 5
# Errors of the analytics database, and of Airflow's own database, which holds the users.
_LOST_DATABASE = (psycopg2.OperationalError, psycopg2.InterfaceError, exc.OperationalError, exc.TimeoutError)
# The type, for programs, and the title, for people.
_KINDS = {
    HTTPStatus.UNAUTHORIZED: ("unauthenticated", "Not signed in"),
    HTTPStatus.FORBIDDEN: ("forbidden", "Not allowed"),
    HTTPStatus.NOT_FOUND: ("not-found", "Not found"),
    HTTPStatus.METHOD_NOT_ALLOWED: ("method-not-allowed", "Method not allowed"),
    HTTPStatus.CONFLICT: ("conflict", "Conflict with the current state"),
    HTTPStatus.UNPROCESSABLE_ENTITY: ("invalid", "Invalid request"),
    HTTPStatus.INTERNAL_SERVER_ERROR: ("internal", "Internal server error"),
    HTTPStatus.SERVICE_UNAVAILABLE: ("unavailable", "PostgreSQL does not answer"),
}


class ProblemError(ShopstreamError):
    """A refused request, with the HTTP status, what happened, and what to do."""

    def __init__(self, status: HTTPStatus, what: str, remedy: str = "") -> None:
        self.status = status
        super().__init__(what, remedy)


def not_found(what: str, remedy: str = "") -> ProblemError:
    """Return the error for a resource that does not exist."""
    return ProblemError(HTTPStatus.NOT_FOUND, what, remedy)


def conflict(what: str, remedy: str = "") -> ProblemError:
    """Return the error for a request that conflicts with the current state."""
    return ProblemError(HTTPStatus.CONFLICT, what, remedy)


def forbidden(what: str, remedy: str = "") -> ProblemError:
    """Return the error for a known caller without the permission."""
    return ProblemError(HTTPStatus.FORBIDDEN, what, remedy)


def answer(request: Request, error: Exception) -> JSONResponse:
    """Return the response to a request that ended with an error."""
    match error:
        case ProblemError():
            return _response(request, error.status, str(error))
        case RequestValidationError():
            return _invalid(request, error)
        case HTTPException():
            return _response(request, HTTPStatus(error.status_code), _worded(request, error), error.headers)
        case PlatformError() if isinstance(error.__cause__, psycopg2.Error):
            # psycopg2's message names the host, the port and the role, which belong in the log only.
            _log.warning("%s: %s", request.url.path, error)
            return _away(
                request, "PostgreSQL does not answer. Run `make status`; `make up` starts the services that are down."
            )
        case PlatformError():
            return _away(request, str(error))
        case psycopg2.errors.QueryCanceled():
            return _away(request, "PostgreSQL is busy and took too long to answer. Try again in a moment.")
        case _ if isinstance(error, _LOST_DATABASE):
            return _away(
                request, "A database does not answer. Run `make status`; `make up` starts the services that are down."
            )
        case _:
            return _response(
                request,
                HTTPStatus.INTERNAL_SERVER_ERROR,
                "The server failed with an unexpected error. The log of the api-server has the traceback.",
            )


def handle_problems(app: FastAPI) -> None:
    """Register handlers so that the application answers every error with a problem."""
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
    """Replace lone surrogates, which cannot be encoded as UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _worded(request: Request, error: HTTPException) -> str:
    match error.status_code:
        case HTTPStatus.UNAUTHORIZED:
            return "You are not signed in. Sign in to Airflow, or send a bearer token from POST /auth/token."
        case HTTPStatus.FORBIDDEN:
            return "Your Airflow role does not allow this. Ask an administrator for a role that does."
        case HTTPStatus.NOT_FOUND:
            return f"{request.url.path} does not exist. The routes are listed in /shopstream/api/v1/openapi.json."
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return f"{request.url.path} does not accept {request.method}."
        case _:
            return str(error.detail)
