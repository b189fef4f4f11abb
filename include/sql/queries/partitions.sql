-- name: window
-- The days that need a partition, and the cutoff of retention.
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
-- Whether the partition holds an event that was loaded since the cutoff: served by the BRIN index on ingested_at.
SELECT EXISTS (SELECT FROM {partition} WHERE ingested_at >= %(cutoff)s);

-- name: count
SELECT count(*) FROM {partition};

-- name: limit_lock_wait
-- For this transaction: a statement that waits longer than this for a lock fails.
SELECT set_config('lock_timeout', %(milliseconds)s, true);

-- name: lock
-- Both at once, and before anything is read: no event can come in between the last look and the end.
LOCK TABLE ONLY shop.events, {partition} IN ACCESS EXCLUSIVE MODE;

-- name: detach
ALTER TABLE shop.events DETACH PARTITION {partition};

-- name: drop
DROP TABLE {partition};

-- name: record
INSERT INTO shop.retired_partitions (partition_name, day, events, ingested_before)
VALUES (%(partition_name)s, %(day)s, %(events)s, %(cutoff)s);

-- name: delete_old_backfill
-- Events from before the first daily partition have no day of their own to drop.
DELETE FROM shop.events_before_2026 WHERE ingested_at < %(cutoff)s;

-- name: delete_rejects
DELETE FROM shop.rejects WHERE rejected_at < %(cutoff)s;

-- name: delete_conflicts
DELETE FROM shop.conflicts WHERE found_at < %(cutoff)s;

-- name: delete_quality_runs
-- With their results; those of before suites had runs are deleted by themselves.
DELETE FROM shop.quality_runs WHERE finished_at < %(cutoff)s;

-- name: delete_quality_results
DELETE FROM shop.quality_results WHERE checked_at < %(cutoff)s;

-- name: delete_refreshes
DELETE FROM shop.refreshes WHERE finished_at < %(cutoff)s;

-- name: delete_alerts
-- With what was sent about them. One that is open stays, however old.
DELETE FROM shop.alerts WHERE resolved_at < %(cutoff)s;

-- name: delete_objective_minutes
-- Their sums by month stay.
DELETE FROM shop.objective_minutes WHERE minute < %(cutoff)s;

-- name: delete_objective_misses
-- People look back at them for longer than at what they were made of.
DELETE FROM shop.objective_misses WHERE ended_at < %(cutoff)s - interval '1 year';
