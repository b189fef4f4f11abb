-- Facts: what the materialized views need of sessions, customers, orders and products, kept up to date by the events that
-- are new, so that a refresh costs what came since the last one, not what is stored.
--
-- Facts of people and sessions last as long as the events that they come from: id_day is the newest day, by the time
-- inside event_id, of any event in the row, and so the partition with which it goes. Daily sums stay.

CREATE TABLE shop.facts_progress (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    batch_id bigint NOT NULL,
    advanced_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

INSERT INTO shop.facts_progress (batch_id) VALUES (0);

COMMENT ON TABLE shop.facts_progress IS 'The newest batch whose events are in the facts: all of the batches up to it are.';

CREATE TABLE shop.fact_sessions (
    session_id text PRIMARY KEY,
    id_day date NOT NULL,
    first_event_at timestamptz NOT NULL,
    channel text NOT NULL,
    device text NOT NULL,
    stage smallint NOT NULL
);

COMMENT ON TABLE shop.fact_sessions IS 'Every session once: where it began, and how far it came.';
COMMENT ON COLUMN shop.fact_sessions.stage IS '0 none of these, 1 view, 2 cart, 3 order, 4 purchase: the furthest.';

CREATE TABLE shop.fact_funnel (
    day date NOT NULL,
    channel text NOT NULL,
    device text NOT NULL,
    stage smallint NOT NULL,
    sessions bigint NOT NULL,
    PRIMARY KEY (day, channel, device, stage)
);

COMMENT ON TABLE shop.fact_funnel IS 'Sessions by the UTC day of their first event, channel, device and furthest stage.';

CREATE TABLE shop.fact_days (
    day date NOT NULL,
    currency text NOT NULL,
    events bigint NOT NULL DEFAULT 0,
    sessions bigint NOT NULL DEFAULT 0,
    purchase_sessions bigint NOT NULL DEFAULT 0,
    customers bigint NOT NULL DEFAULT 0,
    buyers bigint NOT NULL DEFAULT 0,
    paid_orders bigint NOT NULL DEFAULT 0,
    is_closed boolean NOT NULL DEFAULT false,
    PRIMARY KEY (day, currency)
);

COMMENT ON TABLE shop.fact_days IS 'Distinct counts of each UTC day of event_time and currency.';
COMMENT ON COLUMN shop.fact_days.is_closed IS
    'Whether retention has taken what says who was counted: later events of the day are not counted in any more.';

CREATE TABLE shop.fact_visits (
    day date NOT NULL,
    currency text NOT NULL,
    session_id text NOT NULL,
    id_day date NOT NULL,
    has_purchase boolean NOT NULL,
    PRIMARY KEY (day, currency, session_id)
);

COMMENT ON TABLE shop.fact_visits IS 'The sessions that fact_days has counted.';

CREATE TABLE shop.fact_shoppers (
    day date NOT NULL,
    currency text NOT NULL,
    user_id text NOT NULL,
    id_day date NOT NULL,
    purchases bigint NOT NULL,
    units bigint NOT NULL,
    revenue numeric(18, 2) NOT NULL,
    first_purchase_at timestamptz,
    last_purchase_at timestamptz,
    PRIMARY KEY (day, currency, user_id)
);

COMMENT ON TABLE shop.fact_shoppers IS 'The customers that fact_days has counted, with what they bought on the day.';

-- Serves the sums of a customer whose oldest days retention takes.
CREATE INDEX fact_shoppers_user ON shop.fact_shoppers (user_id, currency);

CREATE TABLE shop.fact_day_orders (
    day date NOT NULL,
    currency text NOT NULL,
    order_id text NOT NULL,
    id_day date NOT NULL,
    PRIMARY KEY (day, currency, order_id)
);

COMMENT ON TABLE shop.fact_day_orders IS 'The paid orders that fact_days has counted.';

CREATE TABLE shop.fact_customer_orders (
    user_id text NOT NULL,
    currency text NOT NULL,
    order_id text NOT NULL,
    id_day date NOT NULL,
    PRIMARY KEY (user_id, currency, order_id)
);

COMMENT ON TABLE shop.fact_customer_orders IS 'The paid orders that fact_customers has counted.';

CREATE TABLE shop.fact_customers (
    user_id text NOT NULL,
    currency text NOT NULL,
    orders bigint NOT NULL,
    units bigint NOT NULL,
    revenue numeric(18, 2) NOT NULL,
    first_purchase_at timestamptz NOT NULL,
    last_purchase_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, currency)
);

COMMENT ON TABLE shop.fact_customers IS 'What each customer bought in each currency.';

CREATE TABLE shop.fact_users (
    user_id text PRIMARY KEY,
    id_day date NOT NULL,
    customer_segment text NOT NULL,
    seen_at timestamptz NOT NULL
);

COMMENT ON TABLE shop.fact_users IS 'The segment in the newest event of each customer.';

CREATE TABLE shop.fact_products (
    id_day date NOT NULL,
    product_id text NOT NULL,
    currency text NOT NULL,
    product_name text NOT NULL,
    category text NOT NULL,
    brand text NOT NULL,
    views bigint NOT NULL,
    wishlist_adds bigint NOT NULL,
    cart_adds bigint NOT NULL,
    orders bigint NOT NULL,
    purchases bigint NOT NULL,
    units bigint NOT NULL,
    revenue numeric(18, 2) NOT NULL,
    last_event_at timestamptz NOT NULL,
    PRIMARY KEY (id_day, product_id, currency, product_name, category, brand)
);

COMMENT ON TABLE shop.fact_products IS 'Events by type, units and revenue of each product, under each name that it had, by day inside event_id.';

GRANT SELECT, INSERT, UPDATE, DELETE ON
    shop.fact_sessions, shop.fact_funnel, shop.fact_days, shop.fact_visits, shop.fact_shoppers, shop.fact_day_orders,
    shop.fact_customer_orders, shop.fact_customers, shop.fact_users, shop.fact_products
TO shop_ops;
GRANT SELECT, UPDATE ON shop.facts_progress TO shop_ops;
GRANT SELECT ON
    shop.facts_progress, shop.fact_sessions, shop.fact_funnel, shop.fact_days, shop.fact_visits, shop.fact_shoppers,
    shop.fact_day_orders, shop.fact_customer_orders, shop.fact_customers, shop.fact_users, shop.fact_products
TO shop_quality;
GRANT SELECT ON shop.facts_progress, shop.fact_funnel, shop.fact_days, shop.fact_products TO shop_analyst;
