-- depends on: events
-- Grain: one row a day (UTC) on which sessions began, channel and device. Every session is in exactly one row, so counts
-- can be summed; rates cannot, compute them from the sums.
CREATE MATERIALIZED VIEW shop.mart_conversion_funnel AS
WITH sessions AS (
    SELECT
        session_id,
        (min(event_time) AT TIME ZONE 'UTC')::date AS day,
        -- A visit has one channel and one device; should a feed say otherwise, min() picks the same one every time.
        min(channel) AS channel,
        min(device) AS device,
        max(CASE event_type WHEN 'purchase' THEN 4 WHEN 'order' THEN 3 WHEN 'add_to_cart' THEN 2 WHEN 'view' THEN 1 ELSE 0 END)
            AS stage
    FROM shop.events
    GROUP BY session_id
),
counts AS (
    SELECT
        day,
        channel,
        device,
        count(*) AS sessions,
        count(*) FILTER (WHERE stage >= 1) AS view_sessions,
        count(*) FILTER (WHERE stage >= 2) AS cart_sessions,
        count(*) FILTER (WHERE stage >= 3) AS order_sessions,
        count(*) FILTER (WHERE stage >= 4) AS purchase_sessions
    FROM sessions
    GROUP BY day, channel, device
)
SELECT
    *,
    round(cart_sessions::numeric / nullif(view_sessions, 0), 4) AS view_to_cart_rate,
    round(order_sessions::numeric / nullif(cart_sessions, 0), 4) AS cart_to_order_rate,
    round(purchase_sessions::numeric / nullif(order_sessions, 0), 4) AS order_to_purchase_rate,
    round(purchase_sessions::numeric / nullif(view_sessions, 0), 4) AS conversion_rate
FROM counts;

COMMENT ON MATERIALIZED VIEW shop.mart_conversion_funnel IS
    'How far sessions came, per day (UTC) of their first event, channel and device, over the events that retention keeps.';
COMMENT ON COLUMN shop.mart_conversion_funnel.view_sessions IS
    'Sessions that reached a view or any later stage: a session that ordered passed the cart, whether or not its event is here.';
COMMENT ON COLUMN shop.mart_conversion_funnel.conversion_rate IS 'purchase_sessions / view_sessions; NULL without any.';

CREATE UNIQUE INDEX mart_conversion_funnel_grain ON shop.mart_conversion_funnel (day, channel, device);

GRANT SELECT ON shop.mart_conversion_funnel TO shop_analyst, shop_ops, shop_quality;
GRANT MAINTAIN ON shop.mart_conversion_funnel TO shop_ops;
