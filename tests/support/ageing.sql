-- name: times
-- The tables and columns that hold a moment: not those of partitions, nor what is derived from events, as the views are, nor
-- what is about days.
SELECT relation.relname::text, array_agg(attribute.attname::text)
FROM pg_class AS relation
INNER JOIN pg_attribute AS attribute ON attribute.attrelid = relation.oid
WHERE relation.relnamespace = 'shop'::regnamespace AND relation.relkind IN ('r', 'p') AND NOT relation.relispartition
    AND attribute.atttypid = 'timestamptz'::regtype AND NOT attribute.attisdropped
    AND relation.relname !~ '^(rollup_minute|rollup_hour|agg_|fact_|facts_|mart_|retired_)'
GROUP BY relation.relname;

-- name: derived
SELECT relname::text FROM pg_class
WHERE relnamespace = 'shop'::regnamespace AND relkind = 'r' AND relname ~ '^(rollup_minute|rollup_hour|agg_|fact_)';

-- name: begin_facts
UPDATE shop.facts_progress SET batch_id = 0;

-- name: add_rollups
INSERT INTO shop.rollup_minute (minute, event_type, category, currency, events, quantity, amount, batch_id)
SELECT date_trunc('minute', event_time), event_type, category, currency,
    count(*), coalesce(sum(quantity), 0), coalesce(sum(unit_price * quantity), 0), max(batch_id)
FROM shop.events
WHERE event_time >= (SELECT day FROM shop.rollup_horizon)
GROUP BY date_trunc('minute', event_time), event_type, category, currency;
