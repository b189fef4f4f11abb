-- depends on: rollup_minute
-- Grain: one row a day of event_time (UTC), category and currency.
CREATE MATERIALIZED VIEW shop.mart_category_performance AS
SELECT
    (minute AT TIME ZONE 'UTC')::date AS day,
    category,
    currency,
    coalesce(sum(events) FILTER (WHERE event_type = 'view'), 0)::bigint AS views,
    coalesce(sum(events) FILTER (WHERE event_type = 'add_to_wishlist'), 0)::bigint AS wishlist_adds,
    coalesce(sum(events) FILTER (WHERE event_type = 'add_to_cart'), 0)::bigint AS cart_adds,
    coalesce(sum(events) FILTER (WHERE event_type = 'order'), 0)::bigint AS orders,
    coalesce(sum(events) FILTER (WHERE event_type = 'purchase'), 0)::bigint AS purchases,
    coalesce(sum(quantity) FILTER (WHERE event_type = 'purchase'), 0)::bigint AS units,
    coalesce(sum(amount) FILTER (WHERE event_type = 'purchase'), 0)::numeric(18, 2) AS revenue
FROM shop.rollup_minute
GROUP BY (minute AT TIME ZONE 'UTC')::date, category, currency;

COMMENT ON MATERIALIZED VIEW shop.mart_category_performance IS
    'Events by type, units and revenue per day (UTC), category and currency.';
COMMENT ON COLUMN shop.mart_category_performance.orders IS 'Order events; an order of three products has three.';
COMMENT ON COLUMN shop.mart_category_performance.units IS 'Units purchased.';
COMMENT ON COLUMN shop.mart_category_performance.revenue IS 'Sum of unit_price times quantity of purchases, in the currency of the row.';

CREATE UNIQUE INDEX mart_category_performance_grain ON shop.mart_category_performance (day, category, currency);

GRANT SELECT ON shop.mart_category_performance TO shop_analyst, shop_ops, shop_quality;
GRANT MAINTAIN ON shop.mart_category_performance TO shop_ops;
