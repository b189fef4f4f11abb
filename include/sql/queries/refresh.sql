-- name: lock
-- Only one session at a time builds or publishes a view, until the end of the transaction.
SELECT pg_advisory_xact_lock(%(key)s, hashtext(%(view_name)s));

-- name: limit_lock_wait
-- For this transaction: limits the wait for a lock, so that other sessions do not queue behind this one without end.
SELECT set_config('lock_timeout', %(milliseconds)s, true);

-- name: before
-- Read before the rows. The views read the aggregates, so the candidate contains the batches that the aggregates
-- contain. If it reads other views, it contains no more batches than those.
SELECT
    clock_timestamp() AS started_at,
    least(
        (SELECT batch_id FROM shop.facts_progress),
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
    ) AS last_batch_id,
    (SELECT coalesce(max(change_id), 0) FROM shop.changed_days WHERE source = ANY(%(tables)s)) AS change_id;

-- name: before_lock
SAVEPOINT before_lock;

-- name: undo_lock
ROLLBACK TO SAVEPOINT before_lock;

-- name: try_lock_candidate
LOCK TABLE {candidate} IN ACCESS EXCLUSIVE MODE NOWAIT;

-- name: truncate_candidate
TRUNCATE {candidate};

-- name: delete_candidate
-- Used while another session, for example a dump, reads the table; that session keeps the rows it started with.
DELETE FROM {candidate};

-- name: fill_candidate
INSERT INTO {candidate} TABLE {query};

-- name: follow_candidate
-- The changed days only, in one statement, so that all of them are as of one moment.
WITH removed AS (
    DELETE FROM {candidate} WHERE {is_changed} RETURNING 1
),
added AS (
    INSERT INTO {candidate} SELECT * FROM {query} WHERE {is_changed} RETURNING 1
)
SELECT (SELECT count(*) FROM added) - (SELECT count(*) FROM removed);

-- name: analyze_candidate
ANALYZE {candidate};

-- name: record_built
INSERT INTO shop.refreshes (view_name, started_at, row_count, last_batch_id, change_id)
VALUES (%(view_name)s, %(started_at)s, %(row_count)s, %(last_batch_id)s, %(change_id)s)
RETURNING refresh_id;

-- name: record_not_built
INSERT INTO shop.refreshes (view_name, started_at, last_batch_id, error)
VALUES (%(view_name)s, clock_timestamp(), (SELECT batch_id FROM shop.facts_progress), %(error)s);

-- name: newest_built
-- The refresh whose rows the candidate holds.
SELECT refresh_id, row_count, published_at IS NOT NULL AS is_published, change_id FROM shop.refreshes
WHERE view_name = %(view_name)s AND row_count IS NOT NULL
ORDER BY refresh_id DESC
LIMIT 1;

-- name: retracted_since
-- A retraction made after the candidate was begun.
SELECT retraction_id FROM shop.retractions
WHERE done_at >= (SELECT started_at FROM shop.refreshes WHERE refresh_id = %(refresh_id)s)
LIMIT 1;

-- name: newest_published
-- The newest change that the published rows contain.
SELECT change_id FROM shop.refreshes
WHERE view_name = %(view_name)s AND published_at IS NOT NULL
ORDER BY published_at DESC
LIMIT 1;

-- name: has_candidate
SELECT EXISTS (SELECT FROM {candidate});

-- name: columns
SELECT shop.grain_of(attrelid), array_agg(attname::text ORDER BY attnum)
FROM pg_catalog.pg_attribute
WHERE attrelid = to_regclass(%(view)s) AND attnum > 0 AND NOT attisdropped
GROUP BY attrelid;

-- name: publish_gone
DELETE FROM {published} AS published
WHERE {is_changed} AND NOT EXISTS (
    SELECT FROM (SELECT * FROM {candidate} WHERE {is_changed}) AS candidate WHERE {is_same}
);

-- name: publish_rows
-- Until this commits, readers keep seeing the previous rows, whatever they have open; only rows that differ are
-- written.
MERGE INTO {published} AS published
USING (SELECT * FROM {candidate} WHERE {is_changed}) AS candidate ON {is_same}
WHEN MATCHED AND published IS DISTINCT FROM candidate THEN UPDATE SET {assignments}
WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({values});

-- name: record_published
UPDATE shop.refreshes
SET published_at = clock_timestamp(), error = NULL, held_because = NULL, held_by = NULL
WHERE refresh_id = %(refresh_id)s;

-- name: record_failed
UPDATE shop.refreshes SET error = %(error)s WHERE refresh_id = %(refresh_id)s;

-- name: record_held
UPDATE shop.refreshes SET held_because = %(held_because)s, held_by = %(held_by)s WHERE refresh_id = %(refresh_id)s;

-- name: record_override
UPDATE shop.refreshes SET override_id = %(override_id)s, overrode = %(overrode)s WHERE refresh_id = %(refresh_id)s;

-- name: stale
-- Views whose published rows are older than %(max_age_seconds)s, or lack a batch committed more than that ago; also why
-- the newest refresh that came to an end was held back, if it was.
SELECT
    view_name,
    extract(epoch FROM clock_timestamp() - latest.finished_at)::float8 AS age_seconds,
    missed.batches AS missing_batches,
    newest.held_because
FROM unnest(%(names)s::text[]) WITH ORDINALITY AS wanted (view_name, position)
LEFT JOIN LATERAL (
    SELECT refreshes.finished_at, refreshes.last_batch_id
    FROM shop.refreshes
    WHERE refreshes.view_name = wanted.view_name AND refreshes.published_at IS NOT NULL
    ORDER BY refreshes.finished_at DESC
    LIMIT 1
) AS latest ON true
LEFT JOIN LATERAL (
    SELECT refreshes.held_because
    FROM shop.refreshes
    WHERE refreshes.view_name = wanted.view_name
        AND (published_at IS NOT NULL OR held_because IS NOT NULL OR error IS NOT NULL)
    ORDER BY refreshes.refresh_id DESC
    LIMIT 1
) AS newest ON true
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
