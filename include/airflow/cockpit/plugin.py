"""The Airflow plugin: the application below ``/shopstream``, its navigation entries, and a tab on DAG pages."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.sdk.plugins_manager import AirflowPlugin

MOUNTED_AT = "/shopstream"
_PAGES = {"stream": "Stream", "quality": "Quality", "objectives": "Objectives & alerts"}


class ShopstreamPlugin(AirflowPlugin):
    """The plugin. Every Airflow process loads it, including tasks, but only the API server creates the application."""

    name = "shopstream"

    def __init__(self) -> None:
        self._apps: list[dict[str, Any]] = []
        self.external_views = [
            _view("Shopstream", "overview", nav_top_level=True),
            *(_view(name, page, category="Shopstream") for page, name in _PAGES.items()),
            _view("Shopstream", "dag", href="/dag/{DAG_ID}", destination="dag"),
        ]

    @property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The application, created on first access."""
        if not self._apps:
            from include.airflow.cockpit.app import create_app

            self._apps = [{"app": create_app(), "url_prefix": MOUNTED_AT, "name": "Shopstream"}]
        return self._apps


def _view(name: str, page: str, *, href: str | None = None, **options: Any) -> dict[str, Any]:
    # Airflow may be served below a path prefix.
    prefix = urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")
    return {
        "name": name,
        "href": f"{prefix}{MOUNTED_AT}{href or f'/{page}'}",
        "url_route": f"shopstream-{page}",
        "icon": f"{prefix}{MOUNTED_AT}/static/icon.svg",
        **options,
    }
