-- The newest runs of each suite, for the cockpit. The suite names come from a loose index scan, not
-- from reading every run, since there are thousands a day.

-- name: newest_runs
-- By suite, newest first.
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
