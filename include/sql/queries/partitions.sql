-- name: window
-- The days that need a partition, and the retention cutoff.
SELECT
    array_agg(day::date) AS days,
    clock_timestamp() - make_interval(days => %(retention_days)s) AS cutoff
FROM generate_series(
    (clock_timestamp() AT TIME ZONE 'UTC')::date - 1,
    (clock_timestamp() AT TIME ZONE 'UTC')::date + %(ahead_days)s,
    interval '1 day'
) AS day;

-- name: ensure
SELECT shop.ensure_event_partitions(%(days)s::date[]);

-- name: past_partitions
-- Day partitions whose day ended before the cutoff, oldest first.
SELECT partition.relname, to_date(right(partition.relname, 8), 'YYYYMMDD') AS day
FROM pg_catalog.pg_inherits AS inheritance
INNER JOIN pg_catalog.pg_class AS partition ON partition.oid = inheritance.inhrelid
WHERE
    inheritance.inhparent = 'shop.events'::regclass
    AND partition.relname ~ '^events_[0-9]{8}$'
    AND (to_date(right(partition.relname, 8), 'YYYYMMDD') + 1)::timestamp AT TIME ZONE 'UTC' <= %(cutoff)s
ORDER BY day;

-- name: is_recent
-- Whether the partition has an event that was loaded since the cutoff, or that is not yet in the aggregates and thus
-- not in the daily sums, which are kept for ever. Served by the BRIN index on ingested_at and batch_id.
SELECT EXISTS (SELECT FROM {partition} WHERE ingested_at >= %(cutoff)s)
    OR EXISTS (SELECT FROM {partition} WHERE batch_id > (SELECT batch_id FROM shop.facts_progress));

-- name: count
SELECT count(*) FROM {partition};

-- name: limit_lock_wait
-- For this transaction: a statement that waits longer than this for a lock fails.
SELECT set_config('lock_timeout', %(milliseconds)s, true);

-- name: lock
-- Lock both at once and before anything is read, so that no event can arrive between the last check and the removal.
LOCK TABLE ONLY shop.events, {partition} IN ACCESS EXCLUSIVE MODE;

-- name: detach
ALTER TABLE shop.events DETACH PARTITION {partition};

-- name: drop
DROP TABLE {partition};

-- name: record
INSERT INTO shop.retired_partitions (partition_name, day, events, ingested_before)
VALUES (%(partition_name)s, %(day)s, %(events)s, %(cutoff)s);

-- name: delete_old_backfill
-- Events from before the first daily partition have no day partition that could be dropped.
WITH gone AS (
    DELETE FROM shop.events_before_2026
    WHERE ingested_at < %(cutoff)s AND batch_id <= (SELECT batch_id FROM shop.facts_progress)
    RETURNING event_id
),

days AS (
    INSERT INTO shop.retired_days (day)
    -- The first 48 bits of an id are milliseconds since 1970.
    SELECT DISTINCT
        DATE '1970-01-01' + (('x' || left(replace(event_id::text, '-', ''), 12))::bit(48)::bigint / 86400000)::integer
    FROM gone
    ON CONFLICT DO NOTHING
)

SELECT count(*) FROM gone;

-- name: record_day
INSERT INTO shop.retired_days (day) VALUES (%(day)s) ON CONFLICT DO NOTHING;

-- name: delete_rejects
DELETE FROM shop.rejects WHERE rejected_at < %(cutoff)s;

-- name: delete_conflicts
DELETE FROM shop.conflicts WHERE found_at < %(cutoff)s;

-- name: delete_quality_runs
-- Also deletes their results. Results from before suites had runs are deleted separately.
DELETE FROM shop.quality_runs WHERE finished_at < %(cutoff)s;

-- name: delete_quality_results
DELETE FROM shop.quality_results WHERE checked_at < %(cutoff)s;

-- name: delete_refreshes
DELETE FROM shop.refreshes WHERE finished_at < %(cutoff)s;

-- name: delete_alerts
-- Also deletes their notifications. An open alert stays, however old.
DELETE FROM shop.alerts WHERE resolved_at < %(cutoff)s;

-- name: delete_objective_minutes
-- Their monthly sums stay.
DELETE FROM shop.objective_minutes WHERE minute < %(cutoff)s;

-- name: delete_objective_misses
-- Misses are looked up for longer than the minutes they consist of.
DELETE FROM shop.objective_misses WHERE ended_at < %(cutoff)s - interval '1 year';
