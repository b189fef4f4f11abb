-- name: objectives
-- Each objective at its newest minute. A loose index scan finds the objectives, instead of reading every minute.
WITH RECURSIVE names AS (
    (SELECT objective FROM shop.objective_minutes ORDER BY objective LIMIT 1)
    UNION ALL
    SELECT (
        SELECT later.objective FROM shop.objective_minutes AS later
        WHERE later.objective > names.objective ORDER BY later.objective LIMIT 1
    )
    FROM names
    WHERE names.objective IS NOT NULL
)
SELECT
    newest.objective,
    newest.minute,
    newest.value,
    newest.bound,
    newest.is_met,
    miss.began_at AS missed_since,
    recent.is_met AS recent,
    months.months,
    date_trunc('month', statement_timestamp() AT TIME ZONE 'UTC')::date AS this_month
FROM names
CROSS JOIN LATERAL (
    SELECT * FROM shop.objective_minutes
    WHERE objective_minutes.objective = names.objective
    ORDER BY minute DESC LIMIT 1
) AS newest
LEFT JOIN shop.objective_misses AS miss ON miss.objective = names.objective AND miss.ended_at IS NULL
CROSS JOIN LATERAL (
    SELECT array_agg(last_hour.is_met ORDER BY last_hour.minute) AS is_met
    FROM (
        SELECT minute, is_met FROM shop.objective_minutes
        WHERE objective_minutes.objective = names.objective
        ORDER BY minute DESC LIMIT 60
    ) AS last_hour
) AS recent
CROSS JOIN LATERAL (
    SELECT coalesce(jsonb_agg(to_jsonb(year) ORDER BY year.month DESC), '[]') AS months
    FROM (
        SELECT month, minutes, met FROM shop.objective_months
        WHERE objective_months.objective = names.objective
        ORDER BY month DESC LIMIT 13
    ) AS year
) AS months
ORDER BY newest.is_met, newest.objective;

-- name: misses
SELECT *
FROM shop.objective_misses
WHERE miss_id < %(before)s
    AND (%(objective)s::text IS NULL OR objective = %(objective)s)
    AND (%(is_open)s::boolean IS NULL OR (ended_at IS NULL) = %(is_open)s)
ORDER BY miss_id DESC
LIMIT %(limit)s;

-- name: miss
SELECT * FROM shop.objective_misses WHERE miss_id = %(miss_id)s;

-- name: alerts
SELECT *
FROM shop.alerts
WHERE (resolved_at IS NULL) = %(is_open)s
    AND alert_id < %(before)s
    AND (%(severity)s::text IS NULL OR severity = %(severity)s)
ORDER BY alert_id DESC
LIMIT %(limit)s;

-- name: listed_messages
-- Number of notifications by state, for the alerts of one page.
SELECT
    alert_id,
    count(*) FILTER (WHERE state = 'due') AS due,
    count(*) FILTER (WHERE state = 'sent') AS sent,
    count(*) FILTER (WHERE state = 'failed') AS failed
FROM shop.alert_deliveries
WHERE alert_id = ANY(%(alert_ids)s::bigint[])
GROUP BY alert_id;

-- name: open_alerts
SELECT
    count(*) FILTER (WHERE severity = 'critical') AS critical,
    count(*) FILTER (WHERE severity = 'warning') AS warning,
    count(*) FILTER (WHERE severity = 'info') AS info,
    count(*) FILTER (WHERE acknowledged_at IS NULL) AS unacknowledged
FROM shop.alerts
WHERE resolved_at IS NULL;

-- name: alert
SELECT * FROM shop.alerts WHERE alert_id = %(alert_id)s;

-- name: deliveries
SELECT delivery_id, channel, occasion, state, attempts, due_at, sent_at, last_error
FROM shop.alert_deliveries
WHERE alert_id = %(alert_id)s
ORDER BY delivery_id;

-- name: actions
SELECT action_id, acted_at, actor, action, subject, reason
FROM shop.actions
WHERE action_id < %(before)s
ORDER BY action_id DESC
LIMIT %(limit)s;
