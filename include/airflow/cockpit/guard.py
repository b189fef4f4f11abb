"""Who may come in: Airflow's own users and roles, asked before any route, so that none can be forgotten.

Whoever may read the DAG of the stream may see the cockpit, and whoever may edit it, which is to say stop it by hand in
the Airflow UI, may act: in Airflow's roles Viewer sees, User, Op and Admin act.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.core_api.security import bearer_scheme, get_user, requires_access_dag
from fastapi import Depends, Request, Response
from fastapi.responses import HTMLResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from include.airflow.cockpit import problems

STREAM_DAG = "stream_events"
# A header that a page of another site cannot add without asking first, and is then refused: see docs/api.md.
OWN_HEADER, OWN_VALUE = "X-Requested-With", "shopstream"

_SAFE_METHODS = frozenset({"GET", "HEAD"})
_may_read = requires_access_dag("GET", param_dag_id=STREAM_DAG)
_may_edit = requires_access_dag("PUT", param_dag_id=STREAM_DAG)


@dataclass(frozen=True)
class Visitor:
    """A user who is logged in and may see the cockpit."""

    user: BaseUser
    request: Request

    @property
    def name(self) -> str:
        """As Airflow knows the user."""
        return str(self.user.get_name())

    def can_act(self) -> bool:
        """Whether the user may do more than look; asks Airflow's database."""
        try:
            _may_edit(self.request, self.user)
        except HTTPException:
            return False
        return True


class Guard:
    """Middleware of the whole application, its pages, files and unknown paths: nobody passes who may not see them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through with its visitor in ``request.state``, or answer it with a problem."""
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
        await self._app(scope, receive, send)


async def _admit(request: Request) -> Visitor:
    bearer = await bearer_scheme(request)
    try:
        user = await get_user(request, None, bearer)
    except HTTPException as error:
        # Airflow says 403 to a token that is none; but nobody is logged in with it.
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
        f'<title>Shopstream</title><p>Nobody is logged in. <a href="{url}">Log in to Airflow</a>.'
    )
    return HTMLResponse(page, HTTPStatus.UNAUTHORIZED, {"Cache-Control": "no-store"})


def _refuse_forgery(request: Request) -> None:
    """The browser adds the cookie to requests that other pages on this host make, so it proves nothing by itself."""
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    if request.headers.get(OWN_HEADER) != OWN_VALUE or site != "same-origin":
        raise problems.forbidden(
            f"with a browser's cookie, a request that changes something needs the header {OWN_HEADER}: {OWN_VALUE} and "
            "must come from a page of this server",
            "Programs send a token as bearer instead of the cookie",
        )


def _visitor(request: Request) -> Visitor:
    visitor: Visitor = request.state.visitor
    return visitor


def _operator(visitor: Annotated[Visitor, Depends(_visitor)]) -> Visitor:
    if not visitor.can_act():
        raise problems.forbidden(
            f"{visitor.name} may look, but not act: that takes the right to edit the DAG {STREAM_DAG}",
            "An administrator can give the role Op",
        )
    return visitor


Seeing = Annotated[Visitor, Depends(_visitor)]
Acting = Annotated[Visitor, Depends(_operator)]

SECURITY: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A token of Airflow, from POST /auth/token."},
    "cookie": {"type": "apiKey", "in": "cookie", "name": "_token", "description": "The session of the Airflow UI."},
}
