"""The application that the plugin mounts in Airflow's API server."""

from __future__ import annotations

from fastapi import FastAPI

from include.airflow.cockpit.description import describe
from include.airflow.cockpit.guard import Guard
from include.airflow.cockpit.pages import SecurityHeaders, serve_pages
from include.airflow.cockpit.problems import handle_problems
from include.airflow.cockpit.routes import acts, alerts, me, objectives, overview, quality, stream

API = "/api/v1"


def create_app() -> FastAPI:
    """The API below ``/api/v1``, the pages and the Data Docs; every path of it is behind the guard."""
    app = FastAPI(
        title="Shopstream",
        version="1",
        description="What the cockpit shows and does. Whoever may read the DAG stream_events may read; "
        "whoever may edit it may act.",
        openapi_url=f"{API}/openapi.json",
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    for area in (me, overview, stream, quality, objectives, alerts, acts):
        app.include_router(area.router, prefix=API)
    serve_pages(app)
    handle_problems(app)
    # The last one added is the first one passed.
    app.add_middleware(Guard)
    app.add_middleware(SecurityHeaders)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    return app
