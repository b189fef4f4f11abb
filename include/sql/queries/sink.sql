-- name: waiting_files
-- The guard against a replay: only files that still wait are loaded, each from where its last part ended.
SELECT file_id, name, next_byte, next_line, parts
FROM shop.files
WHERE file_id = ANY(%(file_ids)s) AND state = 'admitted';

-- name: open_batch
-- The rows of the batch carry its id; what it adds up to is known at its end.
INSERT INTO shop.batches (query, epoch, spark_batch_id, files, read, accepted, duplicate, rejected, started_at)
VALUES (%(query)s, %(epoch)s, %(spark_batch_id)s, 0, 0, 0, 0, 0, now())
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

-- name: advance_files
-- One row a file of the batch. The balance adds up over the parts of a file, which stays admitted until its last one;
-- size_bytes becomes what was read, so that a later change of the file is seen. A part that was loaded is a new start
-- for the counts of failed attempts.
UPDATE shop.files
SET batch_id = part.batch_id,
    state = part.state,
    settled_at = CASE WHEN part.state <> 'admitted' THEN clock_timestamp() END,
    read = files.read + part.read,
    accepted = files.accepted + part.accepted,
    duplicate = files.duplicate + part.duplicate,
    rejected = files.rejected + part.rejected,
    parts = files.parts + 1,
    next_byte = coalesce(part.next_byte, files.next_byte),
    next_line = coalesce(part.next_line, files.next_line),
    extra_columns = coalesce(nullif(part.extra_columns, '{}'), files.extra_columns),
    fault = part.fault,
    fault_detail = part.fault_detail,
    digest = coalesce(part.digest, files.digest),
    size_bytes = coalesce(part.size_bytes, files.size_bytes),
    attempts = CASE WHEN part.state = 'admitted' THEN 0 ELSE files.attempts END,
    failures = CASE WHEN part.state = 'admitted' THEN 0 ELSE files.failures END,
    tried_with = CASE WHEN part.state = 'admitted' THEN 0 ELSE files.tried_with END,
    last_error = CASE WHEN part.state = 'admitted' THEN NULL ELSE files.last_error END
FROM (VALUES %s) AS part (
    file_id, batch_id, state, read, accepted, duplicate, rejected, next_byte, next_line, extra_columns,
    fault, fault_detail, digest, size_bytes
)
WHERE files.file_id = part.file_id
RETURNING files.file_id, files.settled_at;

-- name: record_parts
INSERT INTO shop.file_parts (file_id, batch_id, first_line, read, accepted, duplicate, rejected) VALUES %s;

-- name: other_content
-- The given files that came before under the same name with another content, and the newest such delivery of each.
SELECT files.file_id, files.name, earlier.file_id AS earlier_file_id, earlier.admitted_at
FROM shop.files
CROSS JOIN LATERAL (
    SELECT before.file_id, before.admitted_at, before.digest
    FROM shop.files AS before
    WHERE before.name = files.name AND before.file_id < files.file_id AND before.digest IS NOT NULL
    ORDER BY before.file_id DESC
    LIMIT 1
) AS earlier
WHERE files.file_id = ANY(%(file_ids)s) AND earlier.digest <> files.digest
ORDER BY files.file_id;

-- name: close_batch
-- The last statement of the transaction: what is left after it is the commit.
UPDATE shop.batches
SET files = cardinality(%(file_ids)s),
    read = %(read)s,
    accepted = %(accepted)s,
    duplicate = %(duplicate)s,
    rejected = %(rejected)s,
    warnings = %(warnings)s,
    min_event_time = %(min_event_time)s,
    max_event_time = %(max_event_time)s,
    oldest_arrival = arrival.oldest,
    committed_at = clock_timestamp(),
    lag_seconds = extract(epoch FROM clock_timestamp() - arrival.oldest),
    durations_ms = %(durations)s
FROM (SELECT min(arrived_at) AS oldest FROM shop.files WHERE file_id = ANY(%(file_ids)s)) AS arrival
WHERE batch_id = %(batch_id)s
RETURNING lag_seconds;

-- name: record_durations
UPDATE shop.batches
SET durations_ms = durations_ms || %(durations)s
WHERE epoch = %(epoch)s AND spark_batch_id = %(spark_batch_id)s;

-- name: any_admitted
SELECT 1 FROM shop.files WHERE state = 'admitted' LIMIT 1;
