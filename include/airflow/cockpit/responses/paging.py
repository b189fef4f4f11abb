"""Split lists into pages by a limit and a cursor, the key before which the next page begins."""

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

Limit = Annotated[int, Query(ge=1, le=200, description="Maximum number of items on the page.")]
Before = Annotated[int, Query(ge=1, le=END, description="The `next` of the previous page; omit it for the first page.")]
Number = Annotated[int, Path(ge=1, le=END)]
Name = Annotated[str, Path(max_length=200, pattern=NO_NUL)]


def page(kind: Callable[..., Item], rows: Sequence[Row], key: str, limit: int) -> Page[Item]:
    """Return a page with the first ``limit`` rows. ``rows`` has one more row if there is another page.

    Parameters
    ----------
    key:
        The column that the list is sorted by, in descending order.
    """
    shown = [kind(**row) for row in rows[:limit]]
    following: Any = rows[limit - 1][key] if len(rows) > limit else None
    return Page[Any](items=shown, next=None if following is None else str(following))
