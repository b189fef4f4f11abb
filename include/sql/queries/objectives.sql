-- name: lock
-- The lock is held until the end of the transaction. If two evaluations run at once, the second finds that the minutes
-- are already evaluated.
SELECT pg_advisory_xact_lock(%(key)s);

-- name: minutes
-- Return every whole minute after the last evaluated one, at most %(longest)s back, because an outage of the platform
-- counts against the objectives. Leave out planned downtime with the minutes of the start after it, and the time before
-- the stream first ran or was asked to run.
WITH span AS (
    SELECT
        date_trunc('minute', coalesce(%(now)s::timestamptz, clock_timestamp())) AS up_to,
        (SELECT max(objective_minutes.minute) FROM shop.objective_minutes) AS last_evaluated,
        coalesce(
            least(
                (SELECT min(runs.started_at) FROM shop.runs WHERE runs.query = %(query)s),
                (SELECT control.requested_at FROM shop.stream_control AS control WHERE control.query = %(query)s)
            ),
            'infinity'
        ) + make_interval(secs => %(start_seconds)s) AS promised_from
),

asked AS (
    SELECT
        span.up_to,
        span.last_evaluated,
        greatest(
            span.up_to - %(longest)s::interval, coalesce(span.last_evaluated + interval '1 minute', span.promised_from)
        ) AS since
    FROM span
)

SELECT minute
FROM asked
CROSS JOIN generate_series(
    date_trunc('minute', nullif(asked.since, 'infinity') + interval '59.999999 s'), asked.up_to - interval '1 minute', interval '1 minute'
) AS minute
WHERE
    -- In the first evaluation of all, take the newest minutes, and older ones only if a batch was committed in them,
    -- which proves that the stream was running.
    (
        asked.last_evaluated IS NOT NULL
        OR minute >= asked.up_to - make_interval(mins => %(on_time_minutes)s)
        OR EXISTS (
            SELECT FROM shop.batches
            WHERE batches.committed_at >= minute AND batches.committed_at < minute + interval '1 minute'
        )
    )
    AND NOT EXISTS (
        SELECT FROM shop.planned_times AS planned
        WHERE planned.began_at < minute + interval '1 minute' AND planned.ready_at > minute
    )
ORDER BY minute;

-- name: catching_up
-- Return those of the minutes in which the stream was still loading the backlog of planned downtime.
SELECT asked.minute
FROM unnest(%(minutes)s::timestamptz[]) AS asked (minute)
WHERE EXISTS (
    SELECT FROM shop.planned_times AS planned
    WHERE planned.began_at < asked.minute + interval '1 minute' AND planned.quiet_until > asked.minute
);

-- name: freshness
-- The percentile is weighted by rows, so a file of one row does not make up for a file of a million late rows. Rows of
-- a large file were committed slice by slice. A file that waited at the end of a minute counts with its age: a file
-- that was loaded later, by its recorded arrival; a file that still waits, admitted or not (%(waiting_since)s is the
-- arrival of the oldest one in the landing folder), in each minute since its arrival. Planned downtime does not count
-- as waiting.
WITH committed AS (
    SELECT batches.batch_id, batches.committed_at, date_trunc('minute', batches.committed_at) AS minute
    FROM shop.batches
    WHERE
        batches.committed_at >= %(first)s AND batches.committed_at < %(last)s + interval '1 minute'
        AND date_trunc('minute', batches.committed_at) = ANY(%(minutes)s)
),

loaded AS (
    SELECT committed.minute, committed.committed_at - files.arrived_at AS took, files.read
    FROM committed
    INNER JOIN shop.files ON files.batch_id = committed.batch_id
    WHERE files.state <> 'admitted' AND files.slices <= 1
    UNION ALL
    SELECT committed.minute, committed.committed_at - files.arrived_at AS took, file_slices.read
    FROM committed
    INNER JOIN shop.file_slices ON file_slices.batch_id = committed.batch_id
    INNER JOIN shop.files ON files.file_id = file_slices.file_id
),

ranked AS (
    SELECT
        loaded.minute,
        loaded.took,
        sum(loaded.read) OVER (PARTITION BY loaded.minute ORDER BY loaded.took) AS up_to,
        sum(loaded.read) OVER (PARTITION BY loaded.minute) AS total
    FROM loaded
    WHERE loaded.read > 0
),

percentile AS (
    SELECT ranked.minute, min(ranked.took) AS took
    FROM ranked
    WHERE ranked.up_to >= 0.99 * ranked.total
    GROUP BY ranked.minute
),

arrivals AS (
    SELECT batches.oldest_arrival AS arrived_at, batches.committed_at AS loaded_at
    FROM shop.batches
    WHERE batches.committed_at >= %(first)s + interval '1 minute' AND batches.oldest_arrival IS NOT NULL
    UNION ALL
    SELECT min(files.arrived_at), 'infinity' FROM shop.files WHERE files.state = 'admitted'
    UNION ALL
    SELECT %(waiting_since)s::timestamptz, 'infinity'
),

