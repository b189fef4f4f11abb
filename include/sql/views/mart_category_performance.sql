-- depends on: agg_day
-- changes by: day
-- Grain: one row per day of event_time (UTC), category and currency.
CREATE TABLE shop.mart_category_performance AS
SELECT
    day,
    category,
    currency,
    coalesce(sum(events) FILTER (WHERE event_type = 'view'), 0)::bigint AS views,
    coalesce(sum(events) FILTER (WHERE event_type = 'add_to_wishlist'), 0)::bigint AS wishlist_adds,
    coalesce(sum(events) FILTER (WHERE event_type = 'add_to_cart'), 0)::bigint AS cart_adds,
    coalesce(sum(events) FILTER (WHERE event_type = 'order'), 0)::bigint AS order_lines,
    coalesce(sum(events) FILTER (WHERE event_type = 'purchase'), 0)::bigint AS purchases,
    coalesce(sum(quantity) FILTER (WHERE event_type = 'purchase'), 0)::bigint AS units,
    coalesce(sum(amount) FILTER (WHERE event_type = 'purchase'), 0)::numeric(38, 2) AS revenue
FROM shop.agg_day
GROUP BY day, category, currency;

COMMENT ON TABLE shop.mart_category_performance IS
    'Events by type, units and revenue per day (UTC), category and currency, kept forever.';
COMMENT ON COLUMN shop.mart_category_performance.order_lines IS 'Order lines; an order of three products has three.';
COMMENT ON COLUMN shop.mart_category_performance.units IS 'Units purchased.';
COMMENT ON COLUMN shop.mart_category_performance.revenue IS 'Sum of unit_price times quantity of purchases, in the currency of the row.';

CREATE UNIQUE INDEX mart_category_performance_grain ON shop.mart_category_performance (day, category, currency);

GRANT SELECT ON shop.mart_category_performance TO shop_analyst, shop_ops, shop_quality;
