-- name: throughput
-- The last minute of the stream. From the newest batches by number, of which a minute has far fewer than the bound.
SELECT
    coalesce(sum(recent.read), 0)::bigint AS read,
    coalesce(sum(recent.accepted), 0)::bigint AS accepted,
    coalesce(sum(recent.rejected), 0)::bigint AS rejected,
    (SELECT lag_seconds FROM shop.batches ORDER BY batch_id DESC LIMIT 1) AS lag_seconds,
    -- Bounded, as a stream of bad rows has no event times.
    (
        SELECT max_event_time
        FROM (SELECT batch_id, max_event_time FROM shop.batches ORDER BY batch_id DESC LIMIT 100) AS last_batches
        WHERE max_event_time IS NOT NULL
        ORDER BY batch_id DESC LIMIT 1
    ) AS newest_event_at,
    coalesce((SELECT backlog_files FROM shop.runs WHERE query = %(query)s ORDER BY epoch DESC LIMIT 1), 0) AS backlog_files
FROM (SELECT read, accepted, rejected, committed_at FROM shop.batches ORDER BY batch_id DESC LIMIT 2000) AS recent
WHERE recent.committed_at > statement_timestamp() - interval '60 seconds';

-- name: series
-- The last 60 minutes, oldest first, by type and currency; one row with NULLs for a minute without events.
SELECT minutes.minute, sums.event_type, sums.currency, sums.events, sums.quantity, sums.amount
FROM generate_series(
    date_trunc('minute', statement_timestamp()) - interval '59 minutes',
    date_trunc('minute', statement_timestamp()),
    interval '1 minute'
) AS minutes (minute)
LEFT JOIN (
    SELECT
        minute,
        event_type,
        currency,
        sum(events)::bigint AS events,
        sum(quantity)::bigint AS quantity,
        sum(amount) AS amount
    FROM shop.rollup_minute
    WHERE minute BETWEEN
        date_trunc('minute', statement_timestamp()) - interval '59 minutes'
        AND date_trunc('minute', statement_timestamp())
    GROUP BY minute, event_type, currency
) AS sums USING (minute)
ORDER BY minutes.minute;

-- name: sums
-- By type, category and currency, over whole hours of event time.
SELECT
    event_type,
    category,
    currency,
    sum(events)::bigint AS events,
    sum(quantity)::bigint AS quantity,
    sum(amount) AS amount
FROM shop.rollup_hour
WHERE hour >= %(since)s AND hour < %(until)s
GROUP BY event_type, category, currency;

-- name: conversion
-- The newest day that is published; no row before the first.
SELECT
    day,
    sum(sessions)::bigint AS sessions,
    sum(view_sessions)::bigint AS view_sessions,
    sum(cart_sessions)::bigint AS cart_sessions,
    sum(order_sessions)::bigint AS order_sessions,
    sum(purchase_sessions)::bigint AS purchase_sessions,
    (sum(purchase_sessions) / nullif(sum(view_sessions), 0))::float8 AS conversion_rate
FROM shop.mart_conversion_funnel
WHERE day = (
    SELECT max(day) FROM shop.mart_conversion_funnel WHERE day <= (statement_timestamp() AT TIME ZONE 'UTC')::date
)
GROUP BY day;

-- name: top_products
SELECT product_id, product_name, category, brand, currency, revenue, units, purchases, views
FROM (
    SELECT *, row_number() OVER (PARTITION BY currency ORDER BY revenue DESC, product_id) AS place
    FROM shop.mart_product_performance
    WHERE revenue > 0
) AS ranked
WHERE place <= 5
ORDER BY currency, place;

-- name: attention
SELECT
    open_alerts.critical,
    open_alerts.warning,
    open_alerts.info,
    open_alerts.unacknowledged,
    (SELECT count(*) FROM shop.objective_misses WHERE ended_at IS NULL) AS missed_objectives
FROM (
    SELECT
        count(*) FILTER (WHERE severity = 'critical') AS critical,
        count(*) FILTER (WHERE severity = 'warning') AS warning,
        count(*) FILTER (WHERE severity = 'info') AS info,
        count(*) FILTER (WHERE acknowledged_at IS NULL) AS unacknowledged
    FROM shop.alerts
    WHERE resolved_at IS NULL
) AS open_alerts;

-- name: newest_commit
SELECT max(committed_at) AS committed_at
FROM (SELECT committed_at FROM shop.batches ORDER BY batch_id DESC LIMIT 1) AS newest;

-- name: reject_share
-- Of the rows read in the last hour; NULL when nothing was.
SELECT (sum(rejected) / nullif(sum(read), 0))::float8 AS reject_share
FROM shop.batches
-- Not clock_timestamp(), which is volatile: no index could serve it, and the ledger is long.
WHERE committed_at > statement_timestamp() - interval '60 minutes';
