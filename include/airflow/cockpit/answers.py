"""Answers with an ETag: who already has one is told so, and those that many ask for are made once for all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from pydantic_core import to_json

from include.airflow.cockpit.kept import kept


@dataclass(frozen=True)
class _Body:
    content: bytes
    etag: str


def answer(request: Request, make: Callable[[], Any], *, kept_seconds: float = 0.0) -> Response:
    """Answer with a model, or a list of them, or with 304 when the caller has it.

    Parameters
    ----------
    make:
        Returns the content.
    kept_seconds:
        For how long the content serves everybody who asks for the same path and parameters. 0 when it depends on the
        caller or is asked for seldom.
    """
    if kept_seconds:
        body = kept.get((request.url.path, request.url.query), kept_seconds, lambda: _body(make()))
    else:
        body = _body(make())
    headers = {
        "ETag": body.etag,
        # It may be stored, but must be asked for: the numbers change, and so do the users of a browser.
        "Cache-Control": "private, no-cache",
        "Vary": "Authorization, Cookie",
    }
    if body.etag in _known(request):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(body.content, headers=headers, media_type="application/json")


def _body(content: Any) -> _Body:
    written = to_json(content)
    # Weak: compressed on the way or not, it says the same.
    return _Body(written, f'W/"{hashlib.sha256(written).hexdigest()[:32]}"')


def _known(request: Request) -> set[str]:
    return {tag.strip() for tag in request.headers.get("If-None-Match", "").split(",")}
