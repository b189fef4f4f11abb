"""The application that the plugin mounts in Airflow's API server."""

from __future__ import annotations

from fastapi import FastAPI

from include.airflow.cockpit.access.guard import Guard
from include.airflow.cockpit.description import describe
from include.airflow.cockpit.pages import SecurityHeaders, serve_pages
from include.airflow.cockpit.responses.problems import handle_problems
from include.airflow.cockpit.routes import actions as actions
from include.airflow.cockpit.routes import alerts, figures, me, objectives, overview, quality, retractions, stream

API = "/api/v1"


def create_app() -> FastAPI:
    """Create the application: the API below ``/api/v1``, and the pages, all behind the guard."""
    app = FastAPI(
        title="Shopstream",
        version="1",
        description="Everything that the cockpit shows and does. Users who may read the DAG stream_events may read; "
        "users who may edit it may act.",
        openapi_url=f"{API}/openapi.json",
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    for area in (me, overview, stream, quality, figures, objectives, alerts, actions, retractions):
        app.include_router(area.router, prefix=API)
    serve_pages(app)
    handle_problems(app)
    # Requests pass through the middleware that was added last first.
    app.add_middleware(Guard)
    app.add_middleware(SecurityHeaders)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    return app
