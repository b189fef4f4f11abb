-- name: status
-- One row, also before the first run. %(after_batch_id)s NULL means: the batches of the last %(window_seconds)s.
SELECT
    run.epoch,
    run.mode,
    run.started_at,
    run.ended_at,
    extract(epoch FROM clock_timestamp() - run.heartbeat_at)::float8 AS heartbeat_age_seconds,
    coalesce(run.backlog_files, 0) AS backlog_files,
    coalesce(run.backlog_bytes, 0) AS backlog_bytes,
    run.ui_url,
    run.log_path,
    run.error,
    coalesce(control.wish, 'run') AS wish,
    newest.batch_id AS last_batch_id,
    extract(epoch FROM clock_timestamp() - newest.committed_at)::float8 AS last_commit_age_seconds,
    newest.lag_seconds,
    recent.batches,
    recent.read,
    recent.accepted,
    recent.duplicate,
    recent.rejected
FROM (VALUES (%(query)s::text)) AS asked (query)
LEFT JOIN LATERAL (
    SELECT * FROM shop.runs WHERE runs.query = asked.query ORDER BY runs.epoch DESC LIMIT 1
) AS run ON true
LEFT JOIN shop.stream_control AS control ON control.query = asked.query
LEFT JOIN LATERAL (
    SELECT * FROM shop.batches ORDER BY batches.batch_id DESC LIMIT 1
) AS newest ON true
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
            THEN batches.committed_at > clock_timestamp() - make_interval(secs => %(window_seconds)s)
        ELSE batches.batch_id > %(after_batch_id)s::bigint
    END
) AS recent;

-- name: set_wish
INSERT INTO shop.stream_control (query, wish) VALUES (%(query)s, %(wish)s)
ON CONFLICT (query) DO UPDATE
SET wish = excluded.wish, wished_at = clock_timestamp(), wished_by = session_user;
