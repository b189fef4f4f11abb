-- name: views
-- For each view: the newest refresh with an outcome (a candidate that is still being checked has none), and the newest
-- published refresh, which readers see, with the override that published it and the override that is active now.
WITH restated AS (
    -- Read the newest changes only, because the log is kept forever.
    SELECT view_name, count(DISTINCT day) AS days, max(restated_at) AS restated_at
    FROM (
        SELECT view_name, day, restated_at FROM shop.restatements ORDER BY restatement_id DESC LIMIT 5000
    ) AS newest
    WHERE restated_at > statement_timestamp() - interval '7 days'
    GROUP BY view_name
)
SELECT
    asked.view_name,
    coalesce(restated.days, 0) AS restated_days,
    restated.restated_at,
    published.published_at,
    published.row_count,
    published.last_batch_id,
    coalesce(batches.committed_at, published.started_at) AS fresh_at,
    newest.finished_at AS refreshed_at,
    extract(epoch FROM newest.finished_at - newest.started_at)::float8 AS refresh_seconds,
    newest.held_because,
    newest.error,
    published.overrode,
    published.granted_by AS overridden_by,
    published.reason AS override_reason,
    pending.granted_by AS pending_by,
    pending.reason AS pending_reason,
    CASE WHEN NOT pending.is_once THEN pending.expires_at END AS pending_until
FROM unnest(%(names)s::text[]) WITH ORDINALITY AS asked (view_name, place)
LEFT JOIN LATERAL (
    SELECT started_at, finished_at, held_because, error
    FROM shop.refreshes
    WHERE refreshes.view_name = asked.view_name
        AND (published_at IS NOT NULL OR held_because IS NOT NULL OR error IS NOT NULL)
    ORDER BY finished_at DESC, refresh_id DESC LIMIT 1
) AS newest ON true
LEFT JOIN LATERAL (
    SELECT published_at, started_at, row_count, last_batch_id, overrode, granted_by, reason
    FROM shop.refreshes
    LEFT JOIN shop.publication_overrides USING (override_id)
    WHERE refreshes.view_name = asked.view_name AND published_at IS NOT NULL
    ORDER BY finished_at DESC, refresh_id DESC LIMIT 1
) AS published ON true
LEFT JOIN LATERAL (
    SELECT granted_by, reason, is_once, expires_at
    FROM shop.publication_overrides AS override
    WHERE (override.view_name IS NULL OR override.view_name = asked.view_name)
        AND revoked_at IS NULL
        AND expires_at > clock_timestamp()
        AND NOT (
            is_once
            AND EXISTS (
                SELECT FROM shop.refreshes
                WHERE refreshes.override_id = override.override_id
                    AND refreshes.view_name = asked.view_name
                    AND refreshes.published_at IS NOT NULL
            )
        )
    ORDER BY override_id DESC LIMIT 1
) AS pending ON true
LEFT JOIN shop.batches ON batches.batch_id = published.last_batch_id
LEFT JOIN restated ON restated.view_name = asked.view_name
ORDER BY asked.place;

-- name: suite_runs
-- The runs before the given one, in index order; all runs when none is given.
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
SELECT result_id, check_name, column_name, severity, status, observed, expected, sample, error, checked_at
FROM shop.quality_results
WHERE quality_run_id = %(quality_run_id)s
ORDER BY array_position(ARRAY['error', 'failed', 'not_judged', 'passed'], status), array_position(ARRAY['critical', 'warning', 'info'], severity), result_id;
