"""Build responses with an ETag, answer repeated requests with 304, and share one response among many callers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from pydantic_core import to_json

from include.airflow.cockpit.responses.cache import cache


@dataclass(frozen=True)
class _Body:
    content: bytes
    etag: str


def answer(request: Request, make: Callable[[], Any], *, cache_seconds: float = 0.0, audience: str = "") -> Response:
    """Answer with a model or a list of models, or with 304 when the caller already has the content.

    Parameters
    ----------
    make:
        Returns the content.
    cache_seconds:
        How long the content is cached for all callers of the same path and parameters. Use 0 when it depends on the
        caller or is rarely requested.
    audience:
        Part of the cache key: the group of users that receives the same content, when it differs between users.
    """
    if cache_seconds:
        body = cache.get((request.url.path, request.url.query, audience), cache_seconds, lambda: _body(make()))
    else:
        body = _body(make())
    headers = {
        "ETag": body.etag,
        # Browsers may store the response but must revalidate it: numbers change, and so do the users of a browser.
        "Cache-Control": "private, no-cache",
        "Vary": "Authorization, Cookie",
    }
    if body.etag in _known(request):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(body.content, headers=headers, media_type="application/json")


def _body(content: Any) -> _Body:
    written = to_json(content)
    # Weak, because the content is the same with and without compression.
    return _Body(written, f'W/"{hashlib.sha256(written).hexdigest()[:32]}"')


def _known(request: Request) -> set[str]:
    return {tag.strip() for tag in request.headers.get("If-None-Match", "").split(",")}
