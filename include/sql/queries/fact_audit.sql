-- name: scope
-- The newest batch in the aggregates, and the last day that retention has touched: whatever began up to then may have
-- lost events that the aggregates still count.
SELECT
    progress.batch_id,
    (SELECT coalesce(max(day), DATE '1969-12-31') FROM shop.fact_days WHERE is_closed)
FROM shop.facts_progress AS progress;

-- name: sessions
SELECT count(*)
FROM (
    SELECT
        session_id,
        max((uuid_extract_timestamp(event_id) AT TIME ZONE 'UTC')::date) AS id_day,
        min(event_time) AS first_event_at,
        min(channel) AS channel,
        min(device) AS device,
        max(shop.funnel_stage(event_type))::smallint AS stage
    FROM shop.events
    WHERE batch_id <= %(batch_id)s
    GROUP BY session_id
) AS found
FULL JOIN shop.fact_sessions AS kept USING (session_id)
-- If the first events of a session were removed, only the aggregate still has its start.
WHERE coalesce(kept.first_event_at, found.first_event_at) AT TIME ZONE 'UTC' >= %(after)s::date + 1
    AND (found.id_day, found.first_event_at, found.channel, found.device, found.stage)
    IS DISTINCT FROM (kept.id_day, kept.first_event_at, kept.channel, kept.device, kept.stage);

-- name: day_sessions
SELECT count(*)
FROM (
    SELECT
        (event_time AT TIME ZONE 'UTC')::date AS day,
        currency,
        session_id,
        max((uuid_extract_timestamp(event_id) AT TIME ZONE 'UTC')::date) AS id_day,
        bool_or(event_type = 'purchase') AS has_purchase
    FROM shop.events
    WHERE batch_id <= %(batch_id)s AND event_time AT TIME ZONE 'UTC' >= %(after)s::date + 1
    GROUP BY (event_time AT TIME ZONE 'UTC')::date, currency, session_id
) AS found
FULL JOIN (SELECT * FROM shop.fact_day_sessions WHERE day > %(after)s) AS kept USING (day, currency, session_id)
WHERE (found.id_day, found.has_purchase) IS DISTINCT FROM (kept.id_day, kept.has_purchase);

-- name: day_visitors
SELECT count(*)
FROM (
    SELECT
        (event_time AT TIME ZONE 'UTC')::date AS day,
        currency,
        user_id,
        max((uuid_extract_timestamp(event_id) AT TIME ZONE 'UTC')::date) AS id_day,
        count(*) FILTER (WHERE event_type = 'purchase') AS purchases,
        coalesce(sum(quantity) FILTER (WHERE event_type = 'purchase'), 0) AS units,
        coalesce(sum(unit_price * quantity) FILTER (WHERE event_type = 'purchase'), 0) AS revenue,
        min(event_time) FILTER (WHERE event_type = 'purchase') AS first_purchase_at,
        max(event_time) FILTER (WHERE event_type = 'purchase') AS last_purchase_at
    FROM shop.events
    WHERE batch_id <= %(batch_id)s AND event_time AT TIME ZONE 'UTC' >= %(after)s::date + 1
    GROUP BY (event_time AT TIME ZONE 'UTC')::date, currency, user_id
) AS found
FULL JOIN (SELECT * FROM shop.fact_day_visitors WHERE day > %(after)s) AS kept USING (day, currency, user_id)
WHERE (found.id_day, found.purchases, found.units, found.revenue, found.first_purchase_at, found.last_purchase_at)
    IS DISTINCT FROM (kept.id_day, kept.purchases, kept.units, kept.revenue, kept.first_purchase_at, kept.last_purchase_at);

-- name: orders
SELECT count(*)
FROM (
    SELECT DISTINCT (event_time AT TIME ZONE 'UTC')::date AS day, currency, order_id
    FROM shop.events
    WHERE batch_id <= %(batch_id)s AND event_type = 'purchase' AND event_time AT TIME ZONE 'UTC' >= %(after)s::date + 1
) AS found
FULL JOIN (SELECT * FROM shop.fact_day_orders WHERE day > %(after)s) AS kept USING (day, currency, order_id)
WHERE found.order_id IS NULL OR kept.order_id IS NULL;

