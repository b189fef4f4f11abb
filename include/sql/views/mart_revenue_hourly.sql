-- depends on: rollup_minute
-- Grain: one row an hour of event_time (UTC) and currency with at least one purchase.
CREATE MATERIALIZED VIEW shop.mart_revenue_hourly AS
SELECT
    date_trunc('hour', minute, 'UTC') AS hour,
    currency,
    sum(events)::bigint AS purchases,
    sum(quantity)::bigint AS units,
    sum(amount)::numeric(18, 2) AS revenue
FROM shop.rollup_minute
WHERE event_type = 'purchase'
GROUP BY date_trunc('hour', minute, 'UTC'), currency;

COMMENT ON MATERIALIZED VIEW shop.mart_revenue_hourly IS 'Purchases, units and revenue per hour (UTC) and currency.';
COMMENT ON COLUMN shop.mart_revenue_hourly.purchases IS 'Purchase events; an order of three products has three.';
COMMENT ON COLUMN shop.mart_revenue_hourly.revenue IS 'Sum of unit_price times quantity, in the currency of the row.';

CREATE UNIQUE INDEX mart_revenue_hourly_grain ON shop.mart_revenue_hourly (hour, currency);

GRANT SELECT ON shop.mart_revenue_hourly TO shop_analyst, shop_ops, shop_quality;
GRANT MAINTAIN ON shop.mart_revenue_hourly TO shop_ops;
