-- depends on: events
-- Grain: one row a customer and currency with at least one purchase, over the events that retention keeps.
CREATE MATERIALIZED VIEW shop.mart_customer_value AS
WITH purchases AS (
    SELECT
        user_id,
        currency,
        count(DISTINCT order_id) AS orders,
        sum(quantity) AS units,
        sum(unit_price * quantity) AS revenue,
        min(event_time) AS first_purchase_at,
        max(event_time) AS last_purchase_at
    FROM shop.events
    WHERE event_type = 'purchase'
    GROUP BY user_id, currency
),
last_seen AS (
    SELECT user_id, customer_segment, max(event_time) AS seen_at
    FROM shop.events
    GROUP BY user_id, customer_segment
),
segments AS (
    SELECT DISTINCT ON (user_id) user_id, customer_segment
    FROM last_seen
    ORDER BY user_id, seen_at DESC, customer_segment
),
-- Recency counts from the newest event, not from the clock: a refresh without new events changes nothing.
newest AS (
    SELECT (max(seen_at) AT TIME ZONE 'UTC')::date AS day FROM last_seen
)
SELECT
    purchases.user_id,
    purchases.currency,
    segments.customer_segment,
    purchases.orders,
    purchases.units,
    purchases.revenue::numeric(18, 2) AS revenue,
    round(purchases.revenue / nullif(purchases.orders, 0), 2) AS average_order_value,
    purchases.first_purchase_at,
    purchases.last_purchase_at,
    newest.day - (purchases.last_purchase_at AT TIME ZONE 'UTC')::date AS recency_days
FROM purchases
INNER JOIN segments USING (user_id)
CROSS JOIN newest;

COMMENT ON MATERIALIZED VIEW shop.mart_customer_value IS
    'Orders, revenue and recency per customer and currency, over the events that retention keeps. Analysts cannot read user_id.';
COMMENT ON COLUMN shop.mart_customer_value.customer_segment IS 'The segment in the newest event of the customer.';
COMMENT ON COLUMN shop.mart_customer_value.orders IS 'Distinct orders that were paid.';
COMMENT ON COLUMN shop.mart_customer_value.revenue IS 'Sum of unit_price times quantity of purchases, in the currency of the row.';
COMMENT ON COLUMN shop.mart_customer_value.recency_days IS 'Whole UTC days from the last purchase to the day of the newest event of all.';

CREATE UNIQUE INDEX mart_customer_value_grain ON shop.mart_customer_value (user_id, currency);

GRANT SELECT ON shop.mart_customer_value TO shop_ops, shop_quality;
GRANT SELECT (
    currency, customer_segment, orders, units, revenue, average_order_value, first_purchase_at, last_purchase_at,
    recency_days
) ON shop.mart_customer_value TO shop_analyst;
GRANT MAINTAIN ON shop.mart_customer_value TO shop_ops;
