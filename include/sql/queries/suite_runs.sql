-- The newest runs of each suite, for the cockpit and the Data Docs. The suite names come from a loose index scan, not
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

-- name: needs_a_look
-- Results of these runs that did not pass.
SELECT
    run.suite, run.docs_path, result.check_name, result.column_name, result.severity, result.status, result.observed, result.error
FROM shop.quality_runs AS run
INNER JOIN shop.quality_results AS result USING (quality_run_id)
WHERE run.quality_run_id = ANY(%(quality_run_ids)s) AND result.status <> 'passed'
ORDER BY run.suite, result.result_id;
