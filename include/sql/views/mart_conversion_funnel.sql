-- depends on: fact_funnel
-- changes by: day
-- Grain: one row per day (UTC) on which sessions began, channel and device. Every session is in exactly one row, so
-- counts can be summed. Rates cannot be summed; compute them from the sums.
CREATE TABLE shop.mart_conversion_funnel AS
WITH counts AS (
    SELECT
        day,
        channel,
        device,
        sum(sessions)::bigint AS sessions,
        coalesce(sum(sessions) FILTER (WHERE stage >= 1), 0)::bigint AS view_sessions,
        coalesce(sum(sessions) FILTER (WHERE stage >= 2), 0)::bigint AS cart_sessions,
        coalesce(sum(sessions) FILTER (WHERE stage >= 3), 0)::bigint AS order_sessions,
        coalesce(sum(sessions) FILTER (WHERE stage >= 4), 0)::bigint AS purchase_sessions
    FROM shop.fact_funnel
    GROUP BY day, channel, device
    HAVING sum(sessions) > 0
)
SELECT
    *,
    round(cart_sessions::numeric / nullif(view_sessions, 0), 4) AS view_to_cart_rate,
    round(order_sessions::numeric / nullif(cart_sessions, 0), 4) AS cart_to_order_rate,
    round(purchase_sessions::numeric / nullif(order_sessions, 0), 4) AS order_to_purchase_rate,
    round(purchase_sessions::numeric / nullif(view_sessions, 0), 4) AS conversion_rate
FROM counts;

COMMENT ON TABLE shop.mart_conversion_funnel IS
    'How far sessions got in the funnel, per day (UTC) of their first event, channel and device; kept forever.';
COMMENT ON COLUMN shop.mart_conversion_funnel.view_sessions IS
    'Sessions that reached a view or a later stage. A session with an order counts as having reached the cart, even without a cart event.';
COMMENT ON COLUMN shop.mart_conversion_funnel.conversion_rate IS 'purchase_sessions / view_sessions; NULL without view_sessions.';

CREATE UNIQUE INDEX mart_conversion_funnel_grain ON shop.mart_conversion_funnel (day, channel, device);

GRANT SELECT ON shop.mart_conversion_funnel TO shop_analyst, shop_ops, shop_quality;