waiting AS (
    SELECT asked.minute, asked.minute + interval '1 minute' - min(greatest(arrivals.arrived_at, planned.ready_at)) AS took
    FROM unnest(%(minutes)s::timestamptz[]) AS asked (minute)
    INNER JOIN arrivals
        ON arrivals.arrived_at < asked.minute + interval '1 minute'
        AND arrivals.loaded_at >= asked.minute + interval '1 minute'
    LEFT JOIN LATERAL (
        SELECT max(planned_times.ready_at) AS ready_at FROM shop.planned_times
        WHERE planned_times.ready_at < asked.minute + interval '1 minute' AND planned_times.ready_at > arrivals.arrived_at
    ) AS planned ON true
    GROUP BY asked.minute
)

SELECT asked.minute, extract(epoch FROM greatest(percentile.took, waiting.took))::float8 AS value
FROM unnest(%(minutes)s::timestamptz[]) AS asked (minute)
LEFT JOIN percentile ON percentile.minute = asked.minute
LEFT JOIN waiting ON waiting.minute = asked.minute;

-- name: backlog
-- Only the current backlog is known. It comes from a driver that has just counted it. Without a driver, it is the
-- number of files in the landing folder (%(waiting_files)s, NULL when the folder cannot be read) and of admitted files.
SELECT %(now_minute)s::timestamptz AS minute, coalesce(counted.files, waiting.files)::float8 AS value
FROM (
    SELECT %(waiting_files)s::bigint + count(*) AS files FROM shop.files WHERE files.state = 'admitted'
) AS waiting
LEFT JOIN (
    SELECT newest.backlog_files AS files
    FROM (SELECT * FROM shop.runs WHERE runs.query = %(query)s ORDER BY runs.epoch DESC LIMIT 1) AS newest
    WHERE newest.ended_at IS NULL AND newest.turned_at >= %(now_minute)s
) AS counted ON true
WHERE %(now_minute)s = ANY(%(minutes)s) AND coalesce(counted.files, waiting.files) IS NOT NULL;

-- name: reject_share
SELECT asked.minute, sum(committed.rejected)::float8 / nullif(sum(committed.read), 0)::float8 AS value
FROM unnest(%(minutes)s::timestamptz[]) AS asked (minute)
LEFT JOIN (
    SELECT date_trunc('minute', batches.committed_at) AS minute, batches.rejected, batches.read
    FROM shop.batches
    WHERE batches.committed_at >= %(first)s AND batches.committed_at < %(last)s + interval '1 minute'
) AS committed ON committed.minute = asked.minute
GROUP BY asked.minute;

-- name: refresh_age
-- Only a publication counts, not a candidate that was held back, failed, or whose process ended before it was
-- published. A view whose last publication is past retention is older than every recorded refresh. Planned downtime
-- does not age a view, since it must be refreshed only once the downtime is over.
SELECT
    asked.minute,
    max(
        extract(
            epoch FROM asked.minute + interval '1 minute'
            - greatest(coalesce(newest.published_at, eldest.started_at), planned.ready_at)
        )
    )::float8 AS value
FROM unnest(%(minutes)s::timestamptz[]) AS asked (minute)
CROSS JOIN unnest(%(views)s::text[]) AS wanted (view_name)
CROSS JOIN (SELECT min(refreshes.started_at) AS started_at FROM shop.refreshes) AS eldest
LEFT JOIN LATERAL (
    SELECT refreshes.published_at
    FROM shop.refreshes
    WHERE
        refreshes.view_name = wanted.view_name AND refreshes.published_at < asked.minute + interval '1 minute'
        AND refreshes.finished_at < asked.minute + interval '1 minute'
    ORDER BY refreshes.finished_at DESC
    LIMIT 1
) AS newest ON true
LEFT JOIN LATERAL (
    SELECT max(planned_times.ready_at) AS ready_at FROM shop.planned_times
    WHERE planned_times.kind = 'platform' AND planned_times.ready_at < asked.minute + interval '1 minute'
) AS planned ON true
GROUP BY asked.minute
HAVING bool_and(coalesce(newest.published_at, eldest.started_at) < asked.minute + interval '1 minute');

-- name: availability
-- A run that crashed was closed later, by its successor, so its last heartbeat counts as its end.
WITH lives AS (
    SELECT range_agg(tstzrange(runs.started_at, greatest(runs.started_at, least(runs.ended_at, runs.heartbeat_at + interval '2 s')))) AS spans
    FROM shop.runs
    WHERE
        runs.query = %(query)s
        AND runs.started_at < %(last)s + interval '1 minute'
        AND runs.heartbeat_at > %(first)s - interval '2 s'
)

