"""Models that all routes share: lists, errors, the caller, and actions."""

from __future__ import annotations

from datetime import datetime
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Severity = Literal["critical", "warning", "info"]
Item = TypeVar("Item")
# PostgreSQL cannot store NUL in a text.
NO_NUL = r"^[^\x00]*$"


class Model(BaseModel):
    """The base of the models. They are immutable, so one response can be cached and shared among callers."""

    model_config = ConfigDict(frozen=True)


class Page(Model, Generic[Item]):
    """One page of a list, newest first unless the route says otherwise."""

    items: list[Item]
    next: str | None = Field(description="The `before` of the next page; null on the last page.")


class Problem(BaseModel):
    """An error in the format of RFC 9457, with the media type `application/problem+json`."""

    type: str = Field(description="The kind of problem, for programs.", examples=["urn:shopstream:problem:not-found"])
    title: str = Field(description="The kind of problem, for people.", examples=["Not found"])
    status: int = Field(description="The HTTP status.", examples=[404])
    detail: str = Field(description="The cause of the error, with the value, and what to do.")
    instance: str = Field(description="The requested path.")
    errors: list[ProblemField] | None = Field(None, description="Status 422: every invalid parameter or field.")


class ProblemField(BaseModel):
    """An invalid parameter or field."""

    name: str = Field(description="Its location and name.", examples=["query.limit"])
    message: str
    value: str | None = Field(None, description="The given value, truncated.")


class Me(Model):
    """The calling user, and what they may do."""

    name: str
    can_act: bool = Field(description="Whether this user may pause the stream, acknowledge alerts, and see raw rows.")


class Action(Model):
    """An action that a user took."""

    action_id: int
    acted_at: datetime
    actor: str = Field(description="The Airflow user.")
    action: str = Field(
        description="stream.pause, stream.resume, stream.drain, alert.acknowledge, alert.resolve, miss.acknowledge, "
        "file.retract (the request), retraction.approve, retraction.reject, view.publish or view.hold."
    )
    subject: str = Field(description="The object of the action.", examples=["stream events", "alert 17"])
    reason: str | None


class Reason(BaseModel):
    """The body of an action. The reason is stored in the audit trail, and with the object of the action."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    reason: str = Field(
        min_length=3,
        max_length=1000,
        pattern=NO_NUL,
        description="The reason for the action. It is stored in the audit trail, which others can read.",
    )
