-- name: how_far
-- The batch to continue to, the newest one unless given, and whether the aggregates already contain it.
SELECT newest, newest IS NULL OR newest <= progress.batch_id
FROM shop.facts_progress AS progress, (SELECT coalesce(%(newest)s, max(batch_id)) AS newest FROM shop.batches) AS known;

-- name: summarize
-- Summarizes the new ranges of the BRIN index. Otherwise finding the events of the newest batches reads everything
-- stored since the last autovacuum.
SELECT shop.summarize_events();

-- name: lock_progress
-- One session at a time, until the end of the transaction; returns the newest batch in the aggregates.
SELECT batch_id FROM shop.facts_progress FOR UPDATE;

-- name: next_batches
-- The batches to add next: at least one, up to about this many events. Also the period in which their events were
-- loaded, extended by a minute on both sides in case the clock was set in between.
SELECT
    max(batch_id),
    min(started_at) - interval '1 minute',
    max(committed_at) + interval '1 minute',
    sum(accepted)::bigint,
    count(*)
FROM (
    SELECT batch_id, started_at, committed_at, accepted, sum(accepted) OVER (ORDER BY batch_id) - accepted AS accepted_before
    FROM shop.batches
    WHERE batch_id > %(after)s AND batch_id <= %(newest)s
    ORDER BY batch_id
    LIMIT 100000
) AS following
WHERE accepted_before < %(max_events)s
HAVING count(*) > 0;

-- name: fresh
-- The events of these batches, found by the BRIN index on ingested_at.
CREATE TEMPORARY TABLE fresh ON COMMIT DROP AS
SELECT * FROM shop.event_facts
WHERE ingested_at BETWEEN %(since)s AND %(until)s AND batch_id > %(after)s AND batch_id <= %(up_to)s;

-- name: count_fresh
-- The number of events found, and whether retention has removed events that were loaded as early as these.
SELECT
    (SELECT count(*) FROM fresh),
    EXISTS (SELECT FROM shop.retired_partitions WHERE ingested_before > %(since)s);

-- name: analyze_fresh
ANALYZE fresh;

-- name: add_sessions
-- Each session that is new or reached a later stage changes the funnel: its old row is subtracted and its new row
-- added.
WITH changed AS (
    INSERT INTO shop.fact_sessions AS kept (session_id, id_day, first_event_at, channel, device, stage)
    SELECT
        session_id,
        max(id_day),
        min(event_time),
        -- A session has one channel and one device. If a feed says otherwise, min() picks the same one every time.
        min(channel),
        min(device),
        max(shop.funnel_stage(event_type))
    FROM fresh
    WHERE NOT is_closed
    GROUP BY session_id
    ORDER BY session_id
    ON CONFLICT (session_id) DO UPDATE
    SET id_day = greatest(kept.id_day, excluded.id_day),
        first_event_at = least(kept.first_event_at, excluded.first_event_at),
        channel = least(kept.channel, excluded.channel),
        device = least(kept.device, excluded.device),
        stage = greatest(kept.stage, excluded.stage)
    -- Most recurring sessions have not changed; then no row is rewritten.
    WHERE kept.id_day < excluded.id_day OR kept.stage < excluded.stage
        OR kept.first_event_at > excluded.first_event_at
        OR kept.channel > excluded.channel OR kept.device > excluded.device
    RETURNING
        (old.first_event_at AT TIME ZONE 'UTC')::date AS old_day, old.channel AS old_channel, old.device AS old_device,
        old.stage AS old_stage, (new.first_event_at AT TIME ZONE 'UTC')::date AS new_day, new.channel AS new_channel,
        new.device AS new_device, new.stage AS new_stage
),
changes AS (
    SELECT old_day AS day, old_channel AS channel, old_device AS device, old_stage AS stage, -1 AS sessions
    FROM changed
    WHERE old_day IS NOT NULL
    UNION ALL
    SELECT new_day, new_channel, new_device, new_stage, 1 FROM changed
)
INSERT INTO shop.fact_funnel AS kept (day, channel, device, stage, sessions)
SELECT day, channel, device, stage, sum(sessions) FROM changes
GROUP BY day, channel, device, stage
HAVING sum(sessions) <> 0
ON CONFLICT (day, channel, device, stage) DO UPDATE SET sessions = kept.sessions + excluded.sessions;

