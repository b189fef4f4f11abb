-- name: lock
-- One at a time builds or publishes a view, to the end of the transaction.
SELECT pg_advisory_xact_lock(%(key)s, hashtext(%(view_name)s));

-- name: limit_lock_wait
-- For this transaction: whoever holds a lock that is in the way is not waited for without end, and nobody queues behind.
SELECT set_config('lock_timeout', %(milliseconds)s, true);

-- name: before
-- Read before the rows are: batches commit one after the other, so the candidate contains at least these; and of what it
-- reads from other views, no more than these contain.
SELECT
    clock_timestamp() AS started_at,
    least(
        (SELECT max(batch_id) FROM shop.batches),
        (
            SELECT min(coalesce(published.last_batch_id, 0))
            FROM unnest(%(sources)s::text[]) AS source (view_name)
            CROSS JOIN LATERAL (
                SELECT refreshes.last_batch_id
                FROM shop.refreshes
                WHERE refreshes.view_name = source.view_name AND refreshes.published_at IS NOT NULL
                ORDER BY refreshes.published_at DESC
                LIMIT 1
            ) AS published
        )
    ) AS last_batch_id;

-- name: before_lock
SAVEPOINT before_lock;

-- name: undo_lock
ROLLBACK TO SAVEPOINT before_lock;

-- name: try_lock_candidate
LOCK TABLE {candidate} IN ACCESS EXCLUSIVE MODE NOWAIT;

-- name: truncate_candidate
TRUNCATE {candidate};

-- name: delete_candidate
-- While somebody reads it, a dump for example, who keeps the rows that he began with.
DELETE FROM {candidate};

-- name: fill_candidate
INSERT INTO {candidate} TABLE {query};

-- name: analyze_candidate
ANALYZE {candidate};

-- name: record_built
INSERT INTO shop.refreshes (view_name, started_at, row_count, last_batch_id)
VALUES (%(view_name)s, %(started_at)s, %(row_count)s, %(last_batch_id)s)
RETURNING refresh_id;

-- name: record_not_built
INSERT INTO shop.refreshes (view_name, started_at, last_batch_id, error, held_because)
VALUES (%(view_name)s, clock_timestamp(), (SELECT max(batch_id) FROM shop.batches), %(error)s, %(held_because)s);

-- name: newest_built
-- Whose rows the candidate holds.
SELECT refresh_id, row_count FROM shop.refreshes
WHERE view_name = %(view_name)s AND row_count IS NOT NULL
ORDER BY refresh_id DESC
LIMIT 1;

-- name: count_candidate
SELECT count(*) FROM {candidate};

-- name: is_populated
SELECT relispopulated FROM pg_catalog.pg_class WHERE oid = to_regclass(%(view)s) AND relkind = 'm';

-- name: publish_first
-- CONCURRENTLY needs something to compare with.
REFRESH MATERIALIZED VIEW {published};

-- name: publish
-- Readers go on with the rows as they were, whatever they have open, until this commits; only rows that differ are
-- written.
REFRESH MATERIALIZED VIEW CONCURRENTLY {published};

-- name: record_published
UPDATE shop.refreshes
SET published_at = clock_timestamp(), error = NULL, held_because = NULL
WHERE refresh_id = %(refresh_id)s;

-- name: record_failed
UPDATE shop.refreshes SET error = %(error)s WHERE refresh_id = %(refresh_id)s;

-- name: record_held
UPDATE shop.refreshes SET held_because = %(held_because)s WHERE refresh_id = %(refresh_id)s;

-- name: stale
-- Views whose published rows are older than %(max_age_seconds)s, or lack a batch committed more than that ago.
SELECT
    view_name,
    extract(epoch FROM clock_timestamp() - latest.finished_at)::float8 AS age_seconds,
    missed.batches AS missing_batches
FROM unnest(%(names)s::text[]) WITH ORDINALITY AS wanted (view_name, position)
LEFT JOIN LATERAL (
    SELECT refreshes.finished_at, refreshes.last_batch_id
    FROM shop.refreshes
    WHERE refreshes.view_name = wanted.view_name AND refreshes.published_at IS NOT NULL
    ORDER BY refreshes.finished_at DESC
    LIMIT 1
) AS latest ON true
CROSS JOIN LATERAL (
    SELECT
        count(*) AS batches,
        min(batches.committed_at) AS oldest
    FROM shop.batches
    WHERE batches.batch_id > coalesce(latest.last_batch_id, 0)
) AS missed
WHERE
    latest.finished_at IS NULL
    OR latest.finished_at < clock_timestamp() - make_interval(secs => %(max_age_seconds)s)
    OR missed.oldest < clock_timestamp() - make_interval(secs => %(max_age_seconds)s)
ORDER BY wanted.position;
