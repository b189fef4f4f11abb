-- name: attainment
-- Return the attainment of this month and those before it, %(months)s in total, the newest first.
SELECT objective, month, minutes, met
FROM shop.objective_months
WHERE month >= (date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC') - make_interval(months => %(months)s - 1))::date
ORDER BY month DESC, objective;

-- name: current
-- Return the newest evaluated minute of each objective, with its open miss.
SELECT
    wanted.objective,
    newest.minute,
    newest.value,
    newest.bound,
    newest.is_met,
    misses.miss_id,
    misses.began_at
FROM unnest(%(objectives)s::text[]) WITH ORDINALITY AS wanted (objective, position)
LEFT JOIN LATERAL (
    SELECT objective_minutes.minute, objective_minutes.value, objective_minutes.bound, objective_minutes.is_met
    FROM shop.objective_minutes
    WHERE objective_minutes.objective = wanted.objective
    ORDER BY objective_minutes.minute DESC
    LIMIT 1
) AS newest ON true
LEFT JOIN shop.objective_misses AS misses ON misses.objective = wanted.objective AND misses.ended_at IS NULL
ORDER BY wanted.position;

-- name: minutes
-- Return the evaluated minutes of one objective for a chart, the oldest first.
SELECT minute, value, bound, is_met
FROM shop.objective_minutes
WHERE objective = %(objective)s AND minute >= %(since)s
ORDER BY minute;

-- name: misses
-- Return misses, the newest first: those that began before %(before)s, or all of them when it is NULL.
SELECT
    miss_id, objective, began_at, ended_at, bound, worst_value, cause, acknowledged_at, acknowledged_by, note
FROM shop.objective_misses
WHERE
    (%(objective)s::text IS NULL OR objective = %(objective)s)
    AND (%(is_open)s::boolean IS NULL OR (ended_at IS NULL) = %(is_open)s)
    AND (%(before)s::timestamptz IS NULL OR (began_at, miss_id) < (%(before)s, %(before_id)s))
ORDER BY began_at DESC, miss_id DESC
LIMIT %(limit)s;

-- name: miss
SELECT
    miss_id, objective, began_at, ended_at, bound, worst_value, cause, acknowledged_at, acknowledged_by, note
FROM shop.objective_misses
WHERE miss_id = %(miss_id)s;

-- name: acknowledge
-- A second acknowledgement of the same miss replaces the first.
UPDATE shop.objective_misses
SET acknowledged_at = clock_timestamp(), acknowledged_by = %(by)s, note = %(note)s
WHERE miss_id = %(miss_id)s
RETURNING miss_id, objective, began_at, ended_at, bound, worst_value, cause, acknowledged_at, acknowledged_by, note;
