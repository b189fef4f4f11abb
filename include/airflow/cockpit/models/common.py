"""What all answers have in common: lists, errors, who asks, and what was done."""

from __future__ import annotations

from datetime import datetime
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Severity = Literal["critical", "warning", "info"]
Verdict = Literal["passed", "warned", "failed", "broken"]
Item = TypeVar("Item")
# What PostgreSQL cannot store.
NO_NUL = r"^[^\x00]*$"


class Model(BaseModel):
    """Immutable, so that an answer can be kept and given to many."""

    model_config = ConfigDict(frozen=True)


class Page(Model, Generic[Item]):
    """A part of a list, newest first unless its route says otherwise."""

    items: list[Item]
    next: str | None = Field(description="The `before` of the next page; null on the last.")


class Problem(BaseModel):
    """Every error, as RFC 9457 has it: media type `application/problem+json`."""

    type: str = Field(description="What kind of problem, for programs.", examples=["urn:shopstream:problem:not-found"])
    title: str = Field(description="The kind, for people.", examples=["There is no such thing"])
    status: int = Field(description="The HTTP status.", examples=[404])
    detail: str = Field(description="What happened here, with the value, and what to do.")
    instance: str = Field(description="The path that was asked for.")
    errors: list[ProblemField] | None = Field(None, description="Status 422: every parameter that is at fault.")


class ProblemField(BaseModel):
    """One parameter or field that is at fault."""

    name: str = Field(description="Where it is and its name.", examples=["query.limit"])
    message: str
    value: str | None = Field(None, description="What was given, shortened.")


class Me(Model):
    """Who asks, and what they may do."""

    name: str
    can_act: bool = Field(description="Whether this user may pause the stream, acknowledge alerts, and see raw rows.")


class Action(Model):
    """What a person did."""

    action_id: int
    acted_at: datetime
    actor: str = Field(description="The Airflow user.")
    action: str = Field(
        description="stream.pause, stream.resume, stream.drain, alert.acknowledge, alert.resolve or miss.acknowledge."
    )
    subject: str = Field(description="What it was done to.", examples=["stream events", "alert 17"])
    reason: str | None


class Reason(BaseModel):
    """The body of an action: why. It becomes a part of the audit trail, and of what it is done to."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    reason: str = Field(
        min_length=3,
        max_length=1000,
        pattern=NO_NUL,
        description="For the audit trail; read by others.",
    )