-- name: add_day_sessions
WITH counted AS (
    INSERT INTO shop.fact_day_sessions AS kept (day, currency, session_id, id_day, has_purchase)
    SELECT day, currency, session_id, max(id_day), bool_or(is_purchase)
    FROM fresh
    WHERE NOT is_closed
    GROUP BY day, currency, session_id
    ORDER BY day, currency, session_id
    ON CONFLICT (day, currency, session_id) DO UPDATE
    SET id_day = greatest(kept.id_day, excluded.id_day), has_purchase = kept.has_purchase OR excluded.has_purchase
    WHERE kept.id_day < excluded.id_day OR kept.has_purchase < excluded.has_purchase
    RETURNING
        new.day, new.currency, old.session_id IS NULL AS is_new,
        new.has_purchase AND NOT coalesce(old.has_purchase, false) AS is_newly_bought
)
INSERT INTO shop.fact_days AS kept (day, currency, sessions, purchase_sessions)
SELECT day, currency, count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE is_newly_bought) FROM counted
GROUP BY day, currency
ON CONFLICT (day, currency) DO UPDATE
SET sessions = kept.sessions + excluded.sessions,
    purchase_sessions = kept.purchase_sessions + excluded.purchase_sessions;

-- name: add_day_visitors
WITH counted AS (
    INSERT INTO shop.fact_day_visitors AS kept (
        day, currency, user_id, id_day, purchases, units, revenue, first_purchase_at, last_purchase_at
    )
    SELECT
        day,
        currency,
        user_id,
        max(id_day),
        count(*) FILTER (WHERE is_purchase),
        coalesce(sum(quantity) FILTER (WHERE is_purchase), 0),
        coalesce(sum(amount) FILTER (WHERE is_purchase), 0),
        min(event_time) FILTER (WHERE is_purchase),
        max(event_time) FILTER (WHERE is_purchase)
    FROM fresh
    WHERE NOT is_closed
    GROUP BY day, currency, user_id
    ON CONFLICT (day, currency, user_id) DO UPDATE
    SET id_day = greatest(kept.id_day, excluded.id_day),
        purchases = kept.purchases + excluded.purchases,
        units = kept.units + excluded.units,
        revenue = kept.revenue + excluded.revenue,
        first_purchase_at = least(kept.first_purchase_at, excluded.first_purchase_at),
        last_purchase_at = greatest(kept.last_purchase_at, excluded.last_purchase_at)
    RETURNING
        new.day, new.currency, old.user_id IS NULL AS is_new,
        new.purchases > 0 AND coalesce(old.purchases, 0) = 0 AS is_new_buyer
)
INSERT INTO shop.fact_days AS kept (day, currency, visitors, buyers)
SELECT day, currency, count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE is_new_buyer) FROM counted
GROUP BY day, currency
ON CONFLICT (day, currency) DO UPDATE
SET visitors = kept.visitors + excluded.visitors, buyers = kept.buyers + excluded.buyers;

-- name: add_day_orders
WITH counted AS (
    INSERT INTO shop.fact_day_orders AS kept (day, currency, order_id, id_day)
    SELECT day, currency, order_id, max(id_day)
    FROM fresh
    WHERE is_purchase AND NOT is_closed
    GROUP BY day, currency, order_id
    ON CONFLICT (day, currency, order_id) DO UPDATE SET id_day = excluded.id_day
    WHERE kept.id_day < excluded.id_day
    RETURNING new.day, new.currency, old.order_id IS NULL AS is_new
)
INSERT INTO shop.fact_days AS kept (day, currency, paid_orders)
SELECT day, currency, count(*) FILTER (WHERE is_new) FROM counted
GROUP BY day, currency
ON CONFLICT (day, currency) DO UPDATE SET paid_orders = kept.paid_orders + excluded.paid_orders;

-- name: add_events
INSERT INTO shop.fact_days AS kept (day, currency, events)
SELECT day, currency, count(*) FROM fresh
WHERE NOT is_closed
GROUP BY day, currency
ON CONFLICT (day, currency) DO UPDATE SET events = kept.events + excluded.events;

