-- name: status
-- Always one row, even before the first run. If %(after_batch_id)s is NULL, the sums cover the batches of the last
-- %(window_seconds)s.
SELECT
    run.epoch,
    run.mode,
    run.started_at,
    run.ended_at,
    extract(epoch FROM clock_timestamp() - run.started_at)::float8 AS run_age_seconds,
    extract(epoch FROM clock_timestamp() - run.ended_at)::float8 AS ended_age_seconds,
    extract(epoch FROM clock_timestamp() - run.heartbeat_at)::float8 AS heartbeat_age_seconds,
    -- A loop that has not turned yet is as old as its run.
    extract(epoch FROM clock_timestamp() - coalesce(run.turned_at, run.started_at))::float8 AS turned_age_seconds,
    run.paused,
    latest.drivers AS recent_drivers,
    coalesce(run.backlog_files, 0) AS backlog_files,
    coalesce(run.backlog_bytes, 0) AS backlog_bytes,
    coalesce(run.ignored_files, 0) AS ignored_files,
    run.ignored_since,
    coalesce(run.ignored_examples, '{}') AS ignored_examples,
    extract(epoch FROM clock_timestamp() - waiting.arrived_at)::float8 AS waiting_seconds,
    waiting.files AS waiting_files,
    run.ui_url,
    run.log_path,
    run.error,
    coalesce(control.desired_state, 'run') AS desired_state,
    extract(epoch FROM clock_timestamp() - control.requested_at)::float8 AS desired_state_age_seconds,
    newest.batch_id AS last_batch_id,
    extract(epoch FROM clock_timestamp() - newest.committed_at)::float8 AS last_commit_age_seconds,
    newest.lag_seconds,
    extract(epoch FROM clock_timestamp() - filled.max_event_time)::float8 AS event_lag_seconds,
    recent.batches,
    recent.read,
    recent.accepted,
    recent.duplicate,
    recent.rejected,
    waiting.files AS admitted_files,
    waiting.size_bytes AS admitted_bytes
FROM (VALUES (%(query)s::text)) AS asked (query)
LEFT JOIN LATERAL (
    SELECT * FROM shop.runs WHERE runs.query = asked.query ORDER BY runs.epoch DESC LIMIT 1
) AS run ON true
LEFT JOIN shop.stream_control AS control ON control.query = asked.query
LEFT JOIN LATERAL (
    SELECT * FROM shop.batches ORDER BY batches.batch_id DESC LIMIT 1
) AS newest ON true
LEFT JOIN LATERAL (
    -- Counts processes: a query restarted in a running process is a run too. Bounded, because a driver that failed
    -- again and again for days has left many runs.
    SELECT count(DISTINCT (host, pid)) AS drivers
    FROM (
        SELECT runs.started_at, runs.host, runs.pid FROM shop.runs WHERE runs.query = asked.query ORDER BY runs.epoch DESC LIMIT 100
    ) AS last_runs
    WHERE last_runs.started_at > clock_timestamp() - make_interval(secs => %(recently_seconds)s)
) AS latest ON true
LEFT JOIN LATERAL (
    SELECT
        min(files.arrived_at) AS arrived_at,
        count(*) AS files,
        coalesce(sum(files.size_bytes), 0)::bigint AS size_bytes
    FROM shop.files
    WHERE files.state = 'admitted'
) AS waiting ON true
LEFT JOIN LATERAL (
    -- Bounded, because a stream of bad rows has no event times.
    SELECT last_batches.max_event_time
    FROM (SELECT * FROM shop.batches ORDER BY batches.batch_id DESC LIMIT 100) AS last_batches
    WHERE last_batches.max_event_time IS NOT NULL
    ORDER BY last_batches.batch_id DESC LIMIT 1
) AS filled ON true
CROSS JOIN LATERAL (
    SELECT
        count(*) AS batches,
        coalesce(sum(batches.read), 0)::bigint AS read,
        coalesce(sum(batches.accepted), 0)::bigint AS accepted,
        coalesce(sum(batches.duplicate), 0)::bigint AS duplicate,
        coalesce(sum(batches.rejected), 0)::bigint AS rejected
    FROM shop.batches
    WHERE CASE
        WHEN %(after_batch_id)s::bigint IS NULL
            -- Not clock_timestamp(), which is volatile: no index could serve it, and the ledger is long.
            THEN batches.committed_at > statement_timestamp() - make_interval(secs => %(window_seconds)s)
        ELSE batches.batch_id > %(after_batch_id)s::bigint
    END
) AS recent;

-- name: newest_log_path
-- Only of a driver that a Spark worker started; others write elsewhere.
SELECT log_path FROM shop.runs
WHERE query = %(query)s AND log_path ~ '/driver-[0-9]{14}-[0-9]{4}$'
ORDER BY epoch DESC
LIMIT 1;

-- name: set_desired_state
INSERT INTO shop.stream_control (query, desired_state) VALUES (%(query)s, %(desired_state)s)
ON CONFLICT (query) DO UPDATE
SET desired_state = excluded.desired_state, requested_at = clock_timestamp(), requested_by = session_user;
