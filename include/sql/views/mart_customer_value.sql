-- depends on: fact_customers, fact_visitor_segments
-- Grain: one row per customer and currency with at least one purchase, over the events within retention.
CREATE TABLE shop.mart_customer_value AS
SELECT
    customer.user_id,
    customer.currency,
    shop_user.customer_segment,
    customer.orders,
    customer.units,
    customer.revenue,
    round(customer.revenue / nullif(customer.orders, 0), 2) AS average_order_value,
    customer.first_purchase_at,
    customer.last_purchase_at,
    -- Recency counts from the newest event, not from the clock, so a refresh without new events changes nothing.
    newest.day - (customer.last_purchase_at AT TIME ZONE 'UTC')::date AS recency_days
FROM shop.fact_customers AS customer
INNER JOIN shop.fact_visitor_segments AS shop_user USING (user_id)
CROSS JOIN (SELECT (max(seen_at) AT TIME ZONE 'UTC')::date AS day FROM shop.fact_visitor_segments) AS newest;

COMMENT ON TABLE shop.mart_customer_value IS
    'Orders, revenue and recency per customer and currency, over the events within retention. Analysts cannot read user_id.';
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
