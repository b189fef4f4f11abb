"""Fill a database with the history of a busy shop by SQL, in seconds: ledger, rollups, rejects and quality runs."""

from __future__ import annotations

from include.db import connect
from include.settings import Settings

# %(batches)s batches, one every 15 s back from now, each with a file and some rejects; the rest covers the same days.
_HISTORY = """
INSERT INTO shop.batches (
    query, epoch, spark_batch_id, files, read, accepted, duplicate, rejected, started_at, committed_at, max_event_time
)
SELECT 'events', 1, number, 1, 1000, 980, 0, 20, at, at, at
FROM (
    SELECT number, now() - (%(batches)s - number) * interval '15 seconds' AS at
    FROM generate_series(1, %(batches)s) AS number
) AS numbers;

INSERT INTO shop.runs (epoch, query, mode, host, pid) VALUES (1, 'events', 'continuous', 'test', 1);

INSERT INTO shop.files (name, state, size_bytes, arrived_at, finished_at, batch_id, read, accepted, rejected)
SELECT batch_id || '.csv', 'loaded', 170000, committed_at, committed_at, batch_id, 1000, 980, 20
FROM shop.batches ORDER BY batch_id;

INSERT INTO shop.rejects (batch_id, file_id, file_name, line, raw, reasons, rejected_at)
SELECT batch_id, file_id, name, line, repeat('x', 170), ARRAY['unit_price_invalid', 'city_too_long'], finished_at
FROM shop.files CROSS JOIN generate_series(2, 1 + %(rejects)s) AS line
ORDER BY file_id, line;

INSERT INTO shop.rollup_minute (minute, event_type, category, currency, events, quantity, amount, batch_id)
SELECT minute, event_type, category, currency, 50, 50, 1000, 1
FROM
    generate_series(
        date_trunc('minute', now()) - %(batches)s * interval '15 seconds', date_trunc('minute', now()), '1 minute'
    ) AS minute,
    unnest(ARRAY['view', 'add_to_cart', 'add_to_wishlist', 'order', 'purchase']) AS event_type,
    unnest(ARRAY['Electronics', 'Clothing', 'Sports', 'Books', 'Home & Garden']) AS category,
    unnest(ARRAY['EUR', 'GBP', 'USD']) AS currency;

INSERT INTO shop.quality_runs (
    run_id, suite, table_name, scope, started_at, finished_at, verdict, checks, critical_failures, warnings
)
SELECT 'r', suite, suite, 'window', at, at, 'passed', 5, 0, 0
FROM
    generate_series(now() - %(batches)s * interval '15 seconds', now(), '10 minutes') AS at,
    unnest(ARRAY['batches', 'events', 'files', 'mart_daily_kpis', 'rejects', 'rollup_minute']) AS suite;

INSERT INTO shop.quality_results (
    run_id, suite, table_name, check_name, severity, status, duration_ms, checked_at, quality_run_id
)
SELECT 'r', suite, suite, check_name, 'critical', 'passed', 1, finished_at, quality_run_id
FROM shop.quality_runs CROSS JOIN unnest(ARRAY['a', 'b', 'c', 'd', 'e']) AS check_name
ORDER BY quality_run_id;

INSERT INTO shop.refreshes (view_name, started_at, finished_at, published_at, row_count, last_batch_id)
SELECT view_name, at, at, at, 10, 1
FROM
    generate_series(now() - %(batches)s * interval '15 seconds', now(), '5 minutes') AS at,
    unnest(ARRAY['mart_daily_kpis', 'mart_conversion_funnel', 'mart_product_performance']) AS view_name;

INSERT INTO shop.objective_minutes (objective, minute, value, bound, is_met)
SELECT objective, minute, 1, 5, true
FROM
    generate_series(now() - %(batches)s * interval '15 seconds', now(), '1 minute') AS minute,
    unnest(ARRAY['availability', 'backlog', 'freshness', 'quality_age', 'refresh_age', 'reject_share']) AS objective;

INSERT INTO shop.objective_misses (objective, began_at, ended_at, bound)
SELECT 'freshness', at, at, 5
FROM generate_series(now() - %(batches)s * interval '15 seconds', now(), '30 minutes') AS at;

INSERT INTO shop.alerts (key, severity, source, title, detail, raised_at, resolved_at, resolution)
SELECT 'k' || row_number() OVER (), 'warning', 's', 't', 'd', at, at, 'recovered'
FROM generate_series(now() - %(batches)s * interval '15 seconds', now(), '5 minutes') AS at;

INSERT INTO shop.alert_deliveries (alert_id, channel, occasion, severity, state, sent_at)
SELECT alert_id, 'mail', 'raised', severity, 'sent', raised_at FROM shop.alerts;

INSERT INTO shop.actions (actor, action, subject, reason)
SELECT 'otto', 'alert.acknowledge', 'alert ' || number, 'why' FROM generate_series(1, 5000) AS number;
"""


def make_history(settings: Settings, *, batches: int, rejects_per_batch: int = 3) -> None:
    """Fill the database with ``batches`` times 15 s of history, and collect Postgres' statistics."""
    connection = connect(settings.dsn("owner"), autocommit=True)
    try:
        with connection.cursor() as cursor:
            cursor.execute(_HISTORY, {"batches": batches, "rejects": rejects_per_batch})
            cursor.execute("VACUUM ANALYZE")
    finally:
        connection.close()
