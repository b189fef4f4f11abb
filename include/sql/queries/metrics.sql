-- Queries of the metrics endpoint at every scrape. Each uses an index or reads a table of a few rows. Times are Unix
-- times, not ages, so they stay correct when they are read later.

-- name: stream
-- Returns one row, even before the first run.
SELECT
    coalesce(run.ended_at IS NULL AND run.heartbeat_at > clock_timestamp() - make_interval(secs => %(alive_seconds)s), false)::integer AS is_up,
    (coalesce(control.desired_state, 'run') = 'run')::integer AS is_wanted,
    (run.paused IS NOT NULL)::integer AS is_paused,
    run.epoch,
    extract(epoch FROM run.started_at) AS started_at,
    extract(epoch FROM run.heartbeat_at) AS heartbeat_at,
    extract(epoch FROM run.turned_at) AS turned_at,
    coalesce(run.backlog_files, 0) AS backlog_files,
    coalesce(run.backlog_bytes, 0) AS backlog_bytes,
    waiting.files AS admitted_files,
    waiting.size_bytes AS admitted_bytes,
    coalesce(extract(epoch FROM clock_timestamp() - waiting.arrived_at), 0) AS waiting_seconds,
    quarantined.files AS quarantined_files,
    extract(epoch FROM newest.committed_at) AS committed_at,
    newest.lag_seconds,
    extract(epoch FROM filled.max_event_time) AS event_time
FROM (VALUES (%(query)s::text)) AS asked (query)
LEFT JOIN LATERAL (SELECT * FROM shop.runs WHERE runs.query = asked.query ORDER BY runs.epoch DESC LIMIT 1) AS run ON true
LEFT JOIN shop.stream_control AS control ON control.query = asked.query
LEFT JOIN LATERAL (SELECT * FROM shop.batches ORDER BY batches.batch_id DESC LIMIT 1) AS newest ON true
LEFT JOIN LATERAL (
    -- The limit bounds the search, since batches of only bad rows have no event times.
    SELECT max(last_batches.max_event_time) AS max_event_time
    FROM (SELECT batches.max_event_time FROM shop.batches ORDER BY batches.batch_id DESC LIMIT 20) AS last_batches
) AS filled ON true
CROSS JOIN (
    SELECT count(*) AS files, coalesce(sum(files.size_bytes), 0)::bigint AS size_bytes, min(files.arrived_at) AS arrived_at
    FROM shop.files
    WHERE files.state = 'admitted'
) AS waiting
CROSS JOIN (SELECT count(*) AS files FROM shop.files WHERE files.state = 'quarantined') AS quarantined;

-- name: newest_batch
SELECT coalesce(max(batch_id), 0) FROM shop.batches;

-- name: new_batches
-- Sums over the batches since the last scrape. Batches are committed in the order of their ids.
SELECT
    max(batch_id) AS up_to,
    count(*) AS batches,
    sum(files)::bigint AS files,
    sum(accepted)::bigint AS accepted,
    sum(duplicate)::bigint AS duplicate,
    sum(rejected)::bigint AS rejected,
    array_agg(lag_seconds) FILTER (WHERE lag_seconds IS NOT NULL) AS lags
FROM (SELECT * FROM shop.batches WHERE batch_id > %(after)s ORDER BY batch_id LIMIT %(limit)s) AS new
HAVING count(*) > 0;

-- name: new_stages
-- Excludes Spark's own stages, which are recorded later and not for every batch.
SELECT stage.key AS stage, sum(stage.value::float8) / 1000 AS seconds
FROM shop.batches
CROSS JOIN jsonb_each_text(batches.durations_ms) AS stage
WHERE batches.batch_id > %(after)s AND batches.batch_id <= %(up_to)s AND NOT starts_with(stage.key, 'spark_')
GROUP BY stage.key;

-- name: views
SELECT
    wanted.view_name AS view,
    extract(epoch FROM published.published_at) AS published_at,
    published.row_count AS rows,
    extract(epoch FROM newest.finished_at - newest.started_at) AS refresh_seconds,
    (newest.error IS NOT NULL)::integer AS is_failed,
    (newest.held_because IS NOT NULL)::integer AS is_held
