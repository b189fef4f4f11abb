-- name: stream
-- Always one row, even before the first run.
SELECT
    coalesce(control.desired_state, 'run') AS desired_state,
    control.requested_at,
    control.requested_by,
    run.epoch,
    run.heartbeat_at > statement_timestamp() - make_interval(secs => %(alive_seconds)s) AS has_heartbeat,
    coalesce(run.turned_at, run.started_at)
        < statement_timestamp() - make_interval(secs => %(stall_seconds)s) AS is_stalled,
    coalesce(control.requested_at > statement_timestamp() - make_interval(secs => %(start_seconds)s), false)
        OR coalesce(run.ended_at > statement_timestamp() - make_interval(secs => %(gone_seconds)s), false) AS is_due,
    run.ended_at,
    run.paused AS intake_paused_because,
    coalesce(run.backlog_files, 0) AS backlog_files,
    coalesce(run.backlog_bytes, 0) AS backlog_bytes,
    run.heartbeat_at,
    run.turned_at,
    admitted.files AS admitted_files,
    admitted.size_bytes AS admitted_bytes,
    admitted.oldest_at AS oldest_waiting_since,
    statement_timestamp() AS now,
    newest.lag_seconds,
    newest.batch_id AS last_batch_id,
    newest.committed_at AS last_committed_at,
    (
        -- Bounded, because batches that contain only bad rows have no event times.
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
CROSS JOIN (
    SELECT count(*) AS files, coalesce(sum(size_bytes), 0)::bigint AS size_bytes, min(arrived_at) AS oldest_at
    FROM shop.files
    WHERE state = 'admitted'
) AS admitted
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
-- Bounded, because a driver that has crashed repeatedly for days leaves many runs.
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
-- Few files are waiting, quarantined or retracted. Partial indexes find the former two, and shop.retraction_files finds
-- the retracted ones. A scan by file_id would have to pass all other files.
WITH few AS MATERIALIZED (
    SELECT * FROM shop.files
    WHERE (state = 'admitted' AND %(state)s = 'admitted')
        OR (state = 'quarantined' AND %(state)s = 'quarantined')
        OR (
            state = 'retracted' AND %(state)s = 'retracted'
            AND file_id IN (SELECT retraction_files.file_id FROM shop.retraction_files)
        )
)
SELECT * FROM few WHERE file_id < %(before)s ORDER BY file_id DESC LIMIT %(limit)s;

-- name: retracted
-- Who retracted files, when and why, with the balance that each file had.
SELECT
    file_id,
    retraction_id,
    done_at,
    done_by,
    reason,
    retraction_files.read,
    retraction_files.accepted,
    retraction_files.duplicate,
    retraction_files.rejected
FROM shop.retraction_files
JOIN shop.retractions USING (retraction_id)
WHERE file_id = ANY(%(file_ids)s);

-- name: backlog
-- The backlog by minute, as recorded for the objective of the same name.
SELECT minute, value::bigint AS files
FROM shop.objective_minutes
WHERE objective = 'backlog' AND minute > statement_timestamp() - interval '2 hours'
ORDER BY minute;

-- name: file
SELECT file_id FROM shop.files WHERE file_id = %(file_id)s;

-- name: file_rejects
-- The reasons in the first %(bound)s rejected rows of a file, most frequent first, each with its first row.
SELECT
    reason,
    count(*) AS rows,
    min(line) AS first_line,
    CASE WHEN %(with_raw)s THEN left((array_agg(raw ORDER BY line))[1], %(raw_characters)s) END AS first_raw
FROM (
    SELECT reasons, line, raw FROM shop.rejects WHERE file_id = %(file_id)s ORDER BY reject_id LIMIT %(bound)s
) AS rejected
CROSS JOIN unnest(rejected.reasons) AS reason
GROUP BY reason
ORDER BY count(*) DESC, reason;

-- name: rejected_rows
-- Read from the ledger, so the number is exact, however many rows there are.
SELECT coalesce(sum(rejected), 0)::bigint AS rejected, coalesce(sum(read), 0)::bigint AS read
FROM shop.batches
WHERE committed_at > statement_timestamp() - make_interval(mins => %(minutes)s);

-- name: reject_reasons
-- Counts the newest rows only, because counting all rows of a bad day would take long. Without rejects there is one row
-- with a NULL reason.
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
-- The newest rows with a reason, among the %(bound)s rejected rows before the given one, so that one request does not
-- search all of history for a rare reason. searched_to is the oldest row that was read; NULL when no rows are left.
WITH looked_at AS MATERIALIZED (
    SELECT reject_id, file_id, file_name, line, raw, detail, reasons, rejected_at
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
    CASE WHEN %(with_raw)s THEN sample.detail ->> %(reason)s END AS found,
    sample.reasons,
    sample.rejected_at
FROM (
    SELECT CASE WHEN count(*) = %(bound)s THEN min(reject_id) END AS searched_to FROM looked_at
) AS extent
LEFT JOIN (
    SELECT * FROM looked_at WHERE %(reason)s = ANY(reasons) ORDER BY reject_id DESC LIMIT %(limit)s
) AS sample ON true
ORDER BY sample.reject_id DESC;
