-- name: lock_suite
-- The lock is held until the session ends.
SELECT pg_advisory_lock(%(key)s, hashtext(%(suite)s));

-- name: export_snapshot
-- Other transactions can use the snapshot while this one is open.
SELECT pg_export_snapshot();

-- name: columns
-- The columns of a table or view with their types, in table order.
SELECT attribute.attname::text, format_type(attribute.atttypid, attribute.atttypmod)
FROM pg_catalog.pg_attribute AS attribute
JOIN pg_catalog.pg_class AS relation ON relation.oid = attribute.attrelid
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = relation.relnamespace
WHERE namespace.nspname = %(schema)s
    AND relation.relname = %(table)s
    AND attribute.attnum > 0
    AND NOT attribute.attisdropped
ORDER BY attribute.attnum;

-- name: relations
-- The tables and views of a schema that a suite can check.
SELECT relation.relname::text
FROM pg_catalog.pg_class AS relation
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = relation.relnamespace
WHERE namespace.nspname = %(schema)s AND relation.relkind IN ('r', 'p', 'v', 'm') AND NOT relation.relispartition
ORDER BY 1;

-- name: window
-- The window to check. It begins at the end of the last good check, minus an overlap. It ends now, or at the batch that
-- reaches %(most_rows)s new rows if more batches follow. If the overlap alone has more rows than that, it is reduced to
-- the batches that may have been in progress at the last check. Rows that failed stay in the window until they are
-- retracted or corrected, however long that takes. Rows that were too few to be judged are checked again with later
-- ones, for at most %(longest)s. A sweep of all rows does not move the window.
WITH known AS (
    SELECT
        clock_timestamp() AS moment,
        (
            SELECT max(window_to) FROM shop.quality_runs
            WHERE suite = %(suite)s AND scope = 'window' AND verdict IN ('passed', 'warned', 'not_judged') AND is_complete
        ) AS evaluated_to,
        (
            SELECT max(window_to) FROM shop.quality_runs
            WHERE suite = %(suite)s AND scope = 'window' AND verdict IN ('passed', 'warned', 'not_judged')
        ) AS good_to,
        (
            SELECT min(window_from) FROM shop.quality_runs
            WHERE suite = %(suite)s AND scope = 'window' AND verdict = 'failed'
        ) AS tried_from
),
last_good AS (
    SELECT
        moment,
        greatest(
            evaluated_to,
            CASE WHEN good_to IS NOT NULL THEN least(good_to, moment - %(longest)s) END
        ) AS looked_to,
        coalesce(tried_from, moment - %(first)s) AS first_from
    FROM known
),
span AS (
    SELECT
        moment,
        coalesce(looked_to, first_from) AS new_from,
        coalesce(
            CASE
                WHEN (
                    SELECT sum(read) > %(most_rows)s
                    FROM shop.batches
                    WHERE committed_at BETWEEN looked_to - make_interval(secs => %(overlap_seconds)s) AND looked_to
                )
                THEN least(
                    looked_to,
                    (
                        SELECT min(started_at) - interval '1 second'
                        FROM shop.batches
                        WHERE committed_at > looked_to - interval '10 seconds'
                    )
                )
                ELSE looked_to - make_interval(secs => %(overlap_seconds)s)
            END,
            first_from
        ) AS window_from
    FROM last_good
),
enough AS (
    SELECT min(committed_at) AS committed_at
    FROM (
        SELECT
            committed_at,
            sum(read) OVER (ORDER BY committed_at, batch_id) AS read_so_far,
            lead(batch_id) OVER (ORDER BY committed_at, batch_id) IS NOT NULL AS is_followed
        FROM shop.batches
        WHERE committed_at > (SELECT new_from FROM span)
    ) AS newer
    WHERE read_so_far >= %(most_rows)s AND is_followed
)
SELECT window_from, coalesce(committed_at, moment) AS window_to, committed_at IS NOT NULL AS is_behind
FROM span, enough;

-- name: last_evaluated
-- The status and time of the last judgment of a check on rows of which nothing has been retracted since; and whether
-- rows of its very last judgment have been retracted. A failure on such rows no longer counts.
WITH evaluated AS NOT MATERIALIZED (
    SELECT
        result.status,
        result.checked_at,
        run.finished_at,
        EXISTS (
            SELECT FROM shop.retraction_files AS retracted
            INNER JOIN shop.retractions AS retraction USING (retraction_id)
            WHERE retraction.done_at > run.finished_at
                AND (
                    run.window_to IS NULL
                    OR retracted.loaded_at
                    BETWEEN coalesce(run.window_from, '-infinity') AND run.window_to + interval '1 minute'
                )
        ) AS is_retracted
    FROM shop.quality_results AS result
    INNER JOIN shop.quality_runs AS run USING (quality_run_id)
    WHERE result.suite = %(suite)s
        AND result.check_name = %(check_name)s
        AND result.column_name IS NOT DISTINCT FROM %(column_name)s
        AND result.status <> 'not_judged'
        AND run.scope = %(scope)s
)
SELECT standing.status, standing.finished_at, newest.is_retracted
FROM (SELECT is_retracted FROM evaluated ORDER BY checked_at DESC LIMIT 1) AS newest
LEFT JOIN LATERAL (
    SELECT status, finished_at FROM evaluated WHERE NOT is_retracted ORDER BY checked_at DESC LIMIT 1
) AS standing ON true;

-- name: count
SELECT count(*) FROM {relation} WHERE {where};

-- name: last_batch
-- The newest batch that a view contains, in its candidate or as published.
SELECT coalesce(
    (
        SELECT last_batch_id FROM shop.refreshes
        WHERE view_name = %(view_name)s
            AND row_count IS NOT NULL
            AND (%(is_candidate)s OR published_at IS NOT NULL)
        ORDER BY refresh_id DESC
        LIMIT 1
    ),
    0
);

-- name: before_needs
SAVEPOINT before_needs;

-- name: needs
-- Whether there is enough data for a check, without fetching it.
SELECT EXISTS (
{query}
);

-- name: after_needs
ROLLBACK TO SAVEPOINT before_needs;

-- name: store_run
INSERT INTO shop.quality_runs (
    run_id, suite, table_name, owner, scope, window_from, window_to, started_at, verdict, checks, critical_failures,
    warnings, not_judged, is_complete, error
)
VALUES (
    %(run_id)s, %(suite)s, %(table_name)s, %(owner)s, %(scope)s, %(window_from)s, %(window_to)s, %(started_at)s,
    %(verdict)s, %(checks)s, %(critical_failures)s, %(warnings)s, %(not_judged)s, %(is_complete)s, %(error)s
)
RETURNING quality_run_id;

-- name: store_results
-- The results of one run of a suite.
INSERT INTO shop.quality_results (
    quality_run_id, run_id, suite, table_name, check_name, column_name, severity, status, observed,
    expected, sample, error, duration_ms
)
VALUES %s;

-- name: open_alerts
-- The keys of the open alerts about the checks of a suite.
SELECT key FROM shop.alerts WHERE resolved_at IS NULL AND starts_with(key, %(prefix)s);