FROM unnest(%(views)s::text[]) AS wanted (view_name)
INNER JOIN LATERAL (
    SELECT * FROM shop.refreshes
    WHERE refreshes.view_name = wanted.view_name
        AND (published_at IS NOT NULL OR held_because IS NOT NULL OR error IS NOT NULL)
    ORDER BY refreshes.finished_at DESC
    LIMIT 1
) AS newest ON true
LEFT JOIN LATERAL (
    SELECT refreshes.published_at, refreshes.row_count
    FROM shop.refreshes
    WHERE refreshes.view_name = wanted.view_name AND refreshes.published_at IS NOT NULL
    ORDER BY refreshes.finished_at DESC
    LIMIT 1
) AS published ON true;

-- name: suites
SELECT
    wanted.suite,
    extract(epoch FROM newest.finished_at) AS finished_at,
    newest.checks,
    newest.critical_failures,
    newest.warnings,
    (newest.verdict = 'broken')::integer AS is_broken
FROM unnest(%(suites)s::text[]) AS wanted (suite)
INNER JOIN LATERAL (
    SELECT * FROM shop.quality_runs WHERE quality_runs.suite = wanted.suite ORDER BY quality_runs.finished_at DESC LIMIT 1
) AS newest ON true;

-- name: alerts
-- Returns a row for each severity, even without open alerts.
SELECT
    known.severity,
    count(alerts.alert_id) AS open,
    count(alerts.alert_id) FILTER (WHERE alerts.acknowledged_at IS NULL) AS unacknowledged
FROM (VALUES ('critical'), ('warning'), ('info')) AS known (severity)
LEFT JOIN shop.alerts ON alerts.severity = known.severity AND alerts.resolved_at IS NULL
GROUP BY known.severity;

-- name: deliveries
SELECT count(*) AS due, count(*) FILTER (WHERE due_at < clock_timestamp() - interval '5 minutes') AS overdue
FROM shop.alert_deliveries WHERE state = 'due';

-- name: objectives
SELECT
    wanted.objective,
    newest.value,
    wanted.bound,
    newest.is_met::integer AS is_met,
    extract(epoch FROM newest.minute) AS evaluated_at,
    wanted.target,
    months.met::float8 / months.minutes AS attainment,
    months.minutes,
    (misses.miss_id IS NOT NULL)::integer AS is_missed
FROM unnest(%(objectives)s::text[], %(bounds)s::float8[], %(targets)s::float8[]) AS wanted (objective, bound, target)
LEFT JOIN LATERAL (
    SELECT * FROM shop.objective_minutes WHERE objective_minutes.objective = wanted.objective
    ORDER BY objective_minutes.minute DESC
    LIMIT 1
) AS newest ON true
LEFT JOIN shop.objective_months AS months
    ON months.objective = wanted.objective AND months.month = date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC')::date
LEFT JOIN shop.objective_misses AS misses ON misses.objective = wanted.objective AND misses.ended_at IS NULL;

-- name: database
SELECT
    numbackends AS connections,
    pg_database_size(datid) AS size_bytes,
    xact_commit AS commits,
    xact_rollback AS rollbacks,
    blks_hit AS cached,
    blks_read AS read,
    deadlocks,
    temp_bytes
FROM pg_catalog.pg_stat_database
WHERE datname = current_database();

-- name: readiness
-- The desired state of the stream, and whether a driver is alive.
SELECT
    coalesce(control.desired_state, 'run') AS desired_state,
    coalesce(run.ended_at IS NULL AND run.heartbeat_at > clock_timestamp() - make_interval(secs => %(alive_seconds)s), false) AS is_alive
FROM (VALUES (%(query)s::text)) AS asked (query)
LEFT JOIN LATERAL (SELECT * FROM shop.runs WHERE runs.query = asked.query ORDER BY runs.epoch DESC LIMIT 1) AS run ON true
LEFT JOIN shop.stream_control AS control ON control.query = asked.query;
