-- depends on: agg_day, fact_days
-- changes by: day
-- Grain: one row a day of event_time (UTC) and currency.
CREATE TABLE shop.mart_daily_kpis AS
WITH totals AS (
    SELECT
        day,
        currency,
        sum(events)::bigint AS events,
        coalesce(sum(events) FILTER (WHERE event_type = 'view'), 0)::bigint AS views,
        coalesce(sum(events) FILTER (WHERE event_type = 'purchase'), 0)::bigint AS purchases,
        coalesce(sum(quantity) FILTER (WHERE event_type = 'purchase'), 0)::bigint AS units,
        coalesce(sum(amount) FILTER (WHERE event_type = 'purchase'), 0)::numeric(38, 2) AS revenue
    FROM shop.agg_day
    GROUP BY day, currency
)
SELECT
    totals.*,
    people.sessions,
    people.visitors,
    people.buyers,
    people.paid_orders,
    round(totals.revenue / nullif(people.paid_orders, 0), 2) AS average_order_value,
    round(people.purchase_sessions::numeric / nullif(people.sessions, 0), 4) AS conversion_rate
FROM totals
-- Both tables contain the events of the same batches. They differ only for a day that received an event after retention
-- removed the day. Whether the session of that event was counted is unknown, so the day has no distinct counts.
LEFT JOIN shop.fact_days AS people
    ON people.day = totals.day AND people.currency = totals.currency AND people.events = totals.events;

COMMENT ON TABLE shop.mart_daily_kpis IS
    'Daily key figures per currency, kept forever. Distinct counts are NULL for a day that received events after retention removed it.';
COMMENT ON COLUMN shop.mart_daily_kpis.sessions IS
    'Sessions with an event on the day in the currency. A session that spans midnight or two currencies counts in each.';
COMMENT ON COLUMN shop.mart_daily_kpis.paid_orders IS 'Distinct orders with a purchase.';
COMMENT ON COLUMN shop.mart_daily_kpis.revenue IS 'Sum of unit_price times quantity of purchases, in the currency of the row.';
COMMENT ON COLUMN shop.mart_daily_kpis.average_order_value IS 'revenue / paid_orders; NULL without paid orders.';
COMMENT ON COLUMN shop.mart_daily_kpis.conversion_rate IS 'Sessions with a purchase / sessions.';

CREATE UNIQUE INDEX mart_daily_kpis_grain ON shop.mart_daily_kpis (day, currency);

GRANT SELECT ON shop.mart_daily_kpis TO shop_analyst, shop_ops, shop_quality;
