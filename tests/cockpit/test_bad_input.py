"""Invalid requests, and requests while a service is down: each gets a problem response that reveals nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from include.settings import Settings
from tests.cockpit.conftest import API, ROOT, Server
from tests.support.postgres import cut_connections, database_away


def _problem(answer: Any, status: int, kind: str) -> dict[str, Any]:
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    problem: dict[str, Any] = answer.json()
    assert (problem["status"], problem["type"]) == (status, f"urn:shopstream:problem:{kind}")
    assert problem["title"]
    assert problem["detail"]
    assert problem["instance"] == answer.request.url.path
    return problem


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/stream/batches?limit=0", "query.limit"),
        ("/stream/batches?limit=201", "query.limit"),
        ("/stream/batches?limit=many", "query.limit"),
        ("/stream/batches?before=-1", "query.before"),
        ("/stream/batches?before=9223372036854775808", "query.before"),
        ("/stream/files?state=lost", "query.state"),
        ("/stream/rejects?minutes=0", "query.minutes"),
        ("/stream/rejects?minutes=1000000", "query.minutes"),
        ("/quality/runs/0", "path.quality_run_id"),
        ("/quality/runs/one", "path.quality_run_id"),
        ("/alerts?before=7", "query.before"),
        ("/alerts?before=open-99999999999999999999", "query.before"),
        ("/alerts?state=closed", "query.state"),
        ("/alerts?severity=fatal", "query.severity"),
        ("/alerts/99999999999999999999", "path.alert_id"),
        ("/objectives/misses?is_open=perhaps", "query.is_open"),
        ("/objectives/misses?objective=" + "x" * 201, "query.objective"),
        ("/quality/suites/" + "x" * 201 + "/runs", "path.suite"),
    ],
)
def test_parameters_out_of_range_are_named(server: Server, path: str, name: str) -> None:
    problem = _problem(server.get(path), 422, "invalid")
    assert [error["name"] for error in problem["errors"]] == [name]
    assert name in problem["detail"]


def test_all_invalid_parameters_are_named_at_once(server: Server) -> None:
    problem = _problem(server.get("/stream/files?limit=0&before=0&state=x"), 422, "invalid")
    assert {error["name"]: error["value"] for error in problem["errors"]} == {
        "query.limit": "0",
        "query.before": "0",
        "query.state": "x",
    }


@pytest.mark.parametrize("path", ["/alerts/7", "/quality/runs/7", "/quality/suites/nothing/runs", "/nothing"])
def test_missing_objects_are_not_found(server: Server, path: str) -> None:
    _problem(server.get(path), 404, "not-found")


def test_an_unknown_reject_reason_is_not_found(server: Server) -> None:
    problem = _problem(server.get("/stream/rejects/'; DROP TABLE shop.events; --/samples"), 404, "not-found")
    assert "GET /stream/rejects lists the reasons that occur" in problem["detail"]


def test_a_nul_byte_is_invalid(server: Server) -> None:
    _problem(server.get("/quality/suites/a%00b/runs"), 422, "invalid")
    _problem(server.get("/objectives/misses?objective=a%00b"), 422, "invalid")
    _problem(server.post("/stream/pause", reason="a\0bc"), 422, "invalid")


def test_a_lone_surrogate_is_invalid(server: Server) -> None:
    headers = {"Content-Type": "application/json"}
    answer = server.post("/stream/pause", json=None, content=r'{"reason": "\ud800 ab"}', headers=headers)
    _problem(answer, 422, "invalid")


@pytest.mark.parametrize(("method", "path"), [("DELETE", "/overview"), ("GET", "/stream/pause"), ("PUT", "/alerts/1")])
def test_methods_that_a_route_does_not_accept(server: Server, method: str, path: str) -> None:
    # Send a token, as programs do; it needs no other header.
    problem = _problem(server.send(method, API + path, "otto"), 405, "method-not-allowed")
    assert method in problem["detail"]


def test_a_body_that_is_not_json_is_invalid(server: Server) -> None:
    headers = {"Content-Type": "application/json"}
    _problem(server.post("/stream/pause", json=None, content="{", headers=headers), 422, "invalid")


def test_requests_fail_while_postgres_is_down_and_recover(server: Server, database: Settings) -> None:
    assert server.get("/stream").status_code == 200
    with database_away(database):
        for path in ("/overview", "/stream/batches", "/alerts/1", "/views", "/actions"):
            answer = server.get(path)
            _problem(answer, 503, "unavailable")
            assert int(answer.headers["Retry-After"]) > 0
        _problem(server.post("/stream/pause"), 503, "unavailable")
        # The user is known to Airflow, not to this database.
        assert server.get("/me").status_code == 200
    assert server.get("/stream/batches?limit=3").status_code == 200


def test_a_postgres_restart_between_two_requests_is_not_noticed(server: Server, database: Settings) -> None:
    assert server.get("/stream/batches?before=9").status_code == 200
    cut_connections(database, "shop_quality")
    assert server.get("/stream/batches?before=9").status_code == 200


def test_an_unexpected_error_reveals_no_internals(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr("include.airflow.cockpit.routes.overview._attention", fail)
    answer = server.get("/overview")
    _problem(answer, 500, "internal")
    assert "hunter2" not in answer.text


def test_errors_of_pages_are_problems_too(server: Server) -> None:
    _problem(server.send("GET", f"{ROOT}/nothing", "vera"), 404, "not-found")
    _problem(server.send("GET", f"{ROOT}/static/nothing.js", "vera"), 404, "not-found")
