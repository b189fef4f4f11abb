"""The calling user."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from include.airflow.cockpit.access.guard import Seeing
from include.airflow.cockpit.models import Me
from include.airflow.cockpit.responses.answers import answer

router = APIRouter(tags=["me"])


@router.get("/me", response_model=Me)
def me(request: Request, visitor: Seeing) -> Response:
    """Return the calling user, and whether they may act."""
    return answer(request, lambda: Me(name=visitor.name, can_act=visitor.can_act()))
