-- name: throughput
-- The last minute of the stream. It reads the newest 2000 batches by number; a minute has far fewer.
SELECT
    coalesce(sum(recent.read), 0)::bigint AS read,
    coalesce(sum(recent.accepted), 0)::bigint AS accepted,
    coalesce(sum(recent.rejected), 0)::bigint AS rejected,
    -- Bounded, because batches that contain only bad rows have no event times.
    (
        SELECT max_event_time
        FROM (SELECT batch_id, max_event_time FROM shop.batches ORDER BY batch_id DESC LIMIT 100) AS last_batches
        WHERE max_event_time IS NOT NULL
        ORDER BY batch_id DESC LIMIT 1
    ) AS newest_event_at
FROM (SELECT read, accepted, rejected, committed_at FROM shop.batches ORDER BY batch_id DESC LIMIT 2000) AS recent
WHERE recent.committed_at > statement_timestamp() - interval '60 seconds';

-- name: series
-- The last 60 minutes, oldest first, by type and currency. A minute without events has one row with NULLs.
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
-- Sums by type, category and currency, over whole hours of event time.
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

-- name: daily
-- The published key figures of the last seven days, including the published part of today. A restated row of a closed
-- day has its newest restatement and the number of restatements. Restated numbers are text, so that no digit is lost.
SELECT
    shown.day,
    shown.currency,
    shown.revenue,
    shown.paid_orders,
    shown.average_order_value,
    shown.buyers,
    shown.conversion_rate::float8 AS conversion_rate,
    EXISTS (
        SELECT FROM shop.closed_days
        WHERE closed_days.view_name = 'mart_daily_kpis' AND closed_days.day = shown.day
    ) AS is_closed,
    coalesce(restated.times, 0) AS times,
    restated.restated_at,
    restated.cause,
    (SELECT jsonb_object_agg(figure.key, figure.value) FROM jsonb_each_text(restated.old) AS figure) AS old,
    (SELECT jsonb_object_agg(figure.key, figure.value) FROM jsonb_each_text(restated.new) AS figure) AS new
FROM shop.mart_daily_kpis AS shown
LEFT JOIN LATERAL (
    SELECT restated_at, cause, old, new, count(*) OVER () AS times
    FROM shop.restatements
    WHERE view_name = 'mart_daily_kpis'
        AND restatements.day = shown.day
        AND key = jsonb_build_object('day', shown.day, 'currency', shown.currency)
    ORDER BY restatement_id DESC LIMIT 1
) AS restated ON true
WHERE shown.day BETWEEN
    (statement_timestamp() AT TIME ZONE 'UTC')::date - 6 AND (statement_timestamp() AT TIME ZONE 'UTC')::date
ORDER BY shown.day DESC, shown.currency;

-- name: conversion_restated
-- The newest restatement of a day's funnel, and the number of its restatements; no row for a day without any.
SELECT restated_at, cause, count(*) OVER () AS times
FROM shop.restatements
WHERE view_name = 'mart_conversion_funnel' AND day = %(day)s
ORDER BY restatement_id DESC LIMIT 1;

-- name: conversion_before
-- The conversion rate of a day that was published when the day was closed.
SELECT (sum(funnel.purchase_sessions) / nullif(sum(funnel.view_sessions), 0))::float8 AS conversion_rate
FROM shop.closed_days AS closed
CROSS JOIN LATERAL shop.as_of(NULL::shop.mart_conversion_funnel, closed.closed_at) AS funnel
WHERE closed.view_name = 'mart_conversion_funnel' AND closed.day = %(day)s AND funnel.day = closed.day;

-- name: conversion
-- The newest published day; no row before the first publication.
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
-- The share of rejected rows among the rows read in the last hour; NULL when nothing was read.
SELECT (sum(rejected) / nullif(sum(read), 0))::float8 AS reject_share
FROM shop.batches
-- Do not use clock_timestamp() here: it is volatile, so no index could be used, and the ledger is long.
WHERE committed_at > statement_timestamp() - interval '60 minutes';
