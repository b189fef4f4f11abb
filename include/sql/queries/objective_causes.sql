-- Each query returns at most one row, with a text about something since %(since)s that can explain a miss.

-- name: restarts
WITH started AS (
    SELECT runs.epoch, runs.started_at, before.error
    FROM shop.runs
    LEFT JOIN LATERAL (
        SELECT earlier.error FROM shop.runs AS earlier
        WHERE earlier.query = runs.query AND earlier.epoch < runs.epoch
        ORDER BY earlier.epoch DESC
        LIMIT 1
    ) AS before ON true
    WHERE runs.query = %(query)s AND runs.started_at >= %(since)s AND runs.started_at < %(until)s
)

SELECT format(
    'the stream was started %%s, most recently at %%s UTC as epoch %%s; before that: %%s',
    CASE WHEN count(*) = 1 THEN 'again' ELSE count(*) || ' times' END,
    to_char(max(started_at), 'HH24:MI:SS'),
    max(epoch),
    coalesce((array_agg(split_part(error, E'\n', 1) ORDER BY epoch DESC))[1], 'it ended as requested')
)
FROM started
HAVING count(*) > 0;

-- name: large_files
-- Find the largest file that is loaded in slices, or that is waiting and large enough to be loaded in slices.
SELECT format(
    'a large file: %%s, %%s, arrived at %%s UTC', name, pg_size_pretty(coalesce(unpacked_bytes, size_bytes)),
    to_char(arrived_at, 'HH24:MI:SS')
)
FROM (
    SELECT files.*
    FROM shop.batches
    INNER JOIN shop.file_slices ON file_slices.batch_id = batches.batch_id
    INNER JOIN shop.files ON files.file_id = file_slices.file_id
    WHERE batches.committed_at >= %(since)s AND batches.committed_at < %(until)s
    UNION
    SELECT * FROM shop.files WHERE state = 'admitted' AND coalesce(unpacked_bytes, size_bytes) > %(large_bytes)s
) AS large
ORDER BY coalesce(unpacked_bytes, size_bytes) DESC
LIMIT 1;

-- name: slowest_batch
SELECT format(
    'batch %%s was committed %%s s after its oldest file arrived: %%s rows of %%s files, %%s s from its start to its commit',
    batch_id, round(lag_seconds::numeric, 1), read, files,
    round(extract(epoch FROM committed_at - started_at), 1)
)
FROM shop.batches
WHERE committed_at >= %(since)s AND committed_at < %(until)s AND lag_seconds > %(bound)s
ORDER BY lag_seconds DESC
LIMIT 1;

-- name: reject_reasons
-- Look only at the newest rejects, so that a flood of them does not make the query slow.
SELECT format('%%s of the last %%s rejected rows: %%s, most of them in %%s', count(*), max(newest.all_rows), reason, mode() WITHIN GROUP (ORDER BY file_name))
FROM (
    SELECT last_rejects.*, count(*) OVER () AS all_rows
    FROM (
        SELECT reasons, file_name FROM shop.rejects
        WHERE rejected_at >= %(since)s AND rejected_at < %(until)s
        ORDER BY reject_id DESC
        LIMIT 10000
    ) AS last_rejects
) AS newest
CROSS JOIN unnest(newest.reasons) AS reason
GROUP BY reason
ORDER BY count(*) DESC, reason
LIMIT 1;

-- name: held_views
SELECT string_agg(format('%%s is held back: %%s', view_name, held_because), '; ' ORDER BY view_name)
FROM (
    SELECT DISTINCT ON (view_name) view_name, held_because
    FROM shop.refreshes
    WHERE view_name = ANY(%(views)s) AND finished_at < %(until)s
        AND (published_at IS NOT NULL OR held_because IS NOT NULL OR error IS NOT NULL)
    ORDER BY view_name, finished_at DESC
) AS newest
WHERE held_because IS NOT NULL
HAVING count(*) > 0;

-- name: failed_refreshes
SELECT string_agg(format('%%s could not be refreshed: %%s', view_name, split_part(error, E'\n', 1)), '; ' ORDER BY view_name)
FROM (
    SELECT DISTINCT ON (view_name) view_name, error
    FROM shop.refreshes
    WHERE view_name = ANY(%(views)s) AND finished_at < %(until)s
        AND (published_at IS NOT NULL OR held_because IS NOT NULL OR error IS NOT NULL)
    ORDER BY view_name, finished_at DESC
) AS newest
WHERE error IS NOT NULL
HAVING count(*) > 0;

-- name: broken_suites
SELECT string_agg(format('suite %%s: %%s', suite, split_part(error, E'\n', 1)), '; ' ORDER BY suite)
FROM (
    SELECT DISTINCT ON (suite) suite, verdict, error
    FROM shop.quality_runs
    WHERE suite = ANY(%(suites)s) AND finished_at < %(until)s
    ORDER BY suite, finished_at DESC
) AS newest
WHERE verdict = 'broken'
HAVING count(*) > 0;
