-- name: views
-- Of each view: the newest refresh, and the newest one that was published, which is what readers see.
SELECT
    asked.view_name,
    published.published_at,
    published.row_count,
    published.last_batch_id,
    coalesce(batches.committed_at, published.started_at) AS fresh_at,
    newest.finished_at AS refreshed_at,
    extract(epoch FROM newest.finished_at - newest.started_at)::float8 AS refresh_seconds,
    newest.held_because,
    newest.error
FROM unnest(%(names)s::text[]) WITH ORDINALITY AS asked (view_name, place)
LEFT JOIN LATERAL (
    SELECT started_at, finished_at, held_because, error
    FROM shop.refreshes
    WHERE refreshes.view_name = asked.view_name
    ORDER BY finished_at DESC, refresh_id DESC LIMIT 1
) AS newest ON true
LEFT JOIN LATERAL (
    SELECT published_at, started_at, row_count, last_batch_id
    FROM shop.refreshes
    WHERE refreshes.view_name = asked.view_name AND published_at IS NOT NULL
    ORDER BY finished_at DESC, refresh_id DESC LIMIT 1
) AS published ON true
LEFT JOIN shop.batches ON batches.batch_id = published.last_batch_id
ORDER BY asked.place;

-- name: suites
-- The newest runs of every suite, newest first. The suites are found by leaping over the index, not by reading every run.
WITH RECURSIVE names AS (
    (SELECT suite FROM shop.quality_runs ORDER BY suite LIMIT 1)
    UNION ALL
    SELECT (SELECT later.suite FROM shop.quality_runs AS later WHERE later.suite > names.suite ORDER BY later.suite LIMIT 1)
    FROM names
    WHERE names.suite IS NOT NULL
)
SELECT runs.*
FROM names
CROSS JOIN LATERAL (
    SELECT * FROM shop.quality_runs
    WHERE quality_runs.suite = names.suite
    ORDER BY finished_at DESC, quality_run_id DESC
    LIMIT %(limit)s
) AS runs
ORDER BY runs.suite, runs.finished_at DESC, runs.quality_run_id DESC;

-- name: suite_runs
-- From the given run on, in the order of the index; all of them when none is given.
SELECT *
FROM shop.quality_runs
WHERE suite = %(suite)s
    AND (
        %(before)s::bigint IS NULL
        OR (finished_at, quality_run_id) < (
            SELECT known.finished_at, known.quality_run_id
            FROM shop.quality_runs AS known
            WHERE known.quality_run_id = %(before)s::bigint
        )
    )
ORDER BY finished_at DESC, quality_run_id DESC
LIMIT %(limit)s;

-- name: quality_run
SELECT * FROM shop.quality_runs WHERE quality_run_id = %(quality_run_id)s;

-- name: results
SELECT result_id, check_name, column_name, severity, is_success, observed, expected, sample, error, checked_at
FROM shop.quality_results
WHERE quality_run_id = %(quality_run_id)s
ORDER BY is_success, array_position(ARRAY['critical', 'warning', 'info'], severity), result_id;
