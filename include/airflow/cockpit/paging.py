"""Pages of lists: a limit, and the place before which the next page begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Path, Query

from include.airflow.cockpit.database import Row
from include.airflow.cockpit.models import Model, Page
from include.airflow.cockpit.models.common import NO_NUL

Item = TypeVar("Item", bound=Model)

# The largest bigint.
END = 2**63 - 1

Limit = Annotated[int, Query(ge=1, le=200, description="Items on the page, at most.")]
Before = Annotated[int, Query(ge=1, le=END, description="The `next` of the page before; leave it out for the first.")]
Number = Annotated[int, Path(ge=1, le=END)]
Name = Annotated[str, Path(max_length=200, pattern=NO_NUL)]


def page(kind: Callable[..., Item], rows: Sequence[Row], key: str, limit: int) -> Page[Item]:
    """A page of the first ``limit`` rows; ``rows`` has one more if there is another page.

    Parameters
    ----------
    key:
        The column that orders the list, downwards.
    """
    shown = [kind(**row) for row in rows[:limit]]
    following: Any = rows[limit - 1][key] if len(rows) > limit else None
    return Page[Any](items=shown, next=None if following is None else str(following))
