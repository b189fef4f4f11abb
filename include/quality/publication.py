"""Build candidates of the materialized views and check them, so that only good ones are published.

The order of the steps ensures that every published row has been checked. First, the aggregates are advanced once, so
all candidates contain the same batches. Second, the gates check the rows loaded since the last good check; their
snapshot is later than the candidates, so they cover every row that a candidate contains. Third, the suites of each view
check its candidate. Events committed in the meantime are in no candidate. All steps run in one process, because Great
Expectations takes seconds to import.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from include.db.facts import advance_facts
from include.db.refresh import RefreshError, build_candidate, hold_candidate, override_candidate
from include.db.views import view_names
from include.quality.model import Scope
from include.quality.overrides import Override, active_for
from include.quality.required import required_drafts
from include.quality.results import SuiteOutcome
from include.quality.run import catch_up, run_draft
from include.quality.suites import Draft

_LONGEST_REASON = 1000
_NOT_ALL = "not all that is new has been checked"


@dataclass
class Audit:
    """The result of an audit: which views may be published.

    ``ready`` maps each view to its checked refresh. ``held`` says why a view is held back, ``unbuilt`` why it has no
    candidate, and ``gate`` which gates hold back all views. ``overridden`` names the override for each view that is
    ready although checks failed.
    """

    ready: dict[str, int] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)
    unbuilt: dict[str, str] = field(default_factory=dict)
    gate: list[str] = field(default_factory=list)
    overridden: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Reason:
    """Why a suite holds views back: the checks that failed, and the error of a suite that cannot be used."""

    suite: str
    checks: tuple[str, ...]
    error: str | None = None

    def __str__(self) -> str:
        return f"{self.suite}: {', '.join(self.checks)}" + (f" ({self.error})" if self.error else "")

    @property
    def failures(self) -> list[str]:
        """The failures as ``suite/check``, the form in which an override names them."""
        return [f"{self.suite}/{check}" for check in self.checks]


@dataclass(frozen=True)
class Auditor:
    """An auditor that builds the candidates of the views and checks them.

    Parameters
    ----------
    directory:
        The directory of the suites. A suite that is missing or cannot be used holds its view back; a gate, or a file
        that is not valid YAML, holds all views back.
    read_dsn, write_dsn:
        Connections as the roles quality and ops.
    run_id:
        Ties the outcomes together.
    timeout_seconds:
        The statement timeout of a refresh, seconds.
    on_outcome:
        Called with every outcome after it has been stored.
    before_step:
        Called before each suite and before each view is built, while no query runs.
    views:
        The views to publish, each after the views that it reads; all views unless given.
    """

    directory: Path
    read_dsn: str
    write_dsn: str
    run_id: str
    timeout_seconds: float
    on_outcome: Callable[[SuiteOutcome], None]
    before_step: Callable[[], object] = lambda: None
    views: Sequence[str] = ()

    def audit(self) -> Audit:
        """Build and check all candidates; those held back are recorded in ``shop.refreshes``."""
        audit, names = Audit(), self.views or view_names()
        gates, suites = required_drafts(self.directory, names)
        candidates = self._build(names, audit)
        shut = self._reasons(gates, "window")
        audit.gate = [str(reason) for reason in shut]
        for name, refresh_id in candidates.items():
            overrides = active_for(self.write_dsn, name)
            reasons = shut
            if _decision(overrides, name, shut) or not shut:
                reasons = shut + self._reasons(suites[name], "candidate")
            self._publish_or_hold(name, refresh_id, reasons, overrides, audit)
        return audit

    def _build(self, names: Iterable[str], audit: Audit) -> dict[str, int]:
        """Build the candidates of the views from the same batches, and return their refresh ids by view."""
        advance_facts(self.write_dsn, timeout_seconds=self.timeout_seconds, before_step=self.before_step)
        candidates = {}
        for name in names:
            try:
                built = build_candidate(
                    self.write_dsn,
                    name,
                    timeout_seconds=self.timeout_seconds,
                    before_step=self.before_step,
                    advances_facts=False,
                )
            except RefreshError as error:
                # The error is recorded in shop.refreshes. Build the other views anyway.
                audit.unbuilt[name] = str(error)
            else:
                candidates[name] = built.refresh_id
        return candidates

    def _publish_or_hold(
        self, name: str, refresh_id: int, reasons: list[_Reason], overrides: list[Override], audit: Audit
    ) -> None:
        because = "; ".join(map(str, reasons))[:_LONGEST_REASON]
        decision = _decision(overrides, name, reasons)
        if decision is not None:
            override_candidate(self.write_dsn, refresh_id, decision.override_id, because)
            audit.overridden[name] = f"{decision.granted_by} decided so ({decision.reason}), despite {because}"
        elif reasons:
            hold_candidate(self.write_dsn, refresh_id, because, _failures(reasons))
            audit.held[name] = because
            return
        audit.ready[name] = refresh_id

    def _reasons(self, drafts: Iterable[Draft], scope: Scope) -> list[_Reason]:
        reasons = []
        for draft in drafts:
            for outcome in catch_up(partial(self._run, draft, scope)):
                self.on_outcome(outcome)
            name = outcome.suite.name
            if outcome.critical_failures:
                checks = dict.fromkeys(one.check.name for one in outcome.critical_failures)
                reasons.append(_Reason(name, tuple(checks), "; ".join(draft.faults) or outcome.error))
            elif outcome.is_behind:
                reasons.append(_Reason(name, (_NOT_ALL,)))
        return reasons

    def _run(self, draft: Draft, scope: Scope) -> SuiteOutcome:
        self.before_step()
        return run_draft(draft, read_dsn=self.read_dsn, write_dsn=self.write_dsn, run_id=self.run_id, scope=scope)


def _failures(reasons: Iterable[_Reason]) -> list[str]:
    return [failure for reason in reasons for failure in reason.failures]


def _decision(overrides: Iterable[Override], name: str, reasons: list[_Reason]) -> Override | None:
    """Return an override that covers all failed checks of a view; None when no check failed or none covers them."""
    failures = _failures(reasons)
    return next((one for one in overrides if failures and one.allows(name, failures)), None)
