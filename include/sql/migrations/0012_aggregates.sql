-- Aggregates that outlive the events and the ledger: daily and hourly figures are kept for ever.

-- The views are made again after the migrations: their columns become wider with the tables that they read.
DROP VIEW IF EXISTS
    shop_next.mart_category_performance_query, shop_next.mart_conversion_funnel_query,
    shop_next.mart_customer_segments_query, shop_next.mart_customer_value_query, shop_next.mart_daily_kpis_query,
    shop_next.mart_product_performance_query, shop_next.mart_revenue_hourly_query;
DROP MATERIALIZED VIEW IF EXISTS
    shop.mart_category_performance, shop.mart_conversion_funnel, shop.mart_customer_segments, shop.mart_customer_value,
    shop.mart_daily_kpis, shop.mart_product_performance, shop.mart_revenue_hourly;
DROP TABLE IF EXISTS
    shop_next.mart_category_performance, shop_next.mart_conversion_funnel, shop_next.mart_customer_segments,
    shop_next.mart_customer_value, shop_next.mart_daily_kpis, shop_next.mart_product_performance,
    shop_next.mart_revenue_hourly;

-- 1,001 rows of the largest price and quantity that the contract admits overflow numeric(18,2). No row is rewritten.
ALTER TABLE shop.rollup_minute ALTER COLUMN amount TYPE numeric(38, 2);
ALTER TABLE shop.rollup_hour ALTER COLUMN amount TYPE numeric(38, 2);
ALTER TABLE shop.fact_shoppers ALTER COLUMN revenue TYPE numeric(38, 2);
ALTER TABLE shop.fact_customers ALTER COLUMN revenue TYPE numeric(38, 2);
ALTER TABLE shop.fact_products ALTER COLUMN revenue TYPE numeric(38, 2);

-- Event type first: what is asked of purchases reads the purchases only.
CREATE TABLE shop.agg_hour (
    hour timestamptz NOT NULL,
    event_type text NOT NULL,
    category text NOT NULL,
    currency text NOT NULL,
    events bigint NOT NULL,
    quantity bigint NOT NULL,
    amount numeric(38, 2) NOT NULL,
    PRIMARY KEY (event_type, hour, category, currency)
);

COMMENT ON TABLE shop.agg_hour IS
    'Events per hour of event_time, kept for ever; in step with the facts. amount is unit_price times quantity, in the currency.';

CREATE TABLE shop.agg_day (
    day date NOT NULL,
    event_type text NOT NULL,
    category text NOT NULL,
    currency text NOT NULL,
    events bigint NOT NULL,
    quantity bigint NOT NULL,
    amount numeric(38, 2) NOT NULL,
    PRIMARY KEY (day, event_type, category, currency)
);

COMMENT ON TABLE shop.agg_day IS
    'Events per UTC day of event_time, kept for ever; in step with the facts. amount is unit_price times quantity, in the currency.';

-- What the live rollups hold of the batches that are in the facts.
INSERT INTO shop.agg_hour (hour, event_type, category, currency, events, quantity, amount)
SELECT hour, event_type, category, currency, sum(events), sum(quantity), sum(amount)
FROM (
    SELECT hour, event_type, category, currency, events, quantity, amount FROM shop.rollup_hour
    UNION ALL
    SELECT
        date_trunc('hour', event_time, 'UTC'), event_type, category, currency, -1, -coalesce(quantity, 0),
        -coalesce(unit_price * quantity, 0)
    FROM shop.events
    WHERE batch_id > (SELECT batch_id FROM shop.facts_progress)
) AS counted
GROUP BY hour, event_type, category, currency
HAVING sum(events) > 0;

INSERT INTO shop.agg_day (day, event_type, category, currency, events, quantity, amount)
SELECT (hour AT TIME ZONE 'UTC')::date, event_type, category, currency, sum(events), sum(quantity), sum(amount)
FROM shop.agg_hour
GROUP BY (hour AT TIME ZONE 'UTC')::date, event_type, category, currency;

CREATE TABLE shop.rollup_horizon (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    day date NOT NULL
);

INSERT INTO shop.rollup_horizon (day)
SELECT least(
    (clock_timestamp() AT TIME ZONE 'UTC')::date - 30,
    (SELECT (min(minute) AT TIME ZONE 'UTC')::date FROM shop.rollup_minute)
);

COMMENT ON TABLE shop.rollup_horizon IS
    'The first UTC day of event_time that the live rollups hold: retention moves it on, and a batch adds no earlier minute.';

COMMENT ON TABLE shop.rollup_minute IS
    'Events per minute of event_time since shop.rollup_horizon, kept by the batch transaction. amount is unit_price times quantity, in the currency.';
COMMENT ON COLUMN shop.retired_ledger.up_to_minute IS 'The last minute of which a rollup was removed.';

ALTER TABLE shop.fact_days ADD COLUMN closed_after bigint;

UPDATE shop.fact_days SET closed_after = (SELECT batch_id FROM shop.facts_progress) WHERE is_closed;

ALTER TABLE shop.fact_days
    ADD CONSTRAINT fact_days_closed_check CHECK (is_closed = (closed_after IS NOT NULL));

COMMENT ON COLUMN shop.fact_days.closed_after IS
    'The newest batch that was in the facts when retention took the day: events of later batches are not counted in it.';

CREATE VIEW shop.event_facts AS
SELECT
    event.event_id,
    event.batch_id,
    event.file_id,
    event.ingested_at,
    (uuid_extract_timestamp(event.event_id) AT TIME ZONE 'UTC')::date AS id_day,
    (event.event_time AT TIME ZONE 'UTC')::date AS day,
    event.event_time,
    event.event_type,
    event.session_id,
    event.user_id,
    event.customer_segment,
    event.order_id,
    event.product_id,
    event.product_name,
    event.category,
    event.brand,
    event.currency,
    event.channel,
    event.device,
    event.quantity,
    event.unit_price * event.quantity AS amount,
    event.event_type = 'purchase' AS is_purchase,
    coalesce(event.batch_id > counted.closed_after, false) AS is_closed
FROM shop.events AS event
LEFT JOIN shop.fact_days AS counted
    ON counted.day = (event.event_time AT TIME ZONE 'UTC')::date AND counted.currency = event.currency;

COMMENT ON VIEW shop.event_facts IS 'Each event as the facts count it.';
COMMENT ON COLUMN shop.event_facts.is_closed IS
    'Whether the event came after retention took its day: then it is not counted in sessions, customers and products.';

GRANT SELECT ON shop.event_facts TO shop_ops;
GRANT SELECT, INSERT, UPDATE, DELETE ON shop.agg_hour, shop.agg_day TO shop_ops;
GRANT SELECT ON shop.agg_hour, shop.agg_day TO shop_quality, shop_analyst;
GRANT SELECT ON shop.rollup_horizon TO shop_ingest, shop_ops, shop_quality, shop_analyst;
