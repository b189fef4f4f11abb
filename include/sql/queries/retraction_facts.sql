-- name: counted
-- The retracted events that are in the aggregates.
CREATE TEMPORARY TABLE counted ON COMMIT DROP AS
SELECT fact.* FROM shop.event_facts AS fact
INNER JOIN retracted USING (event_id)
WHERE fact.batch_id <= %(progress)s;

-- name: analyze_counted
ANALYZE counted;

-- name: remaining
-- The other events of the same sessions, users and orders, from which their aggregates are recomputed. This uses joins,
-- since three subqueries combined with OR are scanned in full for each event once they do not fit into work_mem.
CREATE TEMPORARY TABLE remaining ON COMMIT DROP AS
SELECT fact.*
FROM shop.event_facts AS fact
LEFT JOIN (SELECT DISTINCT session_id FROM counted) AS visit ON visit.session_id = fact.session_id
LEFT JOIN (SELECT DISTINCT user_id FROM counted) AS visitor ON visitor.user_id = fact.user_id
LEFT JOIN (SELECT DISTINCT order_id FROM counted WHERE is_purchase) AS bought
    ON fact.is_purchase AND bought.order_id = fact.order_id
WHERE
    fact.batch_id <= %(progress)s
    AND NOT fact.file_id = ANY(%(file_ids)s)
    AND (visit.session_id IS NOT NULL OR visitor.user_id IS NOT NULL OR bought.order_id IS NOT NULL);

-- name: analyze_remaining
ANALYZE remaining;

-- name: make_fresh
-- The statements that add to the aggregates read from a table of this name.
CREATE TEMPORARY TABLE fresh ON COMMIT DROP AS SELECT * FROM counted WITH NO DATA;

-- name: empty_fresh
TRUNCATE fresh;

-- name: remove_sessions
WITH removed AS (
    DELETE FROM shop.fact_sessions
    WHERE session_id IN (SELECT session_id FROM counted)
    RETURNING (first_event_at AT TIME ZONE 'UTC')::date AS day, channel, device, stage
)
UPDATE shop.fact_funnel AS kept
SET sessions = kept.sessions - gone.sessions
FROM (SELECT day, channel, device, stage, count(*) AS sessions FROM removed GROUP BY day, channel, device, stage) AS gone
WHERE (kept.day, kept.channel, kept.device, kept.stage) = (gone.day, gone.channel, gone.device, gone.stage);

-- name: keep_sessions
INSERT INTO fresh SELECT * FROM remaining WHERE session_id IN (SELECT session_id FROM counted);

-- name: remove_day_sessions
WITH removed AS (
    DELETE FROM shop.fact_day_sessions
    WHERE (day, currency, session_id) IN (SELECT day, currency, session_id FROM counted)
    RETURNING day, currency, has_purchase
)
UPDATE shop.fact_days AS kept
SET sessions = kept.sessions - gone.sessions, purchase_sessions = kept.purchase_sessions - gone.purchase_sessions
FROM (
    SELECT day, currency, count(*) AS sessions, count(*) FILTER (WHERE has_purchase) AS purchase_sessions
    FROM removed
    GROUP BY day, currency
) AS gone
WHERE (kept.day, kept.currency) = (gone.day, gone.currency) AND NOT kept.is_closed;

-- name: keep_day_sessions
INSERT INTO fresh
SELECT * FROM remaining WHERE (day, currency, session_id) IN (SELECT day, currency, session_id FROM counted);

-- name: remove_day_visitors
WITH removed AS (
    DELETE FROM shop.fact_day_visitors
    WHERE (day, currency, user_id) IN (SELECT day, currency, user_id FROM counted)
    RETURNING day, currency, purchases
)
UPDATE shop.fact_days AS kept
SET visitors = kept.visitors - gone.visitors, buyers = kept.buyers - gone.buyers
FROM (
    SELECT day, currency, count(*) AS visitors, count(*) FILTER (WHERE purchases > 0) AS buyers
    FROM removed
    GROUP BY day, currency
) AS gone
WHERE (kept.day, kept.currency) = (gone.day, gone.currency) AND NOT kept.is_closed;

-- name: keep_day_visitors
INSERT INTO fresh SELECT * FROM remaining WHERE (day, currency, user_id) IN (SELECT day, currency, user_id FROM counted);

-- name: remove_day_orders
WITH removed AS (
    DELETE FROM shop.fact_day_orders
    WHERE (day, currency, order_id) IN (SELECT day, currency, order_id FROM counted WHERE is_purchase)
    RETURNING day, currency
)
UPDATE shop.fact_days AS kept
SET paid_orders = kept.paid_orders - gone.paid_orders
FROM (SELECT day, currency, count(*) AS paid_orders FROM removed GROUP BY day, currency) AS gone
WHERE (kept.day, kept.currency) = (gone.day, gone.currency) AND NOT kept.is_closed;

-- name: keep_day_orders
INSERT INTO fresh
SELECT * FROM remaining
WHERE is_purchase AND (day, currency, order_id) IN (SELECT day, currency, order_id FROM counted WHERE is_purchase);

-- name: remove_customers
WITH buyers AS (
    SELECT DISTINCT user_id, currency FROM counted WHERE is_purchase
),
orders AS (
    DELETE FROM shop.fact_customer_orders WHERE (user_id, currency) IN (SELECT user_id, currency FROM buyers)
)
DELETE FROM shop.fact_customers WHERE (user_id, currency) IN (SELECT user_id, currency FROM buyers);

-- name: keep_customers
INSERT INTO fresh
SELECT * FROM remaining
WHERE is_purchase AND (user_id, currency) IN (SELECT user_id, currency FROM counted WHERE is_purchase);

-- name: remove_visitor_segments
DELETE FROM shop.fact_visitor_segments WHERE user_id IN (SELECT user_id FROM counted);

