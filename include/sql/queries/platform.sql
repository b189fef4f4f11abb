-- name: totals
-- Sums over the ledger, one row a batch: cheap however many events there are. What retention has removed is in them.
SELECT
    coalesce(sum(read), 0)::bigint AS read,
    coalesce(sum(accepted), 0)::bigint AS accepted,
    coalesce(sum(duplicate), 0)::bigint AS duplicate,
    coalesce(sum(rejected), 0)::bigint AS rejected,
    coalesce(sum(batches), 0)::bigint AS batches,
    (SELECT count(*) FROM shop.files WHERE state = 'admitted') AS files_admitted,
    (SELECT count(*) FROM shop.files WHERE state = 'quarantined') AS files_quarantined
FROM (
    SELECT read, accepted, duplicate, rejected, 1 AS batches FROM shop.batches
    UNION ALL
    SELECT read, accepted, duplicate, rejected, rows FROM shop.retired_ledger WHERE table_name = 'batches'
) AS ledger;

-- name: connections
-- Connections of clients, those that the server accepts, and how many each role has; no row below four fifths of
-- those that are not reserved.
WITH used AS (
    -- Not by backend_type, which PostgreSQL hides of other roles' connections.
    SELECT usename::text AS role, count(*) AS connections
    FROM pg_catalog.pg_stat_activity
    WHERE usename IS NOT NULL AND datname IS NOT NULL
    GROUP BY usename
)
SELECT role, connections, sum(connections) OVER ()::bigint AS used, current_setting('max_connections')::int AS accepted
FROM used
WHERE (SELECT sum(connections) FROM used) > 0.8 * (
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
)
ORDER BY connections DESC, role;

-- name: newest_batch
-- The newest batch that accepted an event.
SELECT max(batch_id) AS batch_id FROM shop.batches WHERE accepted > 0;

-- name: last_refreshes
-- The newest refresh of each view that came to an end: a candidate that is still being checked has no outcome. For a view that
-- is held back, since when, and the age of the rows that people read.
SELECT
    newest.view_name,
    extract(epoch FROM clock_timestamp() - newest.finished_at)::float8 AS age_seconds,
    extract(epoch FROM newest.finished_at - newest.started_at)::float8 AS seconds,
    newest.row_count,
    newest.last_batch_id,
    newest.held_because,
    newest.error,
    newest.overrode,
    overrides.granted_by AS overridden_by,
    overrides.reason AS override_reason,
    extract(epoch FROM clock_timestamp() - first_held.finished_at)::float8 AS held_seconds,
    extract(epoch FROM clock_timestamp() - published.finished_at)::float8 AS readers_age_seconds
FROM (
    SELECT DISTINCT ON (view_name) *
    FROM shop.refreshes
    WHERE published_at IS NOT NULL OR held_because IS NOT NULL OR error IS NOT NULL
    ORDER BY view_name, refresh_id DESC
) AS newest
LEFT JOIN shop.publication_overrides AS overrides USING (override_id)
LEFT JOIN LATERAL (
    SELECT refresh_id, finished_at FROM shop.refreshes
    WHERE refreshes.view_name = newest.view_name AND published_at IS NOT NULL
    ORDER BY refresh_id DESC LIMIT 1
) AS published ON true
LEFT JOIN LATERAL (
    SELECT finished_at FROM shop.refreshes
    WHERE refreshes.view_name = newest.view_name
        AND refreshes.refresh_id > coalesce(published.refresh_id, 0)
        AND held_because IS NOT NULL
    ORDER BY refresh_id LIMIT 1
) AS first_held ON newest.held_because IS NOT NULL
ORDER BY newest.view_name;

-- name: last_quality
-- The newest run of each suite: its verdict, how many expectations it checked and how many did not hold.
SELECT DISTINCT ON (suite)
    suite,
    verdict,
    extract(epoch FROM clock_timestamp() - finished_at)::float8 AS age_seconds,
    checks,
    critical_failures AS critical,
    warnings
FROM shop.quality_runs
ORDER BY suite, finished_at DESC, quality_run_id DESC;

-- name: recent_alerts
-- What is open, the worst first, then the newest of the last day.
SELECT
    extract(epoch FROM clock_timestamp() - raised_at)::float8 AS age_seconds,
    severity,
    source,
    title,
    occurrences,
    resolved_at IS NULL AS is_open
FROM shop.alerts
WHERE resolved_at IS NULL OR raised_at > clock_timestamp() - interval '24 hours'
ORDER BY is_open DESC, CASE WHEN resolved_at IS NULL THEN shop.severity_rank(severity) END DESC, raised_at DESC
LIMIT 10;

-- name: open_alerts
SELECT severity, count(*) AS alerts
FROM shop.alerts
WHERE resolved_at IS NULL
GROUP BY severity
ORDER BY shop.severity_rank(severity) DESC;

-- name: alert_counts
SELECT severity, count(*) AS alerts
FROM shop.alerts
WHERE raised_at > clock_timestamp() - interval '24 hours'
GROUP BY severity
ORDER BY severity;

-- name: newest_file
SELECT coalesce(max(file_id), 0) AS file_id FROM shop.files;

-- name: delivered_files
-- The files of the given names that were admitted after the given one.
SELECT DISTINCT ON (name) name, file_id, state, read, accepted, duplicate, rejected, fault, fault_detail
FROM shop.files
WHERE file_id > %(after)s AND name = ANY(%(names)s)
ORDER BY name, file_id DESC;

-- name: reject_reasons
-- Each with one of the values that were found.
SELECT reason, count(*) AS rows, min(detail ->> reason) AS example
FROM shop.rejects CROSS JOIN unnest(reasons) AS reason
WHERE file_id = %(file_id)s
GROUP BY reason
ORDER BY rows DESC, reason;

-- name: refreshed_with
-- The first view that people read with that batch in it.
SELECT view_name FROM shop.refreshes
WHERE published_at IS NOT NULL AND last_batch_id >= %(batch_id)s
ORDER BY refresh_id LIMIT 1;

-- name: held_since
-- Why what was built lately is kept from readers, if it is.
SELECT view_name || ': ' || held_because FROM shop.refreshes
WHERE held_because IS NOT NULL AND finished_at > %(began)s
ORDER BY refresh_id LIMIT 1;

-- name: checked_since
SELECT suite FROM shop.quality_results WHERE checked_at > %(began)s ORDER BY result_id LIMIT 1;
