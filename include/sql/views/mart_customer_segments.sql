-- depends on: fact_customers, fact_visitor_segments
-- Grain: one row per customer_segment and currency with at least one purchase, over the events within retention.
CREATE TABLE shop.mart_customer_segments AS
SELECT
    shop_user.customer_segment,
    customer.currency,
    count(*) AS buyers,
    sum(customer.orders)::bigint AS orders,
    sum(customer.units)::bigint AS units,
    sum(customer.revenue)::numeric(38, 2) AS revenue,
    round(sum(customer.revenue) / nullif(sum(customer.orders), 0), 2) AS average_order_value,
    round(sum(customer.revenue) / count(*), 2) AS revenue_per_buyer
FROM shop.fact_customers AS customer
INNER JOIN shop.fact_visitor_segments AS shop_user USING (user_id)
GROUP BY shop_user.customer_segment, customer.currency;

COMMENT ON TABLE shop.mart_customer_segments IS
    'Customers, orders and revenue per segment and currency, over the events within retention: the sums of mart_customer_value.';
COMMENT ON COLUMN shop.mart_customer_segments.buyers IS 'Buyers in the currency. The segment is that of their newest event.';
COMMENT ON COLUMN shop.mart_customer_segments.orders IS 'Distinct orders that were paid.';
COMMENT ON COLUMN shop.mart_customer_segments.revenue IS 'Sum of unit_price times quantity of purchases, in the currency of the row.';
COMMENT ON COLUMN shop.mart_customer_segments.average_order_value IS 'revenue / orders.';
COMMENT ON COLUMN shop.mart_customer_segments.revenue_per_buyer IS 'revenue / buyers.';

CREATE UNIQUE INDEX mart_customer_segments_grain ON shop.mart_customer_segments (customer_segment, currency);

GRANT SELECT ON shop.mart_customer_segments TO shop_ops, shop_quality, shop_analyst;
