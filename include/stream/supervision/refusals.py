"""Diagnose intake: whether more rows are rejected or conflicting, or more files quarantined, than usual."""

from __future__ import annotations

from include.contract import FILE_FAULTS
from include.db import load_queries, one_row, transaction
from include.settings import Settings
from include.stream.supervision.diagnosis import Finding

WINDOW_SECONDS = 600.0
# The share of a handful of rows is not meaningful.
FEWEST_ROWS = 200
_NAMED = 5

_SQL = load_queries("quarantine")


def diagnose_refusals(dsn: str, settings: Settings) -> list[Finding]:
    """Return the findings about everything that arrived within ``WINDOW_SECONDS`` (role ops)."""
    window = {"window_seconds": WINDOW_SECONDS}
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["rows"], window)
        read, rejected = one_row(cursor)
        cursor.execute(_SQL["files"], window)
        faults: dict[str, int] = dict(cursor.fetchall())
        cursor.execute(_SQL["conflicts"], {**window, "share": settings.alert_conflict_share})
        contradicting = cursor.fetchall()
        cursor.execute(_SQL["left_out"], {**window, "file_ids": [file_id for file_id, *_ in contradicting]})
        left_out = [f"{amount:,.2f} {currency}" for currency, amount in cursor.fetchall()]
    findings = []
    if read >= FEWEST_ROWS and rejected > settings.alert_reject_share * read:
        findings.append(
            Finding(
                "reject_share",
                "warning",
                f"{rejected:,} of {read:,} rows of the last ten minutes were rejected, {rejected / read:.0%}; limit "
                f"{settings.alert_reject_share:.0%} (SHOPSTREAM_ALERT_REJECT_SHARE). A sender has probably changed its "
                "format; shop.rejects has every row with its reasons.",
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
    if contradicting:
        named = "; ".join(
            f"{conflicts:,} of {rows:,} rows of file {file_id} ({name})"
            for file_id, name, rows, conflicts in contradicting[:_NAMED]
        )
        more = f"; and {len(contradicting) - _NAMED:,} more files" if len(contradicting) > _NAMED else ""
        worth = f" Their purchases are worth {' and '.join(left_out)}, none of it stored." if left_out else ""
        findings.append(
            Finding(
                "conflict_share",
                "warning",
                "Rows of the last ten minutes contradict the event that is stored under their event_id: "
                f"{named}{more}. Limit {settings.alert_conflict_share:.1%} of a delivery "
                f"(SHOPSTREAM_ALERT_CONFLICT_SHARE).{worth} The first event of an id stays; shop.conflicts has the "
                "others. If the sender reuses ids, it must give each event its own; if it meant to correct events, "
                "retract the first delivery (make retract) and deliver the corrected one again.",
            )
        )
    return findings