-- name: visitor_segments
SELECT count(*)
FROM (
    SELECT DISTINCT ON (user_id) user_id, customer_segment, event_time AS seen_at
    FROM shop.events
    WHERE batch_id <= %(batch_id)s AND event_time AT TIME ZONE 'UTC' >= %(after)s::date + 1
    ORDER BY user_id, event_time DESC, customer_segment
) AS found
FULL JOIN (
    SELECT * FROM shop.fact_visitor_segments WHERE seen_at AT TIME ZONE 'UTC' >= %(after)s::date + 1
) AS kept USING (user_id)
WHERE (found.customer_segment, found.seen_at) IS DISTINCT FROM (kept.customer_segment, kept.seen_at);

-- name: products
SELECT count(*)
FROM (
    SELECT
        (uuid_extract_timestamp(event_id) AT TIME ZONE 'UTC')::date AS id_day,
        product_id,
        currency,
        product_name,
        category,
        brand,
        count(*) FILTER (WHERE event_type = 'view') AS views,
        count(*) FILTER (WHERE event_type = 'add_to_wishlist') AS wishlist_adds,
        count(*) FILTER (WHERE event_type = 'add_to_cart') AS cart_adds,
        count(*) FILTER (WHERE event_type = 'order') AS orders,
        count(*) FILTER (WHERE event_type = 'purchase') AS purchases,
        coalesce(sum(quantity) FILTER (WHERE event_type = 'purchase'), 0) AS units,
        coalesce(sum(unit_price * quantity) FILTER (WHERE event_type = 'purchase'), 0) AS revenue,
        max(event_time) AS last_event_at
    FROM shop.events
    WHERE batch_id <= %(batch_id)s AND event_id >= shop.first_event_id((%(after)s::date + 1)::timestamp AT TIME ZONE 'UTC')
    GROUP BY (uuid_extract_timestamp(event_id) AT TIME ZONE 'UTC')::date, product_id, currency, product_name, category, brand
) AS found
FULL JOIN (SELECT * FROM shop.fact_products WHERE id_day > %(after)s) AS kept
    USING (id_day, product_id, currency, product_name, category, brand)
WHERE (found.views, found.wishlist_adds, found.cart_adds, found.orders, found.purchases, found.units, found.revenue, found.last_event_at)
    IS DISTINCT FROM
    (kept.views, kept.wishlist_adds, kept.cart_adds, kept.orders, kept.purchases, kept.units, kept.revenue, kept.last_event_at);

-- name: product_totals
SELECT count(*)
FROM (
    SELECT
        product_id, currency, product_name, category, brand, sum(views) AS views, sum(wishlist_adds) AS wishlist_adds,
        sum(cart_adds) AS cart_adds, sum(orders) AS orders, sum(purchases) AS purchases, sum(units) AS units,
        sum(revenue) AS revenue, max(last_event_at) AS last_event_at
    FROM shop.fact_products
    GROUP BY product_id, currency, product_name, category, brand
) AS found
FULL JOIN shop.fact_product_totals AS kept USING (product_id, currency, product_name, category, brand)
WHERE (found.views, found.wishlist_adds, found.cart_adds, found.orders, found.purchases, found.units, found.revenue, found.last_event_at)
    IS DISTINCT FROM
    (kept.views, kept.wishlist_adds, kept.cart_adds, kept.orders, kept.purchases, kept.units, kept.revenue, kept.last_event_at);

-- name: funnel
-- Compares the sums with the sessions that they summarize.
SELECT count(*)
FROM (
    SELECT (first_event_at AT TIME ZONE 'UTC')::date AS day, channel, device, stage, count(*) AS sessions
    FROM shop.fact_sessions
    WHERE first_event_at AT TIME ZONE 'UTC' >= %(after)s::date + 1
    GROUP BY (first_event_at AT TIME ZONE 'UTC')::date, channel, device, stage
) AS found
FULL JOIN (SELECT * FROM shop.fact_funnel WHERE day > %(after)s AND sessions <> 0) AS kept
    USING (day, channel, device, stage)
