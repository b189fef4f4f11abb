-- name: foreign_files
-- Files that neither the generator nor a break has made: whoever has such has data of his own.
SELECT name FROM shop.files
WHERE name !~ '^(events-[0-9]{8}T[0-9]{9}Z-[0-9]+-[0-9]{6}|break-[a-z-]+-[0-9]+-[0-9]{4})\.csv(\.gz)?$'
ORDER BY file_id
LIMIT 5;

-- name: has_retired
SELECT EXISTS (SELECT FROM shop.retired_partitions) OR EXISTS (SELECT FROM shop.retired_ledger);

-- name: events_before
-- Events that were loaded before the last ten minutes.
SELECT coalesce(sum(accepted), 0) FROM shop.batches WHERE committed_at < clock_timestamp() - interval '10 minutes';

-- name: per_minute
SELECT coalesce(sum(events), 0) / 15.0
FROM shop.rollup_minute
WHERE minute >= clock_timestamp() - interval '17 minutes' AND minute < clock_timestamp() - interval '2 minutes';

-- name: make_stale
-- As if nobody had been able to refresh it for two hours; and nobody is.
UPDATE shop.refreshes
SET started_at = started_at - interval '2 hours', finished_at = finished_at - interval '2 hours'
WHERE view_name = %(view_name)s;
REVOKE INSERT ON {candidate} FROM shop_ops;

-- name: make_fresh
UPDATE shop.refreshes
SET started_at = started_at + interval '2 hours', finished_at = finished_at + interval '2 hours'
WHERE view_name = %(view_name)s AND refresh_id <= %(last_refresh_id)s;
GRANT INSERT ON {candidate} TO shop_ops;

-- name: last_refresh
SELECT max(refresh_id) FROM shop.refreshes WHERE view_name = %(view_name)s;

-- name: lock
-- Nothing is added to the facts meanwhile.
SELECT batch_id FROM shop.facts_progress FOR UPDATE;

-- name: withdrawn
CREATE TEMPORARY TABLE withdrawn ON COMMIT DROP AS
SELECT file_id, batch_id, arrived_at FROM shop.files WHERE name = ANY(%(names)s);

-- name: withdraw_rollups
WITH gone AS (
    SELECT date_trunc('minute', event_time) AS minute, event_type, category, currency, count(*) AS events,
        coalesce(sum(quantity), 0) AS quantity, coalesce(sum(unit_price * quantity), 0) AS amount
    FROM shop.events
    WHERE file_id IN (SELECT file_id FROM withdrawn) AND ingested_at >= (SELECT min(arrived_at) FROM withdrawn)
    GROUP BY date_trunc('minute', event_time), event_type, category, currency
)
MERGE INTO shop.rollup_minute AS kept
USING gone
ON (kept.minute, kept.event_type, kept.category, kept.currency)
    = (gone.minute, gone.event_type, gone.category, gone.currency)
WHEN MATCHED AND kept.events = gone.events THEN DELETE
WHEN MATCHED THEN UPDATE SET
    events = kept.events - gone.events, quantity = kept.quantity - gone.quantity, amount = kept.amount - gone.amount;

-- name: withdraw_events
DELETE FROM shop.events
WHERE file_id IN (SELECT file_id FROM withdrawn) AND ingested_at >= (SELECT min(arrived_at) FROM withdrawn);

-- name: withdraw_from_batches
WITH parts AS (
    SELECT batch_id, read, accepted, duplicate, rejected
    FROM shop.files
    WHERE file_id IN (SELECT file_id FROM withdrawn) AND parts <= 1
    UNION ALL
    SELECT part.batch_id, part.read, part.accepted, part.duplicate, part.rejected
    FROM shop.file_parts AS part
    INNER JOIN shop.files USING (file_id)
    WHERE file_id IN (SELECT file_id FROM withdrawn) AND files.parts > 1
),
gone AS (
    SELECT batch_id, count(*) AS files, sum(read) AS read, sum(accepted) AS accepted, sum(duplicate) AS duplicate,
        sum(rejected) AS rejected
    FROM parts
    GROUP BY batch_id
)
UPDATE shop.batches AS batch
SET files = batch.files - gone.files, read = batch.read - gone.read, accepted = batch.accepted - gone.accepted,
    duplicate = batch.duplicate - gone.duplicate, rejected = batch.rejected - gone.rejected
FROM gone
WHERE gone.batch_id = batch.batch_id;

-- name: delete_empty_batches
-- No file is left of them: a batch without files does not add up with any.
DELETE FROM shop.batches AS batch
WHERE batch_id IN (SELECT batch_id FROM withdrawn) AND files = 0 AND NOT EXISTS (
    SELECT FROM shop.files WHERE files.batch_id = batch.batch_id AND file_id NOT IN (SELECT file_id FROM withdrawn)
);

-- name: withdraw_files
DELETE FROM shop.conflicts WHERE file_id IN (SELECT file_id FROM withdrawn);
DELETE FROM shop.rejects WHERE file_id IN (SELECT file_id FROM withdrawn);
DELETE FROM shop.file_parts WHERE file_id IN (SELECT file_id FROM withdrawn);
DELETE FROM shop.files WHERE file_id IN (SELECT file_id FROM withdrawn);

-- name: forget_facts
-- They are made anew from the events that are left, by the next refresh.
TRUNCATE shop.fact_sessions, shop.fact_funnel, shop.fact_days, shop.fact_visits, shop.fact_shoppers,
    shop.fact_day_orders, shop.fact_customer_orders, shop.fact_customers, shop.fact_users, shop.fact_products;
UPDATE shop.facts_progress SET batch_id = 0;
