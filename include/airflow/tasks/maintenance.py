"""Limit the use of disk space, as tasks."""

from __future__ import annotations

import logging

from include.airflow.connections import OPS_CONN_ID, OWNER_CONN_ID, dsn_of
from include.db.archive import prune
from include.db.facts import forget_retired
from include.db.partitions import maintain
from include.db.retirement import retire_ledger
from include.settings import Settings

_log = logging.getLogger(__name__)


def maintain_partitions() -> None:
    """Create partitions in advance, drop those past retention, and delete ledger rows past their own age limit."""
    settings = Settings.from_env()
    owner_dsn = dsn_of(OWNER_CONN_ID)
    report = maintain(owner_dsn, ahead_days=settings.partitions_ahead_days, retention_days=settings.retention_days)
    _log.info("%s", report)
    for day in forget_retired(owner_dsn):
        _log.info("%s: the aggregates of customers and sessions were removed with their events", day)
    _log.info("%s", retire_ledger(owner_dsn, ledger_days=settings.ledger_days))


def prune_files() -> None:
    """Remove loaded files, manifests, quarantined files and logs that are past their age limit."""
    settings, dsn = Settings.from_env(), dsn_of(OPS_CONN_ID)
    for pruned in prune(settings, dsn):
        _log.info("%s", pruned)
