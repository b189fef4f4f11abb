"""Access control: every path is requested anonymously, by a viewer, by an operator, and by a page of another site."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from include.settings import Settings
from tests.cockpit.conftest import API, ROOT, Server
from tests.support.trust import actions, add_alert

ACTS = [
    "/stream/pause",
    "/stream/resume",
    "/stream/drain",
    "/alerts/1/acknowledge",
    "/alerts/1/resolve",
    "/objectives/misses/1/acknowledge",
    "/files/1/retract",
    "/retractions/requests/file_1/approve",
    "/retractions/requests/file_1/reject",
    "/views/publish",
    "/views/mart_daily_kpis/publish",
    "/views/mart_daily_kpis/hold",
]


def _doors() -> Iterator[tuple[str, str]]:
    """Yield every method and path of the application, taken from its routes, and some paths that do not exist."""
    from fastapi.routing import APIRoute
    from starlette.routing import Mount, Route

    from include.airflow.cockpit.app import create_app

    values = {"alert_id": 1, "miss_id": 1, "quality_run_id": 1, "suite": "events", "reason": "row_ragged"}
    values |= {
        "file_id": 1,
        "dag_run_id": "file_1",
        "act": "pause",
        "page": "overview",
        "view": "mart_daily_kpis",
        "view_name": "mart_daily_kpis",
        "dag_id": "stream_events",
        "path": "",
    }
    for route in create_app().routes:
        match route:
            case APIRoute() | Route():
                for method in route.methods or ():
                    yield method, ROOT + route.path.format(**values)
            case Mount():
                yield from ((method, f"{ROOT}{route.path}/index.html") for method in ("GET", "POST"))
            case _:
                pytest.fail(f"this test does not know this kind of route: {route!r}")
    yield from (("GET", f"{ROOT}/{path}") for path in ("", "nothing", "api", "api/v1/nothing", "api/v2/overview"))


def test_every_path_refuses_anonymous_requests(server: Server) -> None:
    doors = list(_doors())
    assert len([path for _, path in doors if path.startswith(API)]) > 20
    answers = {door: server.send(*door, None) for door in doors}
    assert {door: one.status_code for door, one in answers.items() if one.status_code != 401} == {}
    for answer in answers.values():
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        if answer.request.method != "HEAD":
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert answer.json()["type"] == "urn:shopstream:problem:unauthenticated"


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", ""])
def test_an_invalid_token_is_unauthenticated(server: Server, token: str) -> None:
    assert server.get("/overview", None, headers={"Authorization": f"Bearer {token}"}).status_code == 401
    server.client.cookies.set("_token", token or "x")
    assert server.get("/overview", None).status_code == 401


def test_anonymous_callers_do_not_learn_whether_a_body_is_valid(server: Server) -> None:
    assert server.post("/stream/pause", None, content="{", json=None).status_code == 401


def test_an_anonymous_browser_is_sent_to_the_login_and_back(server: Server) -> None:
    answer = server.send("GET", f"{ROOT}/overview", None, headers={"Accept": "text/html,*/*"})
    assert answer.status_code == 401
    assert 'href="http://airflow.test/auth/login/?next=%2Fshopstream%2Foverview"' in answer.text


def test_a_user_without_a_role_may_not_read(server: Server) -> None:
    for path in ("/overview", "/openapi.json", "/me"):
        assert server.get(path, "paul").status_code == 403
    assert server.send("GET", f"{ROOT}/static/index.html", "paul").status_code == 403


@pytest.mark.parametrize(("user", "can_act"), [("vera", False), ("otto", True), ("admin", True)])
def test_users_learn_what_they_may_do(server: Server, user: str, can_act: bool) -> None:
    assert server.get("/me", user).json() == {"name": user, "can_act": can_act}


@pytest.mark.parametrize("path", ACTS)
def test_a_viewer_may_not_act(server: Server, database: Settings, path: str) -> None:
    add_alert(database)
    answer = server.post(path, "vera")
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:shopstream:problem:forbidden")
    assert "vera may read, but not act" in answer.json()["detail"]
    assert actions(database) == []


def test_these_tests_know_every_action(server: Server) -> None:
    posts = [path for path, methods in server.get("/openapi.json").json()["paths"].items() if "post" in methods]
    assert {path.removeprefix("/api/v1") for path in posts} == {
        "/stream/{act}",
        "/alerts/{alert_id}/acknowledge",
        "/alerts/{alert_id}/resolve",
        "/objectives/misses/{miss_id}/acknowledge",
        "/files/{file_id}/retract",
        "/retractions/requests/{dag_run_id}/{act}",
        "/views/publish",
        "/views/{view_name}/publish",
        "/views/{view_name}/hold",
    }


def _with_cookie(server: Server, **headers: str) -> Any:
    server.client.cookies.set("_token", server.tokens["otto"])
    return server.post("/stream/pause", None, headers=headers)


def test_the_cookie_alone_does_not_allow_actions(server: Server, database: Settings) -> None:
    server.client.cookies.set("_token", server.tokens["otto"])
    assert server.get("/me", None).json()["name"] == "otto"
    refused = _with_cookie(server)
    assert refused.status_code == 403
    assert "X-Requested-With" in refused.json()["detail"]
    for site in ("cross-site", "same-site", "none"):
        headers = {"X-Requested-With": "shopstream", "Sec-Fetch-Site": site}
        assert _with_cookie(server, **headers).status_code == 403
    assert actions(database) == []


def test_a_page_of_this_server_acts_with_the_cookie(server: Server, database: Settings) -> None:
    headers = {"X-Requested-With": "shopstream", "Sec-Fetch-Site": "same-origin"}
    assert _with_cookie(server, **headers).status_code == 200
    assert [actor for actor, *_ in actions(database)] == ["otto"]


def test_a_cors_preflight_of_another_site_is_refused(server: Server) -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = server.send("OPTIONS", f"{API}/stream/pause", None, headers=headers)
    assert answer.status_code == 401
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_airflow_shows_the_plugin_to_a_viewer(server: Server) -> None:
    plugins = server.send("GET", "/api/v2/plugins", "vera").json()["plugins"]
    (ours,) = [one for one in plugins if one["name"] == "shopstream"]
    assert [(view["name"], view["href"], view["destination"]) for view in ours["external_views"]] == [
        ("Shopstream", "/shopstream/overview", "nav"),
        ("Stream", "/shopstream/stream", "nav"),
        ("Quality", "/shopstream/quality", "nav"),
        ("Objectives & alerts", "/shopstream/objectives", "nav"),
        ("Shopstream", "/shopstream/dag/{DAG_ID}", "dag"),
    ]
    assert server.send("GET", "/api/v2/plugins/importErrors", "vera").json()["import_errors"] == []
