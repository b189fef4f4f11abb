"""Serve the pages of the cockpit, and their static files, all behind the guard."""

from __future__ import annotations

import mimetypes
from http import HTTPStatus

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from include.airflow.cockpit.assets import STATIC, Assets, shell, version

_PAGES = frozenset({"overview", "stream", "quality", "objectives"})
_PAGE_OF_DAG = {
    "stream_events": "stream",
    "watch_stream": "stream",
    "generate_events": "stream",
    "retract_delivery": "stream",
    "check_quality": "quality",
    "sweep_quality": "quality",
    "refresh_views": "quality",
    "publish_held_views": "quality",
    "evaluate_objectives": "objectives",
}
# The pages load from and connect to this server only. Their scripts are files; no page has inline scripts.
_POLICY = (
    "default-src 'none'; img-src 'self' data:; font-src 'self' data:; base-uri 'none'; frame-ancestors 'self'; "
    "script-src 'self'; style-src 'self'; connect-src 'self'; manifest-src 'self'; form-action 'self'"
)

# Python's built-in media types depend on its version and on the machine, and with nosniff the browser relies on them.
mimetypes.add_type("text/javascript", ".js")
mimetypes.add_type("font/woff2", ".woff2")

router = APIRouter(include_in_schema=False)


@router.get("/")
def start(request: Request) -> RedirectResponse:
    """Redirect to the overview."""
    return RedirectResponse(f"{request.scope['root_path']}/overview")


@router.get("/dag/{dag_id}")
def page_of_dag(request: Request, dag_id: str) -> RedirectResponse:
    """Redirect to the page that belongs to a DAG. The tab of the DAG in the Airflow UI shows it."""
    return RedirectResponse(f"{request.scope['root_path']}/{_PAGE_OF_DAG.get(dag_id, 'overview')}")


@router.get("/{page}")
def page(page: str) -> HTMLResponse:
    """Return a page. All pages share one shell, whose script reads the path."""
    if page not in _PAGES:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return HTMLResponse(shell())


def serve_pages(app: FastAPI) -> None:
    """Add the pages and files to the application."""
    app.mount(f"/static/{version()}", Assets(directory=STATIC), name="parts")
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.include_router(router)


class SecurityHeaders:
    """Middleware that sets security headers: load nothing from other origins, and allow framing by Airflow only."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the headers to the response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = _POLICY
                headers.setdefault("Cache-Control", "private, no-cache")
                headers["X-Content-Type-Options"] = "nosniff"
                headers["X-Frame-Options"] = "SAMEORIGIN"
                headers["Referrer-Policy"] = "same-origin"
                headers["Cross-Origin-Resource-Policy"] = "same-origin"
            await send(message)

        await self._app(scope, receive, send_with_headers)
