-- name: partitions
SELECT shop.ensure_event_partitions(array_agg(day::date))
FROM generate_series(current_date - 3, current_date + 1, interval '1 day') AS day
WHERE %(first)s <= %(last)s;

-- name: batches
-- Batch n holds the events from 10,000 n on; all are spread evenly over the two days before now.
INSERT INTO shop.batches (
    batch_id, query, epoch, spark_batch_id, files, read, accepted, duplicate, rejected, started_at, committed_at, lag_seconds
)
OVERRIDING SYSTEM VALUE
SELECT
    n + 1, 'events', 1, n, 1, count(*), count(*), 0, 0,
    clock_timestamp() - interval '2 days' * (1 - min(number)::float8 / %(of)s) - interval '1 second',
    clock_timestamp() - interval '2 days' * (1 - max(number)::float8 / %(of)s) - interval '1 second',
    0.3
FROM (SELECT number, number / 10000 AS n FROM generate_series(%(first)s, %(last)s) AS number) AS numbered
GROUP BY n;

-- name: files
INSERT INTO shop.files (
    file_id, name, state, size_bytes, arrived_at, admitted_at, finished_at, batch_id, read, accepted, parts
)
OVERRIDING SYSTEM VALUE
SELECT
    batch_id, 'events-' || batch_id || '.csv', 'loaded', 1, started_at, started_at, committed_at, batch_id, read, accepted, 1
FROM shop.batches
WHERE batch_id BETWEEN %(first)s / 10000 + 1 AND %(last)s / 10000 + 1;

-- name: events
-- Three events a session, 20,000 customers, 600 products, each with its price.
INSERT INTO shop.events (
    event_id, event_type, event_time, user_id, customer_segment, session_id, order_id, product_id, product_name, category,
    brand, unit_price, quantity, currency, payment_method, channel, device, country, city, batch_id, file_id, ingested_at
)
SELECT
    (substr(shop.first_event_id(at)::text, 1, 13) || '-7' || lpad(to_hex(number %% 4096), 3, '0') || '-8000-'
        || lpad(to_hex(number), 12, '0'))::uuid,
    type, at, 'U' || user_number, (ARRAY['new', 'regular', 'loyal', 'vip'])[1 + user_number %% 4], 'S' || number / 3,
    CASE WHEN type IN ('order', 'purchase') THEN 'O' || number / 3 END,
    'P' || product, 'Product ' || product, (ARRAY['Electronics', 'Clothing', 'Sports', 'Books', 'Home & Garden'])[1 + product %% 5],
    'Brand', 1 + product / 2.0,
    CASE WHEN type IN ('add_to_cart', 'order', 'purchase') THEN 1 + number %% 3 END,
    (ARRAY['EUR', 'GBP', 'USD'])[1 + user_number %% 3],
    CASE WHEN type = 'purchase' THEN 'card' END,
    (ARRAY['web', 'app', 'email', 'social'])[1 + number / 3 %% 4], (ARRAY['desktop', 'mobile', 'tablet'])[1 + number / 3 %% 3],
    'DE', 'Leipzig', number / 10000 + 1, number / 10000 + 1, at + interval '100 milliseconds'
FROM (
    SELECT
        number,
        -- Those of a session are an order and its purchase in one of twenty.
        CASE
            WHEN number / 3 %% 20 = 0 AND number %% 3 = 1 THEN 'order'
            WHEN number / 3 %% 20 = 0 AND number %% 3 = 2 THEN 'purchase'
            WHEN number %% 11 = 0 THEN 'add_to_cart'
            ELSE 'view'
        END AS type,
        clock_timestamp() - interval '2 days' * (1 - number::float8 / %(of)s) - interval '1 second' AS at,
        (number / 3 * 7919) %% 20000 AS user_number,
        (number / 3 * 104729) %% 600 AS product
    FROM generate_series(%(first)s::bigint, %(last)s) AS number
) AS drawn;

-- name: rollups
INSERT INTO shop.rollup_minute AS rollup (minute, event_type, category, currency, events, quantity, amount, batch_id)
SELECT date_trunc('minute', event_time), event_type, category, currency, count(*), coalesce(sum(quantity), 0),
    coalesce(sum(unit_price * quantity), 0), max(batch_id)
FROM shop.events
WHERE batch_id BETWEEN %(first)s / 10000 + 1 AND %(last)s / 10000 + 1
    AND ingested_at >= (SELECT min(started_at) FROM shop.batches WHERE batch_id = %(first)s / 10000 + 1)
GROUP BY date_trunc('minute', event_time), event_type, category, currency
ON CONFLICT (minute, event_type, category, currency) DO UPDATE
SET events = rollup.events + excluded.events, quantity = rollup.quantity + excluded.quantity,
    amount = rollup.amount + excluded.amount, batch_id = greatest(rollup.batch_id, excluded.batch_id);

-- name: analyze
ANALYZE shop.events, shop.batches, shop.files, shop.rollup_minute;

-- name: before_schema
CREATE SCHEMA before;

-- name: before_view
CREATE MATERIALIZED VIEW {view} AS {select};
CREATE UNIQUE INDEX ON {view} ({index});

-- name: refresh_before
REFRESH MATERIALIZED VIEW CONCURRENTLY {view};