-- name: add_customers
WITH orders AS (
    INSERT INTO shop.fact_customer_orders AS kept (user_id, currency, order_id, id_day)
    SELECT user_id, currency, order_id, max(id_day)
    FROM fresh
    WHERE is_purchase AND NOT is_closed
    GROUP BY user_id, currency, order_id
    ON CONFLICT (user_id, currency, order_id) DO UPDATE SET id_day = greatest(kept.id_day, excluded.id_day)
    RETURNING new.user_id, new.currency, old.order_id IS NULL AS is_new
),
counted AS (
    SELECT user_id, currency, count(*) FILTER (WHERE is_new) AS orders FROM orders GROUP BY user_id, currency
),
bought AS (
    SELECT
        user_id,
        currency,
        sum(quantity) AS units,
        sum(amount) AS revenue,
        min(event_time) AS first_purchase_at,
        max(event_time) AS last_purchase_at
    FROM fresh
    WHERE is_purchase AND NOT is_closed
    GROUP BY user_id, currency
)
INSERT INTO shop.fact_customers AS kept (user_id, currency, orders, units, revenue, first_purchase_at, last_purchase_at)
SELECT user_id, currency, orders, units, revenue, first_purchase_at, last_purchase_at
FROM bought
INNER JOIN counted USING (user_id, currency)
ON CONFLICT (user_id, currency) DO UPDATE
SET orders = kept.orders + excluded.orders,
    units = kept.units + excluded.units,
    revenue = kept.revenue + excluded.revenue,
    first_purchase_at = least(kept.first_purchase_at, excluded.first_purchase_at),
    last_purchase_at = greatest(kept.last_purchase_at, excluded.last_purchase_at);

-- name: add_visitor_segments
-- If two events of the same instant have different segments, the first by name wins, whichever came first.
INSERT INTO shop.fact_visitor_segments AS kept (user_id, id_day, customer_segment, seen_at)
SELECT DISTINCT ON (user_id) user_id, max(id_day) OVER (PARTITION BY user_id), customer_segment, event_time
FROM fresh
WHERE NOT is_closed
ORDER BY user_id, event_time DESC, customer_segment
ON CONFLICT (user_id) DO UPDATE
SET id_day = greatest(kept.id_day, excluded.id_day),
    seen_at = greatest(kept.seen_at, excluded.seen_at),
    customer_segment = CASE
        WHEN excluded.seen_at > kept.seen_at THEN excluded.customer_segment
        WHEN excluded.seen_at = kept.seen_at THEN least(excluded.customer_segment, kept.customer_segment)
        ELSE kept.customer_segment
    END;

-- name: add_products
INSERT INTO shop.fact_products AS kept (
    id_day, product_id, currency, product_name, category, brand,
    views, wishlist_adds, cart_adds, orders, purchases, units, revenue, last_event_at
)
SELECT
    id_day,
    product_id,
    currency,
    product_name,
    category,
    brand,
    count(*) FILTER (WHERE event_type = 'view'),
    count(*) FILTER (WHERE event_type = 'add_to_wishlist'),
    count(*) FILTER (WHERE event_type = 'add_to_cart'),
    count(*) FILTER (WHERE event_type = 'order'),
    count(*) FILTER (WHERE is_purchase),
    coalesce(sum(quantity) FILTER (WHERE is_purchase), 0),
    coalesce(sum(amount) FILTER (WHERE is_purchase), 0),
    max(event_time)
FROM fresh
WHERE NOT is_closed
GROUP BY id_day, product_id, currency, product_name, category, brand
ON CONFLICT (id_day, product_id, currency, product_name, category, brand) DO UPDATE
SET views = kept.views + excluded.views,
    wishlist_adds = kept.wishlist_adds + excluded.wishlist_adds,
    cart_adds = kept.cart_adds + excluded.cart_adds,
    orders = kept.orders + excluded.orders,
    purchases = kept.purchases + excluded.purchases,
    units = kept.units + excluded.units,
    revenue = kept.revenue + excluded.revenue,
    last_event_at = greatest(kept.last_event_at, excluded.last_event_at);

-- name: add_hours
INSERT INTO shop.agg_hour AS kept (hour, event_type, category, currency, events, quantity, amount)
SELECT
    date_trunc('hour', event_time, 'UTC'), event_type, category, currency, count(*), coalesce(sum(quantity), 0),
    coalesce(sum(amount), 0)
FROM fresh
GROUP BY 1, 2, 3, 4
ON CONFLICT (event_type, hour, category, currency) DO UPDATE
SET events = kept.events + excluded.events,
    quantity = kept.quantity + excluded.quantity,
    amount = kept.amount + excluded.amount;

