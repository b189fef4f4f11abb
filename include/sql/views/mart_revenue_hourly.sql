-- depends on: agg_hour
-- changes by: hour
-- Grain: one row per hour of event_time (UTC) and currency with at least one purchase.
CREATE TABLE shop.mart_revenue_hourly AS
SELECT
    hour,
    currency,
    sum(events)::bigint AS purchases,
    sum(quantity)::bigint AS units,
    sum(amount)::numeric(38, 2) AS revenue
FROM shop.agg_hour
WHERE event_type = 'purchase'
GROUP BY hour, currency;

COMMENT ON TABLE shop.mart_revenue_hourly IS 'Purchases, units and revenue per hour (UTC) and currency, kept forever.';
COMMENT ON COLUMN shop.mart_revenue_hourly.purchases IS 'Purchase events; an order of three products has three.';
COMMENT ON COLUMN shop.mart_revenue_hourly.revenue IS 'Sum of unit_price times quantity, in the currency of the row.';

CREATE UNIQUE INDEX mart_revenue_hourly_grain ON shop.mart_revenue_hourly (hour, currency);

GRANT SELECT ON shop.mart_revenue_hourly TO shop_analyst, shop_ops, shop_quality;
