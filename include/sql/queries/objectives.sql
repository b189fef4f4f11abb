-- name: lock
-- Held to the end of the transaction: of two evaluations at once, the second finds the minutes judged.
SELECT pg_advisory_xact_lock(%(key)s);

-- name: minutes
-- The whole minutes that are to be judged now: after the last one that was, a day back at most. Before the stream was
-- wished to run (or, without a wish, ran for the first time), and while it starts, nothing is promised. A minute that ended long ago is judged only when a batch was
-- committed in it: that proves that there was something to judge; of the others nobody knows.
WITH span AS (
    SELECT
        date_trunc('minute', coalesce(%(now)s::timestamptz, clock_timestamp())) AS up_to,
        (SELECT max(objective_minutes.minute) FROM shop.objective_minutes) AS last_judged,
        CASE
            WHEN coalesce(control.wish, 'run') <> 'run' THEN 'infinity'
            ELSE coalesce(control.wished_at, first_run.started_at, 'infinity') + make_interval(secs => %(start_seconds)s)
        END AS promised_from
    FROM (VALUES (%(query)s::text)) AS asked (query)
    LEFT JOIN shop.stream_control AS control ON control.query = asked.query
    CROSS JOIN LATERAL (SELECT min(runs.started_at) AS started_at FROM shop.runs WHERE runs.query = asked.query) AS first_run
),

asked AS (
    SELECT
        span.up_to,
        greatest(
            span.up_to - interval '1 day', span.last_judged + interval '1 minute', span.promised_from
        ) AS since
    FROM span
),

known AS (
    SELECT date_trunc('minute', batches.committed_at) AS minute
    FROM shop.batches
    WHERE batches.committed_at >= (SELECT asked.since FROM asked) AND batches.committed_at < (SELECT asked.up_to FROM asked)
    UNION
    SELECT asked.up_to - make_interval(mins => ago) AS minute
    FROM asked
    CROSS JOIN generate_series(1, %(on_time_minutes)s) AS ago
)

SELECT known.minute
FROM known
CROSS JOIN asked
WHERE known.minute >= asked.since
ORDER BY known.minute;

-- name: freshness
-- Weighted by rows: a file of a million late rows is not made good by a file of one. Rows of a large file were
-- committed part by part. %(now_minute)s is the newest minute that has ended: of what waits, only now is known.
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
    WHERE files.state <> 'admitted' AND files.parts <= 1
    UNION ALL
    SELECT committed.minute, committed.committed_at - files.arrived_at AS took, file_parts.read
    FROM committed
    INNER JOIN shop.file_parts ON file_parts.batch_id = committed.batch_id
    INNER JOIN shop.files ON files.file_id = file_parts.file_id
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

waiting AS (
    SELECT %(now_minute)s::timestamptz AS minute, %(now_minute)s + interval '1 minute' - min(files.arrived_at) AS took
    FROM shop.files
    WHERE files.state = 'admitted' AND files.arrived_at < %(now_minute)s + interval '1 minute'
)

SELECT asked.minute, extract(epoch FROM greatest(percentile.took, waiting.took))::float8 AS value
FROM unnest(%(minutes)s::timestamptz[]) AS asked (minute)
LEFT JOIN percentile ON percentile.minute = asked.minute
LEFT JOIN waiting ON waiting.minute = asked.minute;

-- name: backlog
-- Known only now, and only from a driver that has just counted.
SELECT %(now_minute)s::timestamptz AS minute, newest.backlog_files::float8 AS value
FROM (SELECT * FROM shop.runs WHERE runs.query = %(query)s ORDER BY runs.epoch DESC LIMIT 1) AS newest
WHERE
    %(now_minute)s = ANY(%(minutes)s)
    AND newest.ended_at IS NULL
    AND newest.turned_at >= %(now_minute)s;

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
-- Of a view whose last publication is past retention, that it is older than all that is on record.
SELECT asked.minute, max(extract(epoch FROM asked.minute + interval '1 minute' - coalesce(newest.published_at, eldest.started_at)))::float8 AS value
FROM unnest(%(minutes)s::timestamptz[]) AS asked (minute)
CROSS JOIN unnest(%(views)s::text[]) AS wanted (view_name)
CROSS JOIN (SELECT min(refreshes.started_at) AS started_at FROM shop.refreshes) AS eldest
LEFT JOIN LATERAL (
    SELECT coalesce(refreshes.published_at, refreshes.finished_at) AS published_at
    FROM shop.refreshes
    WHERE
        refreshes.view_name = wanted.view_name AND refreshes.error IS NULL AND refreshes.held_because IS NULL
        AND refreshes.finished_at < asked.minute + interval '1 minute'
    ORDER BY refreshes.finished_at DESC
    LIMIT 1
) AS newest ON true
GROUP BY asked.minute
HAVING bool_and(coalesce(newest.published_at, eldest.started_at) < asked.minute + interval '1 minute');

-- name: availability
-- A run that ended without a word was closed later, by its successor: its last sign of life is its end.
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
-- A run that could not be judged is no answer; results are there also of runs from before runs had a verdict. A suite
-- that has never answered is left out: its first run says why.
SELECT asked.minute, max(extract(epoch FROM asked.minute + interval '1 minute' - answered.last_at))::float8 AS value
FROM unnest(%(minutes)s::timestamptz[]) AS asked (minute)
CROSS JOIN unnest(%(suites)s::text[]) AS wanted (suite)
CROSS JOIN LATERAL (
    SELECT greatest(
        (
            SELECT max(quality_results.checked_at) FROM shop.quality_results
            WHERE quality_results.suite = wanted.suite AND quality_results.checked_at < asked.minute + interval '1 minute'
        ),
        (
            SELECT max(quality_runs.finished_at) FROM shop.quality_runs
            WHERE
                quality_runs.suite = wanted.suite AND quality_runs.finished_at < asked.minute + interval '1 minute'
                AND quality_runs.verdict <> 'broken'
        )
    ) AS last_at
) AS answered
GROUP BY asked.minute
HAVING count(answered.last_at) > 0;

-- name: record
-- The minutes and their sums by UTC month, which outlive them.
WITH judged AS (
    INSERT INTO shop.objective_minutes (objective, minute, value, bound, is_met)
    SELECT * FROM unnest(
        %(objectives)s::text[], %(minutes)s::timestamptz[], %(values)s::float8[], %(bounds)s::float8[], %(are_met)s::boolean[]
    )
    ON CONFLICT (objective, minute) DO NOTHING
    RETURNING objective, minute, is_met
)

INSERT INTO shop.objective_months AS months (objective, month, minutes, met)
SELECT judged.objective, date_trunc('month', judged.minute AT TIME ZONE 'UTC')::date, count(*), count(*) FILTER (WHERE judged.is_met)
FROM judged
GROUP BY 1, 2
ON CONFLICT (objective, month) DO UPDATE
SET minutes = months.minutes + excluded.minutes, met = months.met + excluded.met;

-- name: open_misses
-- With the end of the last minute that was missed.
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
-- Of objectives that are promised no more: nothing would end them.
UPDATE shop.objective_misses SET ended_at = clock_timestamp()
WHERE ended_at IS NULL AND objective <> ALL(%(objectives)s);
