"""Whether more of what arrives is refused than is usual: rows that are rejected, files that go to quarantine."""

from __future__ import annotations

from include.contract import FILE_FAULTS
from include.db import load_queries, one_row, transaction
from include.settings import Settings
from include.stream.watch import Finding

WINDOW_SECONDS = 600.0
# The share of a handful of rows says nothing.
FEWEST_ROWS = 200

_SQL = load_queries("quarantine")


def judge_quarantine(dsn: str, settings: Settings) -> list[Finding]:
    """What is wrong with that which arrived within ``WINDOW_SECONDS`` (role ops)."""
    window = {"window_seconds": WINDOW_SECONDS}
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["rows"], window)
        read, rejected = one_row(cursor)
        cursor.execute(_SQL["files"], window)
        faults: dict[str, int] = dict(cursor.fetchall())
    findings = []
    if read >= FEWEST_ROWS and rejected > settings.alert_reject_share * read:
        findings.append(
            Finding(
                "reject_share",
                "warning",
                f"{rejected:,} of {read:,} rows of the last ten minutes were rejected, {rejected / read:.0%}; limit "
                f"{settings.alert_reject_share:.0%} (SHOPSTREAM_ALERT_REJECT_SHARE). shop.rejects has every row with "
                "its reasons: a sender has probably changed its format.",
            )
        )
    if sum(faults.values()) > settings.alert_quarantined_files:
        listed = "; ".join(f"{files:,} {fault}: {FILE_FAULTS[fault].message}" for fault, files in faults.items())
        findings.append(
            Finding(
                "quarantine_spike",
                "warning",
                f"{sum(faults.values()):,} files of the last ten minutes went to quarantine; limit "
                f"{settings.alert_quarantined_files:,} (SHOPSTREAM_ALERT_QUARANTINED_FILES). {listed}",
            )
        )
    return findings