-- name: add_days
INSERT INTO shop.agg_day AS kept (day, event_type, category, currency, events, quantity, amount)
SELECT day, event_type, category, currency, count(*), coalesce(sum(quantity), 0), coalesce(sum(amount), 0)
FROM fresh
GROUP BY 1, 2, 3, 4
ON CONFLICT (day, event_type, category, currency) DO UPDATE
SET events = kept.events + excluded.events,
    quantity = kept.quantity + excluded.quantity,
    amount = kept.amount + excluded.amount;

-- name: save_progress
UPDATE shop.facts_progress SET batch_id = %(up_to)s, advanced_at = clock_timestamp();

-- name: days_without_events
-- Days that have aggregates but no events left, because their partition is gone. All events up to the progress are
-- looked up by id, so an event that is not yet in the aggregates keeps its day.
SELECT known.id_day
FROM (SELECT DISTINCT id_day FROM shop.fact_products) AS known
WHERE NOT EXISTS (
    SELECT FROM shop.events
    WHERE event_id >= shop.first_event_id(known.id_day::timestamp AT TIME ZONE 'UTC')
        AND event_id < shop.first_event_id((known.id_day + 1)::timestamp AT TIME ZONE 'UTC')
)
ORDER BY known.id_day;

-- name: close_days
-- Days that are about to lose rows: afterwards it is unknown which visitors and sessions were counted in them.
UPDATE shop.fact_days
SET is_closed = true, closed_after = (SELECT batch_id FROM shop.facts_progress)
WHERE NOT is_closed
    AND (day, currency) IN (
        SELECT day, currency FROM shop.fact_day_sessions WHERE id_day = ANY(%(id_days)s)
        UNION ALL
        SELECT day, currency FROM shop.fact_day_visitors WHERE id_day = ANY(%(id_days)s)
        UNION ALL
        SELECT day, currency FROM shop.fact_day_orders WHERE id_day = ANY(%(id_days)s)
    );

-- name: forget_day_sessions
DELETE FROM shop.fact_day_sessions WHERE id_day = ANY(%(id_days)s);

-- name: forget_sessions
DELETE FROM shop.fact_sessions WHERE id_day = ANY(%(id_days)s);

-- name: forget_day_orders
DELETE FROM shop.fact_day_orders WHERE id_day = ANY(%(id_days)s);

-- name: forget_visitor_segments
DELETE FROM shop.fact_visitor_segments WHERE id_day = ANY(%(id_days)s);

-- name: forget_products
DELETE FROM shop.fact_products WHERE id_day = ANY(%(id_days)s);

-- name: forget_day_visitors
-- Customers keep their purchases of the remaining days. An order and its customer's day may have ids of different days,
-- so both are checked.
WITH gone_orders AS (
    DELETE FROM shop.fact_customer_orders WHERE id_day = ANY(%(id_days)s) RETURNING user_id, currency
),
gone_days AS (
    DELETE FROM shop.fact_day_visitors WHERE id_day = ANY(%(id_days)s) RETURNING user_id, currency
),
changed AS (
    SELECT user_id, currency FROM gone_orders
    UNION
    SELECT user_id, currency FROM gone_days
),
left_over AS (
    SELECT
        changed.user_id,
        changed.currency,
        sum(rest.units) AS units,
        sum(rest.revenue) AS revenue,
        min(rest.first_purchase_at) AS first_purchase_at,
        max(rest.last_purchase_at) AS last_purchase_at
    FROM changed
    LEFT JOIN shop.fact_day_visitors AS rest
        ON rest.user_id = changed.user_id AND rest.currency = changed.currency AND rest.purchases > 0
        AND NOT rest.id_day = ANY(%(id_days)s)
    GROUP BY changed.user_id, changed.currency
)
MERGE INTO shop.fact_customers AS customer
USING (
    SELECT
        left_over.*,
        (
            SELECT count(*) FROM shop.fact_customer_orders AS rest
            WHERE rest.user_id = left_over.user_id AND rest.currency = left_over.currency
                AND NOT rest.id_day = ANY(%(id_days)s)
        ) AS orders
    FROM left_over
) AS change
ON customer.user_id = change.user_id AND customer.currency = change.currency
WHEN MATCHED AND change.units IS NULL THEN DELETE
WHEN MATCHED THEN UPDATE SET
    orders = change.orders,
    units = change.units,
    revenue = change.revenue,
    first_purchase_at = change.first_purchase_at,
    last_purchase_at = change.last_purchase_at;
