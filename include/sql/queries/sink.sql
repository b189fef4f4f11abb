-- name: waiting_files
-- The guard against a replay: only files that still wait are loaded.
SELECT file_id, name FROM shop.files WHERE file_id = ANY(%(file_ids)s) AND state = 'admitted';

-- name: open_batch
INSERT INTO shop.batches (
    query, epoch, spark_batch_id, files, read, accepted, duplicate, rejected, warnings,
    min_event_time, max_event_time, oldest_arrival, started_at
)
SELECT
    %(query)s, %(epoch)s, %(spark_batch_id)s, %(files)s, %(read)s, %(accepted)s, %(duplicate)s,
    %(rejected)s, %(warnings)s, %(min_event_time)s, %(max_event_time)s, min(arrived_at), now()
FROM shop.files
WHERE file_id = ANY(%(file_ids)s)
RETURNING batch_id, clock_timestamp();

-- name: ensure_partitions
SELECT shop.ensure_event_partitions(%(days)s::date[]);

-- name: roll_up
INSERT INTO shop.rollup_minute AS stored (
    minute, event_type, category, currency, events, quantity, amount, batch_id
)
VALUES %s
ON CONFLICT (minute, event_type, category, currency) DO UPDATE
SET events = stored.events + excluded.events,
    quantity = stored.quantity + excluded.quantity,
    amount = stored.amount + excluded.amount,
    batch_id = excluded.batch_id;

-- name: settle_files
UPDATE shop.files
SET batch_id = settled.batch_id,
    state = settled.state,
    settled_at = clock_timestamp(),
    read = settled.read,
    accepted = settled.accepted,
    duplicate = settled.duplicate,
    rejected = settled.rejected,
    extra_columns = settled.extra_columns,
    fault = settled.fault,
    fault_detail = settled.fault_detail
FROM (VALUES %s) AS settled (
    file_id, batch_id, state, read, accepted, duplicate, rejected, extra_columns, fault, fault_detail
)
WHERE files.file_id = settled.file_id;

-- name: close_batch
-- The last statement of the transaction: what is left after it is the commit.
UPDATE shop.batches
SET committed_at = clock_timestamp(),
    lag_seconds = extract(epoch FROM clock_timestamp() - oldest_arrival),
    durations_ms = %(durations)s
WHERE batch_id = %(batch_id)s
RETURNING lag_seconds;

-- name: record_durations
UPDATE shop.batches
SET durations_ms = durations_ms || %(durations)s
WHERE epoch = %(epoch)s AND spark_batch_id = %(spark_batch_id)s;

-- name: any_admitted
SELECT 1 FROM shop.files WHERE state = 'admitted' LIMIT 1;
