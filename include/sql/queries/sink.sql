-- name: waiting_files
-- Guards against a replay: only files that still wait are loaded, each from the end of its last slice.
SELECT file_id, name, next_byte, next_line, slices
FROM shop.files
WHERE file_id = ANY(%(file_ids)s) AND state = 'admitted';

-- name: open_batch
-- The rows of the batch carry its id; its totals are known only at its end.
INSERT INTO shop.batches (query, epoch, spark_batch_id, files, read, accepted, duplicate, rejected, started_at)
VALUES (%(query)s, %(epoch)s, %(spark_batch_id)s, 0, 0, 0, 0, 0, now())
RETURNING batch_id, clock_timestamp();

-- name: rollup_horizon
-- The lock keeps the horizon where it is until this transaction ends, so the batch never changes a day that is being
-- retired. The lock comes first, so that the horizon is read after it is held.
SELECT pg_advisory_xact_lock_shared(hashtext('shop.rollup_horizon'));
SELECT day::timestamp AT TIME ZONE 'UTC' FROM shop.rollup_horizon;

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
-- One row per file of the batch. The balance adds up over the slices of a file, which stays admitted until its last
-- one. size_bytes becomes the size that was read, so that a later change of the file can be detected. A loaded slice
-- resets the counts of failed attempts.
UPDATE shop.files
SET batch_id = slice.batch_id,
    state = slice.state,
    finished_at = CASE WHEN slice.state <> 'admitted' THEN clock_timestamp() END,
    read = files.read + slice.read,
    accepted = files.accepted + slice.accepted,
    duplicate = files.duplicate + slice.duplicate,
    rejected = files.rejected + slice.rejected,
    slices = files.slices + 1,
    next_byte = coalesce(slice.next_byte, files.next_byte),
    next_line = coalesce(slice.next_line, files.next_line),
    extra_columns = coalesce(nullif(slice.extra_columns, '{}'), files.extra_columns),
    fault = slice.fault,
    fault_detail = slice.fault_detail,
    digest = coalesce(slice.digest, files.digest),
    size_bytes = coalesce(slice.size_bytes, files.size_bytes),
    attempts = CASE WHEN slice.state = 'admitted' THEN 0 ELSE files.attempts END,
    failures = CASE WHEN slice.state = 'admitted' THEN 0 ELSE files.failures END,
    tried_with = CASE WHEN slice.state = 'admitted' THEN 0 ELSE files.tried_with END,
    last_error = CASE WHEN slice.state = 'admitted' THEN NULL ELSE files.last_error END
FROM (VALUES %s) AS slice (
    file_id, batch_id, state, read, accepted, duplicate, rejected, next_byte, next_line, extra_columns,
    fault, fault_detail, digest, size_bytes
)
WHERE files.file_id = slice.file_id
RETURNING files.file_id, files.finished_at;

-- name: record_slices
INSERT INTO shop.file_slices (file_id, batch_id, first_line, read, accepted, duplicate, rejected) VALUES %s;

-- name: other_content
-- Those of the given files whose name was delivered before with different content, each with its newest such delivery.
-- A retracted delivery is expected to come again, corrected, and does not count.
SELECT files.file_id, files.name, earlier.file_id AS earlier_file_id, earlier.admitted_at
FROM shop.files
CROSS JOIN LATERAL (
    SELECT before.file_id, before.admitted_at, before.digest
    FROM shop.files AS before
    WHERE before.name = files.name AND before.file_id < files.file_id AND before.digest IS NOT NULL
        AND before.state <> 'retracted'
    ORDER BY before.file_id DESC
    LIMIT 1
) AS earlier
WHERE files.file_id = ANY(%(file_ids)s) AND earlier.digest <> files.digest
ORDER BY files.file_id;

-- name: close_batch
-- The last statement of the transaction; only the commit is left after it.
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