WHERE found.sessions IS DISTINCT FROM kept.sessions;

-- name: days
SELECT count(*)
FROM shop.fact_days AS kept
LEFT JOIN LATERAL (
    SELECT count(*) AS sessions, count(*) FILTER (WHERE has_purchase) AS purchase_sessions
    FROM shop.fact_day_sessions
    WHERE fact_day_sessions.day = kept.day AND fact_day_sessions.currency = kept.currency
) AS visits ON true
LEFT JOIN LATERAL (
    SELECT count(*) AS visitors, count(*) FILTER (WHERE purchases > 0) AS buyers
    FROM shop.fact_day_visitors
    WHERE fact_day_visitors.day = kept.day AND fact_day_visitors.currency = kept.currency
) AS visitors ON true
LEFT JOIN LATERAL (
    SELECT count(*) AS paid_orders
    FROM shop.fact_day_orders
    WHERE fact_day_orders.day = kept.day AND fact_day_orders.currency = kept.currency
) AS orders ON true
WHERE NOT kept.is_closed
    AND (kept.sessions, kept.purchase_sessions, kept.visitors, kept.buyers, kept.paid_orders) IS DISTINCT FROM
    (visits.sessions, visits.purchase_sessions, visitors.visitors, visitors.buyers, orders.paid_orders);

-- name: customers
SELECT count(*)
FROM (
    SELECT
        user_id,
        currency,
        sum(units) AS units,
        sum(revenue) AS revenue,
        min(first_purchase_at) AS first_purchase_at,
        max(last_purchase_at) AS last_purchase_at,
        (
            SELECT count(*) FROM shop.fact_customer_orders AS orders
            WHERE orders.user_id = fact_day_visitors.user_id AND orders.currency = fact_day_visitors.currency
        ) AS orders
    FROM shop.fact_day_visitors
    WHERE purchases > 0
    GROUP BY user_id, currency
) AS found
FULL JOIN shop.fact_customers AS kept USING (user_id, currency)
WHERE (found.orders, found.units, found.revenue, found.first_purchase_at, found.last_purchase_at) IS DISTINCT FROM
    (kept.orders, kept.units, kept.revenue, kept.first_purchase_at, kept.last_purchase_at);

-- name: agg_hour
-- Only days whose events are all stored; the timestamp inside an id may be a day before or after the event time.
WITH whole AS (
    SELECT greatest(%(after)s::date + 1, (SELECT max(day) + 2 FROM shop.retired_partitions))::timestamp AT TIME ZONE 'UTC' AS since
)
SELECT count(*)
FROM (
    SELECT
        date_trunc('hour', event_time, 'UTC') AS hour,
        event_type,
        category,
        currency,
        count(*) AS events,
        coalesce(sum(quantity), 0) AS quantity,
        coalesce(sum(unit_price * quantity), 0) AS amount
    FROM shop.events
    WHERE batch_id <= %(batch_id)s AND event_time >= (SELECT since FROM whole)
    GROUP BY 1, 2, 3, 4
) AS found
FULL JOIN (
    SELECT * FROM shop.agg_hour WHERE hour >= (SELECT since FROM whole)
) AS kept USING (hour, event_type, category, currency)
WHERE (found.events, found.quantity, found.amount) IS DISTINCT FROM (kept.events, kept.quantity, kept.amount);

-- name: agg_day
-- Compares all days with their hours, including days whose events are gone.
SELECT count(*)
FROM (
    SELECT
        (hour AT TIME ZONE 'UTC')::date AS day, event_type, category, currency, sum(events) AS events,
        sum(quantity) AS quantity, sum(amount) AS amount
    FROM shop.agg_hour
    GROUP BY 1, 2, 3, 4
) AS found
FULL JOIN shop.agg_day AS kept USING (day, event_type, category, currency)
WHERE (found.events, found.quantity, found.amount) IS DISTINCT FROM (kept.events, kept.quantity, kept.amount);
