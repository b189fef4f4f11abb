"""What is shown in a browser: the pages of the cockpit, their parts, and the Data Docs; all behind the guard."""

from __future__ import annotations

import mimetypes
from http import HTTPStatus

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from include.airflow.cockpit.parts import STATIC, Parts, shell, version
from include.settings import Settings

_PAGES = frozenset({"overview", "stream", "quality", "objectives"})
_PAGE_OF_DAG = {
    "stream_events": "stream",
    "watch_stream": "stream",
    "generate_events": "stream",
    "check_quality": "quality",
    "sweep_quality": "quality",
    "refresh_views": "quality",
    "evaluate_objectives": "objectives",
}
_COMMON = "default-src 'none'; img-src 'self' data:; font-src 'self' data:; base-uri 'none'; frame-ancestors 'self'"
# The pages load and ask only this server. Their scripts are files: none is written into a page.
_PAGE_POLICY = (
    f"{_COMMON}; script-src 'self'; style-src 'self'; connect-src 'self'; manifest-src 'self'; form-action 'self'"
)
# The Data Docs show values of customers' making, on the same server that takes acts: not one script of theirs runs.
_DOCS_POLICY = f"{_COMMON}; style-src 'self' 'unsafe-inline'; form-action 'none'; sandbox allow-same-origin"
_DOCS = "/docs"

# What Python knows of them depends on its version and on the machine; nosniff takes it at its word.
mimetypes.add_type("text/javascript", ".js")
mimetypes.add_type("font/woff2", ".woff2")

router = APIRouter(include_in_schema=False)


@router.get("/")
def start(request: Request) -> RedirectResponse:
    """The first page."""
    return RedirectResponse(f"{request.scope['root_path']}/overview")


@router.get("/dag/{dag_id}")
def page_of_dag(request: Request, dag_id: str) -> RedirectResponse:
    """The page that belongs to a DAG: what its tab in the Airflow UI shows."""
    return RedirectResponse(f"{request.scope['root_path']}/{_PAGE_OF_DAG.get(dag_id, 'overview')}")


@router.get("/{page}")
def page(page: str) -> HTMLResponse:
    """One of the pages: all have the same shell, whose script looks at the path."""
    if page not in _PAGES:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return HTMLResponse(shell())


class Files(StaticFiles):
    """The files of a directory, which may be made later."""

    async def check_config(self) -> None:
        """A directory that is not there has no files."""


def serve_pages(app: FastAPI) -> None:
    """Add the pages and files to the application."""
    app.mount(f"/static/{version()}", Parts(directory=STATIC), name="parts")
    app.mount("/static", Files(directory=STATIC), name="static")
    app.mount(_DOCS, Files(directory=Settings.from_env().quality_docs_dir, check_dir=False, html=True), name="docs")
    app.include_router(router)


class SecurityHeaders:
    """Middleware that tells the browser what answers may do: load nothing from elsewhere, be framed by Airflow only."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the headers to the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        inside = scope["path"].removeprefix(scope.get("root_path", ""))
        policy = _DOCS_POLICY if inside.startswith(f"{_DOCS}/") else _PAGE_POLICY

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = policy
                headers.setdefault("Cache-Control", "private, no-cache")
                headers["X-Content-Type-Options"] = "nosniff"
                headers["X-Frame-Options"] = "SAMEORIGIN"
                headers["Referrer-Policy"] = "same-origin"
                headers["Cross-Origin-Resource-Policy"] = "same-origin"
            await send(message)

        await self._app(scope, receive, send_with_headers)
