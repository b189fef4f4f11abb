-- name: stream
-- One row, also before the first run.
SELECT
    coalesce(control.wish, 'run') AS wish,
    control.wished_at,
    control.wished_by,
    run.epoch,
    run.heartbeat_at > statement_timestamp() - make_interval(secs => %(alive_seconds)s) AS has_pulse,
    coalesce(run.turned_at, run.started_at)
        < statement_timestamp() - make_interval(secs => %(stall_seconds)s) AS stands_still,
    coalesce(control.wished_at > statement_timestamp() - make_interval(secs => %(start_seconds)s), false)
        OR coalesce(run.ended_at > statement_timestamp() - make_interval(secs => %(gone_seconds)s), false) AS is_due,
    run.ended_at,
    run.paused AS intake_paused_because,
    coalesce(run.backlog_files, 0) AS backlog_files,
    coalesce(run.backlog_bytes, 0) AS backlog_bytes,
    (SELECT min(arrived_at) FROM shop.files WHERE state = 'admitted') AS oldest_waiting_since,
    newest.lag_seconds,
    newest.batch_id AS last_batch_id,
    newest.committed_at AS last_committed_at,
    (
        -- Bounded, as a stream of bad rows has no event times.
        SELECT max_event_time
        FROM (SELECT batch_id, max_event_time FROM shop.batches ORDER BY batch_id DESC LIMIT 100) AS last_batches
        WHERE max_event_time IS NOT NULL
        ORDER BY batch_id DESC LIMIT 1
    ) AS newest_event_at,
    recent.read,
    recent.accepted,
    recent.duplicate,
    recent.rejected
FROM (VALUES (%(query)s::text)) AS asked (query)
LEFT JOIN shop.stream_control AS control ON control.query = asked.query
LEFT JOIN LATERAL (
    SELECT * FROM shop.runs WHERE runs.query = asked.query ORDER BY runs.epoch DESC LIMIT 1
) AS run ON true
LEFT JOIN LATERAL (
    SELECT lag_seconds, batch_id, committed_at FROM shop.batches ORDER BY batch_id DESC LIMIT 1
) AS newest ON true
CROSS JOIN LATERAL (
    SELECT
        coalesce(sum(read), 0)::bigint AS read,
        coalesce(sum(accepted), 0)::bigint AS accepted,
        coalesce(sum(duplicate), 0)::bigint AS duplicate,
        coalesce(sum(rejected), 0)::bigint AS rejected
    FROM (SELECT * FROM shop.batches ORDER BY batch_id DESC LIMIT 2000) AS last_batches
    WHERE last_batches.committed_at > statement_timestamp() - interval '60 seconds'
) AS recent;

-- name: runs
SELECT *
FROM shop.runs
WHERE query = %(query)s
ORDER BY epoch DESC
LIMIT 20;

-- name: restarts
-- Bounded, since a driver that ended again and again for days has left many.
SELECT count(*) AS restarts
FROM (
    SELECT epoch, started_at FROM shop.runs WHERE query = %(query)s ORDER BY epoch DESC LIMIT 1000
) AS last_runs
WHERE started_at > statement_timestamp() - interval '24 hours'
    AND epoch > (SELECT min(epoch) FROM shop.runs);

-- name: batches
SELECT *
FROM shop.batches
WHERE batch_id < %(before)s
ORDER BY batch_id DESC
LIMIT %(limit)s;

-- name: files
SELECT *
FROM shop.files
WHERE file_id < %(before)s AND (%(state)s::text IS NULL OR state = %(state)s)
ORDER BY file_id DESC
LIMIT %(limit)s;

-- name: few_files
-- Few files wait or are in quarantine, and partial indexes have them; a search by number would pass all the others.
WITH few AS MATERIALIZED (
    SELECT * FROM shop.files
    WHERE (state = 'admitted' AND %(state)s = 'admitted') OR (state = 'quarantined' AND %(state)s = 'quarantined')
)
SELECT * FROM few WHERE file_id < %(before)s ORDER BY file_id DESC LIMIT %(limit)s;

-- name: rejected_rows
-- From the ledger: exact, however many they are.
SELECT coalesce(sum(rejected), 0)::bigint AS rejected, coalesce(sum(read), 0)::bigint AS read
FROM shop.batches
WHERE committed_at > statement_timestamp() - make_interval(mins => %(minutes)s);

-- name: reject_reasons
-- Of the newest rows: counting all of a bad day would take long. One row with a NULL reason when there are none.
WITH newest AS MATERIALIZED (
    SELECT reasons, rejected_at
    FROM (SELECT reasons, rejected_at FROM shop.rejects ORDER BY reject_id DESC LIMIT %(bound)s) AS bounded
    WHERE rejected_at > statement_timestamp() - make_interval(mins => %(minutes)s)
)
SELECT counts.reason, counts.rows, counts.last_seen_at, total.counted
FROM (SELECT count(*) AS counted FROM newest) AS total
LEFT JOIN (
    SELECT reason, count(*) AS rows, max(rejected_at) AS last_seen_at
    FROM newest CROSS JOIN unnest(reasons) AS reason
    GROUP BY reason
) AS counts ON true
ORDER BY counts.rows DESC, counts.reason;

-- name: reject_samples
-- The newest of one reason, in the next %(bound)s rejected rows before the given one: a rare reason is not searched for
-- through all of history in one answer. searched_to is the oldest row that was looked at, NULL at the end of them.
WITH looked_at AS MATERIALIZED (
    SELECT reject_id, file_id, file_name, line, raw, reasons, rejected_at
    FROM shop.rejects
    WHERE reject_id < %(before)s
    ORDER BY reject_id DESC
    LIMIT %(bound)s
)
SELECT
    extent.searched_to,
    sample.reject_id,
    sample.file_id,
    sample.file_name,
    sample.line,
    CASE WHEN %(with_raw)s THEN left(sample.raw, %(raw_characters)s) END AS raw,
    sample.reasons,
    sample.rejected_at
FROM (
    SELECT CASE WHEN count(*) = %(bound)s THEN min(reject_id) END AS searched_to FROM looked_at
) AS extent
LEFT JOIN (
    SELECT * FROM looked_at WHERE %(reason)s = ANY(reasons) ORDER BY reject_id DESC LIMIT %(limit)s
) AS sample ON true
ORDER BY sample.reject_id DESC;