SELECT
    asked.minute,
    coalesce((
        SELECT sum(extract(epoch FROM upper(lived) - lower(lived)))
        FROM unnest(lives.spans * tstzmultirange(tstzrange(asked.minute, asked.minute + interval '1 minute'))) AS lived
    ), 0)::float8 / 60 AS value
FROM unnest(%(minutes)s::timestamptz[]) AS asked (minute)
CROSS JOIN lives;

-- name: quality_age
-- A run with the verdict "broken" does not count, though it leaves results. Results without a recorded run count; they
-- are from before runs had a verdict. A suite without any verdict is left out, since its first run reports the reason.
-- Planned downtime of the platform does not age a verdict.
SELECT
    asked.minute,
    max(extract(epoch FROM asked.minute + interval '1 minute' - greatest(answered.last_at, planned.ready_at)))::float8 AS value
FROM unnest(%(minutes)s::timestamptz[]) AS asked (minute)
CROSS JOIN unnest(%(suites)s::text[]) AS wanted (suite)
CROSS JOIN LATERAL (
    SELECT coalesce(
        (
            SELECT max(quality_runs.finished_at) FROM shop.quality_runs
            WHERE
                quality_runs.suite = wanted.suite AND quality_runs.finished_at < asked.minute + interval '1 minute'
                AND quality_runs.verdict <> 'broken'
        ),
        (
            SELECT max(results.checked_at) FROM shop.quality_results AS results
            WHERE
                results.suite = wanted.suite AND results.checked_at < asked.minute + interval '1 minute'
                AND results.quality_run_id IS NULL
        )
    ) AS last_at
) AS answered
LEFT JOIN LATERAL (
    SELECT max(planned_times.ready_at) AS ready_at FROM shop.planned_times
    WHERE planned_times.kind = 'platform' AND planned_times.ready_at < asked.minute + interval '1 minute'
) AS planned ON true
GROUP BY asked.minute
HAVING count(answered.last_at) > 0;

-- name: record
-- Record the minutes, and their sums by UTC month, which are kept longer.
WITH evaluated AS (
    INSERT INTO shop.objective_minutes (objective, minute, value, bound, is_met)
    SELECT * FROM unnest(
        %(objectives)s::text[], %(minutes)s::timestamptz[], %(values)s::float8[], %(bounds)s::float8[], %(are_met)s::boolean[]
    )
    ON CONFLICT (objective, minute) DO NOTHING
    RETURNING objective, minute, is_met
)

INSERT INTO shop.objective_months AS months (objective, month, minutes, met)
SELECT evaluated.objective, date_trunc('month', evaluated.minute AT TIME ZONE 'UTC')::date, count(*), count(*) FILTER (WHERE evaluated.is_met)
FROM evaluated
GROUP BY 1, 2
ON CONFLICT (objective, month) DO UPDATE
SET minutes = months.minutes + excluded.minutes, met = months.met + excluded.met;

-- name: open_misses
-- Return the open misses, each with the end of its last missed minute.
SELECT misses.miss_id, misses.objective, misses.began_at, misses.worst_value, misses.cause, coalesce(
    (
        SELECT max(objective_minutes.minute) + interval '1 minute' FROM shop.objective_minutes
        WHERE
            objective_minutes.objective = misses.objective AND objective_minutes.minute >= misses.began_at
            AND NOT objective_minutes.is_met
    ),
    misses.began_at + interval '1 minute'
) AS missed_until
FROM shop.objective_misses AS misses
WHERE misses.ended_at IS NULL;

-- name: open_miss
INSERT INTO shop.objective_misses (objective, began_at, ended_at, bound, worst_value, cause)
VALUES (%(objective)s, %(began_at)s, %(ended_at)s, %(bound)s, %(worst_value)s, %(cause)s);

-- name: go_on_with_miss
UPDATE shop.objective_misses
SET ended_at = %(ended_at)s, worst_value = %(worst_value)s, cause = coalesce(cause, %(cause)s)
WHERE miss_id = %(miss_id)s;

-- name: end_misses_of_others
-- End the misses of objectives that no longer exist, since nothing else would end them.
UPDATE shop.objective_misses SET ended_at = clock_timestamp()
WHERE ended_at IS NULL AND objective <> ALL(%(objectives)s);

-- name: newest_evaluated
-- Also return whether planned downtime is the reason why nothing is evaluated now.
SELECT
    (SELECT max(minute) FROM shop.objective_minutes) AS newest,
    EXISTS (
        SELECT FROM shop.planned_times
        WHERE began_at <= clock_timestamp() AND ready_at + interval '10 minutes' > clock_timestamp()
    ) AS is_planned;
