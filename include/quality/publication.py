"""Write, audit, publish: candidates of the materialized views are built and checked; only good ones reach readers.

First come the suites whose critical failures hold back every view (``holds_publication``): they look at what was loaded
since the last good check. Then each view is built aside and its suites look at the candidate. All in one process, since
Great Expectations takes seconds to import.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from include.db.refresh import RefreshError, build_candidate, hold_candidate, hold_view
from include.db.views import view_names
from include.quality.model import Scope
from include.quality.results import SuiteOutcome
from include.quality.run import catch_up, run_draft
from include.quality.suites import Draft, read_drafts

_LONGEST_REASON = 1000


@dataclass
class Audit:
    """What may be published.

    ``ready`` has the number of the checked refresh by view; ``held`` says why a view is kept back, ``unbuilt`` why it
    has no candidate; ``gate`` why none is published at all.
    """

    ready: dict[str, int] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)
    unbuilt: dict[str, str] = field(default_factory=dict)
    gate: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Auditor:
    """Builds the candidates of all views and checks them.

    Parameters
    ----------
    directory:
        The suites. One that cannot be used vouches for nothing: its view is held back, all of them when it is a gate or
        is not even YAML.
    read_dsn, write_dsn:
        Connections as the roles quality and ops.
    run_id:
        Ties the outcomes together.
    timeout_seconds:
        The longest that a statement of a refresh may take.
    on_outcome:
        Is told of every outcome, which is stored by then.
    before_step:
        Called before each suite and before each view is built, while no query runs.
    """

    directory: Path
    read_dsn: str
    write_dsn: str
    run_id: str
    timeout_seconds: float
    on_outcome: Callable[[SuiteOutcome], None]
    before_step: Callable[[], object] = lambda: None

    def audit(self) -> Audit:
        """Do it; what is held back is on record in ``shop.refreshes``."""
        drafts = read_drafts(self.directory)
        gates = [draft for draft in drafts if draft.suite is None or draft.suite.is_gate]
        audit = Audit(gate=self._reasons(gates, "window"))
        for name in view_names():
            if audit.gate:
                hold_view(self.write_dsn, name, "; ".join(audit.gate)[:_LONGEST_REASON])
                continue
            about = [one for one in drafts if one not in gates and one.suite and one.suite.table == f"shop.{name}"]
            self._audit_view(name, about, audit)
        return audit

    def _audit_view(self, name: str, about: list[Draft], audit: Audit) -> None:
        try:
            candidate = build_candidate(
                self.write_dsn, name, timeout_seconds=self.timeout_seconds, before_step=self.before_step
            )
        except RefreshError as error:
            # It is on record; the views after it are built all the same.
            audit.unbuilt[name] = str(error)
            return
        if reasons := self._reasons(about, "candidate"):
            audit.held[name] = "; ".join(reasons)[:_LONGEST_REASON]
            hold_candidate(self.write_dsn, candidate.refresh_id, audit.held[name])
        else:
            audit.ready[name] = candidate.refresh_id

    def _reasons(self, drafts: Iterable[Draft], scope: Scope) -> list[str]:
        reasons = []
        for draft in drafts:
            for outcome in catch_up(partial(self._run, draft, scope)):
                self.on_outcome(outcome)
            if outcome.critical_failures:
                failures = ", ".join(dict.fromkeys(one.check.name for one in outcome.critical_failures))
                reasons.append(f"{outcome.suite.name}: {failures}")
            elif outcome.is_behind:
                reasons.append(f"{outcome.suite.name}: not all that is new has been checked")
        return reasons

    def _run(self, draft: Draft, scope: Scope) -> SuiteOutcome:
        self.before_step()
        return run_draft(draft, read_dsn=self.read_dsn, write_dsn=self.write_dsn, run_id=self.run_id, scope=scope)