-- name: keep_visitor_segments
INSERT INTO fresh SELECT * FROM remaining WHERE user_id IN (SELECT user_id FROM counted);

-- name: subtract_events
UPDATE shop.fact_days AS kept
SET events = kept.events - gone.events
FROM (SELECT day, currency, count(*) AS events FROM counted WHERE NOT is_closed GROUP BY day, currency) AS gone
WHERE (kept.day, kept.currency) = (gone.day, gone.currency);

-- name: subtract_hours
MERGE INTO shop.agg_hour AS kept
USING (
    SELECT
        date_trunc('hour', event_time, 'UTC') AS hour, event_type, category, currency, count(*) AS events,
        coalesce(sum(quantity), 0) AS quantity, coalesce(sum(amount), 0) AS amount
    FROM counted
    GROUP BY 1, 2, 3, 4
) AS gone
ON kept.event_type = gone.event_type AND kept.hour = gone.hour AND kept.category = gone.category
    AND kept.currency = gone.currency
WHEN MATCHED AND kept.events = gone.events THEN DELETE
WHEN MATCHED THEN UPDATE SET
    events = kept.events - gone.events, quantity = kept.quantity - gone.quantity, amount = kept.amount - gone.amount;

-- name: subtract_days
MERGE INTO shop.agg_day AS kept
USING (
    SELECT
        day, event_type, category, currency, count(*) AS events, coalesce(sum(quantity), 0) AS quantity,
        coalesce(sum(amount), 0) AS amount
    FROM counted
    GROUP BY 1, 2, 3, 4
) AS gone
ON kept.day = gone.day AND kept.event_type = gone.event_type AND kept.category = gone.category
    AND kept.currency = gone.currency
WHEN MATCHED AND kept.events = gone.events THEN DELETE
WHEN MATCHED THEN UPDATE SET
    events = kept.events - gone.events, quantity = kept.quantity - gone.quantity, amount = kept.amount - gone.amount;

-- name: delete_empty_days
DELETE FROM shop.fact_days WHERE NOT is_closed AND events = 0;

-- name: subtract_products
-- Aggregates the removed and the remaining rows together instead of joining them. For a join on six columns the planner
-- expects one row, and would scan all remaining rows again for each removed row.
WITH gone AS MATERIALIZED (
    SELECT
        id_day, product_id, currency, product_name, category, brand,
        count(*) FILTER (WHERE event_type = 'view') AS views,
        count(*) FILTER (WHERE event_type = 'add_to_wishlist') AS wishlist_adds,
        count(*) FILTER (WHERE event_type = 'add_to_cart') AS cart_adds,
        count(*) FILTER (WHERE event_type = 'order') AS orders,
        count(*) FILTER (WHERE is_purchase) AS purchases,
        coalesce(sum(quantity) FILTER (WHERE is_purchase), 0) AS units,
        coalesce(sum(amount) FILTER (WHERE is_purchase), 0) AS revenue,
        '-infinity'::timestamptz AS last_event_at,
        true AS is_gone
    FROM counted
    WHERE NOT is_closed
    GROUP BY id_day, product_id, currency, product_name, category, brand
),
latest AS (
    SELECT
        id_day, product_id, currency, product_name, category, brand,
        0 AS views, 0 AS wishlist_adds, 0 AS cart_adds, 0 AS orders, 0 AS purchases, 0 AS units, 0 AS revenue,
        max(event_time) AS last_event_at,
        false AS is_gone
    FROM shop.event_facts
    WHERE
        event_id >= shop.first_event_id((SELECT min(id_day) FROM gone)::timestamp AT TIME ZONE 'UTC')
        AND event_id < shop.first_event_id(((SELECT max(id_day) FROM gone) + 1)::timestamp AT TIME ZONE 'UTC')
        AND batch_id <= %(progress)s
        AND NOT file_id = ANY(%(file_ids)s)
        AND NOT is_closed
        AND (id_day, product_id) IN (SELECT id_day, product_id FROM gone)
    GROUP BY id_day, product_id, currency, product_name, category, brand
),
change AS MATERIALIZED (
    SELECT
        id_day, product_id, currency, product_name, category, brand,
        sum(views) AS views,
        sum(wishlist_adds) AS wishlist_adds,
        sum(cart_adds) AS cart_adds,
        sum(orders) AS orders,
        sum(purchases) AS purchases,
        sum(units) AS units,
        sum(revenue) AS revenue,
        max(last_event_at) AS last_event_at
    FROM (SELECT * FROM gone UNION ALL SELECT * FROM latest) AS both_parts
    GROUP BY id_day, product_id, currency, product_name, category, brand
    HAVING bool_or(is_gone)
)
UPDATE shop.fact_products AS kept
SET views = kept.views - change.views,
    wishlist_adds = kept.wishlist_adds - change.wishlist_adds,
    cart_adds = kept.cart_adds - change.cart_adds,
    orders = kept.orders - change.orders,
    purchases = kept.purchases - change.purchases,
    units = kept.units - change.units,
    revenue = kept.revenue - change.revenue,
    last_event_at = change.last_event_at
FROM change
WHERE
    (kept.id_day, kept.product_id, kept.currency, kept.product_name, kept.category, kept.brand)
    = (change.id_day, change.product_id, change.currency, change.product_name, change.category, change.brand);

-- name: delete_empty_products
-- subtract_products leaves '-infinity' in a row without remaining events.
DELETE FROM shop.fact_products WHERE last_event_at = '-infinity';

-- name: fresh_reassigned
-- The events that the next advance of the aggregates will add, for a preview that ends in a rollback.
INSERT INTO fresh SELECT fact.* FROM shop.event_facts AS fact INNER JOIN reassigned USING (event_id);
