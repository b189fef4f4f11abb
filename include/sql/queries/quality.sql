-- name: lock_suite
-- Held until the session ends.
SELECT pg_advisory_lock(%(key)s, hashtext(%(suite)s));

-- name: export_snapshot
-- Other transactions may adopt it while this one is open.
SELECT pg_export_snapshot();

-- name: columns
-- The columns of a table or view with their types, in their order.
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
-- What a suite of the schema can be about.
SELECT relation.relname::text
FROM pg_catalog.pg_class AS relation
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = relation.relnamespace
WHERE namespace.nspname = %(schema)s AND relation.relkind IN ('r', 'p', 'v', 'm') AND NOT relation.relispartition
ORDER BY 1;

-- name: window
-- From the end of the last good check, less an overlap, and no further back than the longest; to now, or to the batch
-- that makes so many rows new, if more came after it. An overlap with more rows than that is only what may have been
-- under way then.
WITH last_good AS (
    SELECT (
        SELECT window_to
        FROM shop.quality_runs
        WHERE suite = %(suite)s AND verdict IN ('passed', 'warned') AND window_to IS NOT NULL
        ORDER BY finished_at DESC
        LIMIT 1
    ) AS looked_to, clock_timestamp() AS moment
),
span AS (
    SELECT
        moment,
        greatest(moment - %(longest)s, coalesce(looked_to, moment - %(first)s)) AS new_from,
        greatest(
            moment - %(longest)s,
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
                moment - %(first)s
            )
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

-- name: count
SELECT count(*) FROM {relation} WHERE {where};

-- name: last_batch
-- The newest batch that the rows of a view contain: of its candidate, or as people read it.
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
-- Whether there is enough to compare with, without fetching it.
SELECT EXISTS (
{query}
);

-- name: after_needs
ROLLBACK TO SAVEPOINT before_needs;

-- name: store_run
INSERT INTO shop.quality_runs (
    run_id, suite, table_name, owner, scope, window_from, window_to, started_at, verdict, checks, critical_failures,
    warnings, not_judged, error
)
VALUES (
    %(run_id)s, %(suite)s, %(table_name)s, %(owner)s, %(scope)s, %(window_from)s, %(window_to)s, %(started_at)s,
    %(verdict)s, %(checks)s, %(critical_failures)s, %(warnings)s, %(not_judged)s, %(error)s
)
RETURNING quality_run_id;

-- name: store_results
-- The results of one run of a suite.
INSERT INTO shop.quality_results (
    quality_run_id, run_id, suite, table_name, check_name, column_name, severity, is_success, is_judged, observed,
    expected, sample, error, duration_ms
)
VALUES %s;

-- name: open_alerts
-- The alerts about checks of a suite that are not over, by their keys.
SELECT key FROM shop.alerts WHERE resolved_at IS NULL AND starts_with(key, %(prefix)s);

-- name: record_page
UPDATE shop.quality_runs SET docs_path = %(docs_path)s WHERE quality_run_id = %(quality_run_id)s;

-- name: recent_runs
-- The last runs of each suite, oldest first.
SELECT suite, table_name, scope, started_at, finished_at, verdict, checks, critical_failures, warnings, not_judged, docs_path
FROM (
    SELECT *, row_number() OVER (PARTITION BY suite ORDER BY finished_at DESC, quality_run_id DESC) AS position
    FROM shop.quality_runs
) AS ranked
WHERE position <= %(listed)s
ORDER BY suite, position DESC;

-- name: needs_a_look
-- What did not hold in the newest run of each suite, and what was not judged.
SELECT
    run.suite, run.docs_path, result.check_name, result.column_name, result.severity, result.is_success,
    result.is_judged, result.observed, result.error
FROM (
    SELECT DISTINCT ON (suite) quality_run_id, suite, docs_path
    FROM shop.quality_runs
    ORDER BY suite, finished_at DESC, quality_run_id DESC
) AS run
INNER JOIN shop.quality_results AS result USING (quality_run_id)
WHERE NOT result.is_success OR NOT result.is_judged
ORDER BY run.suite, result.result_id;

-- name: expire_pages
-- Pages of runs that passed go before their results do.
UPDATE shop.quality_runs SET docs_path = NULL
WHERE docs_path IS NOT NULL AND verdict = 'passed' AND finished_at < clock_timestamp() - %(passed_kept)s
RETURNING old.docs_path;
