"""Who asks."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from include.airflow.cockpit.answers import answer
from include.airflow.cockpit.guard import Seeing
from include.airflow.cockpit.models import Me

router = APIRouter(tags=["me"])


@router.get("/me", response_model=Me)
def me(request: Request, visitor: Seeing) -> Response:
    """Who asks, and whether they may act."""
    return answer(request, lambda: Me(name=visitor.name, can_act=visitor.can_act()))
