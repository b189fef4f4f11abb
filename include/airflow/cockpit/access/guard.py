"""Check access with Airflow's own users and roles, in a middleware before every route, so no route can lack the check.

Users who may read the DAG of the stream may see the cockpit. Users who may edit that DAG, and could therefore stop it
in the Airflow UI, may also act. With Airflow's default roles, Viewer can read; User, Op and Admin can act.
"""

from __future__ import annotations

import asyncio
import html
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any
from weakref import WeakKeyDictionary

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.core_api.security import bearer_scheme, get_user, requires_access_dag
from fastapi import Depends, Request, Response
from fastapi.responses import HTMLResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from include.airflow.cockpit.responses import problems
from include.errors import PlatformError

STREAM_DAG = "stream_events"
# A page of another origin can add this header only after a CORS preflight, which is refused: see docs/api.md.
OWN_HEADER, OWN_VALUE = "X-Requested-With", "shopstream"

# Airflow's API server has 40 threads for all of its synchronous routes, including those that tasks need. A hung
# database blocks every thread that queries it, so the cockpit uses only a few. Further requests wait without a thread.
_MOST_AT_ONCE = 8
_WAIT_SECONDS = 5.0
_API = "/api/v1/"
_slots: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

_SAFE_METHODS = frozenset({"GET", "HEAD"})
_may_read = requires_access_dag("GET", param_dag_id=STREAM_DAG)
_may_edit = requires_access_dag("PUT", param_dag_id=STREAM_DAG)


@dataclass(frozen=True)
class Visitor:
    """A signed-in user who may see the cockpit."""

    user: BaseUser
    request: Request

    @property
    def name(self) -> str:
        """The user's name in Airflow."""
        return str(self.user.get_name())

    def can_act(self) -> bool:
        """Return whether the user may perform actions. This queries Airflow's database."""
        try:
            _may_edit(self.request, self.user)
        except HTTPException:
            return False
        return True


class Guard:
    """Middleware that checks access to everything: pages, files, API routes and unknown paths."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its visitor in ``request.state``, or answer it with a problem."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            request.state.visitor = await _admit(request)
        except Exception as error:
            response: Response = problems.answer(request, error)
            if response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
            if response.status_code == HTTPStatus.UNAUTHORIZED and _is_for_a_person(request):
                response = _way_to_login(request)
            await response(scope, receive, send)
            return
        if _API not in request.url.path:
            await self._app(scope, receive, send)
            return
        try:
            async with _slot():
                await self._app(scope, receive, send)
        except _BusyError as busy:
            await problems.answer(request, busy)(scope, receive, send)


class _BusyError(PlatformError):
    """All slots of the cockpit are taken by requests that wait for PostgreSQL."""


@asynccontextmanager
async def _slot() -> AsyncIterator[None]:
    slots = _slots.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(_MOST_AT_ONCE))
    try:
        async with asyncio.timeout(_WAIT_SECONDS):
            await slots.acquire()
    except TimeoutError:
        raise _BusyError(
            f"{_MOST_AT_ONCE} cockpit requests are already waiting for PostgreSQL, which does not answer",
            "Run `make status`, and try again in a moment",
        ) from None
    try:
        yield
    finally:
        slots.release()


async def _admit(request: Request) -> Visitor:
    bearer = await bearer_scheme(request)
    try:
        user = await get_user(request, None, bearer)
    except HTTPException as error:
        # Airflow answers an invalid token with 403. Answer with 401 instead, because the caller is not signed in.
        raise HTTPException(HTTPStatus.UNAUTHORIZED, headers={"WWW-Authenticate": "Bearer"}) from error
    await run_in_threadpool(_may_read, request, user)
    if request.method not in _SAFE_METHODS and bearer is None:
        _refuse_forgery(request)
    return Visitor(user, request)


def _is_for_a_person(request: Request) -> bool:
    return request.method in _SAFE_METHODS and "text/html" in request.headers.get("Accept", "")


def _way_to_login(request: Request) -> Response:
    url = html.escape(get_auth_manager().get_url_login(next_url=request.url.path))
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={url}">'
        f'<title>Shopstream</title><p>You are not signed in. <a href="{url}">Sign in to Airflow</a>.'
    )
    return HTMLResponse(page, HTTPStatus.UNAUTHORIZED, {"Cache-Control": "no-store"})


def _refuse_forgery(request: Request) -> None:
    """Reject forged requests: browsers also send the cookie with requests that other pages on this host make."""
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    if request.headers.get(OWN_HEADER) != OWN_VALUE or site != "same-origin":
        raise problems.forbidden(
            f"a POST that authenticates with the cookie needs the header {OWN_HEADER}: {OWN_VALUE} and must come from "
            "a page of this server",
            "Programs should send a bearer token instead of the cookie",
        )


def _visitor(request: Request) -> Visitor:
    visitor: Visitor = request.state.visitor
    return visitor


def _operator(visitor: Annotated[Visitor, Depends(_visitor)]) -> Visitor:
    if not visitor.can_act():
        raise problems.forbidden(
            f"{visitor.name} may read, but not act: actions need permission to edit the DAG {STREAM_DAG}",
            "An administrator can grant the role Op",
        )
    return visitor


Seeing = Annotated[Visitor, Depends(_visitor)]
Acting = Annotated[Visitor, Depends(_operator)]

SECURITY: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An Airflow token, from POST /auth/token."},
    "cookie": {"type": "apiKey", "in": "cookie", "name": "_token", "description": "The cookie of the Airflow UI."},
}
