-- name: lock_plan
-- One plans at a time, and sees what the one before has planned.
SELECT pg_advisory_xact_lock(hashtext('shop.alert_deliveries'));

-- name: plan_raised
-- Who has not been told yet, or not that it has got worse: of what is open, and of what has come and gone within a day,
-- the newest of each key. A channel that was added later is told of what is open, not of the past. Nor is one told of
-- its own failure, or of the same key for more than %(told)s times within %(flapping_seconds)s.
INSERT INTO shop.alert_deliveries (alert_id, channel, occasion, severity)
SELECT alert.alert_id, channel.channel, 'raised', alert.severity
FROM shop.alerts AS alert
INNER JOIN shop.alert_channels AS channel
    ON shop.severity_rank(alert.severity) >= shop.severity_rank(channel.min_severity)
    AND alert.key <> 'channel: ' || channel.channel
WHERE
    (
        alert.resolved_at IS NULL
        OR (
            alert.raised_at > statement_timestamp() - interval '1 day'
            AND alert.last_raised_at >= channel.added_at
            AND NOT EXISTS (
                SELECT FROM shop.alerts AS later
                WHERE later.key = alert.key AND later.alert_id > alert.alert_id
            )
        )
    )
    AND NOT EXISTS (
        SELECT FROM shop.alert_deliveries AS told
        WHERE told.alert_id = alert.alert_id AND told.channel = channel.channel AND told.occasion = 'raised'
            AND shop.severity_rank(told.severity) >= shop.severity_rank(alert.severity)
    )
    AND (
        SELECT count(*)
        FROM shop.alerts AS same
        INNER JOIN shop.alert_deliveries AS told USING (alert_id)
        WHERE same.key = alert.key AND told.channel = channel.channel AND told.occasion = 'raised'
            AND told.planned_at > statement_timestamp() - make_interval(secs => %(flapping_seconds)s)
            AND shop.severity_rank(told.severity) >= shop.severity_rank(alert.severity)
    ) < %(told)s
ORDER BY alert.alert_id;

-- name: plan_reminders
-- Critical, open, and nobody has said that he knows: told again %(reminder_seconds)s after it was last told.
INSERT INTO shop.alert_deliveries (alert_id, channel, occasion, severity)
SELECT alert.alert_id, channel.channel, 'reminder', alert.severity
FROM shop.alerts AS alert
CROSS JOIN shop.alert_channels AS channel
CROSS JOIN LATERAL (
    SELECT
        bool_or(told.state = 'due') AS is_due,
        max(coalesce(told.sent_at, told.planned_at)) AS last_at
    FROM shop.alert_deliveries AS told
    WHERE told.alert_id = alert.alert_id AND told.channel = channel.channel
) AS told
WHERE
    alert.resolved_at IS NULL AND alert.severity = 'critical' AND alert.acknowledged_at IS NULL
    AND NOT told.is_due
    AND told.last_at < statement_timestamp() - make_interval(secs => %(reminder_seconds)s);

-- name: plan_recovered
-- Whoever was told that it began is told that it is over. An event has no end.
INSERT INTO shop.alert_deliveries (alert_id, channel, occasion, severity)
SELECT DISTINCT told.alert_id, told.channel, 'recovered', alert.severity
FROM shop.alerts AS alert
INNER JOIN shop.alert_deliveries AS told ON told.alert_id = alert.alert_id AND told.state = 'sent'
INNER JOIN shop.alert_channels AS channel ON channel.channel = told.channel
WHERE
    alert.resolved_at > statement_timestamp() - interval '1 day' AND alert.resolution <> 'event'
    AND NOT EXISTS (
        SELECT FROM shop.alert_deliveries AS known
        WHERE known.alert_id = told.alert_id AND known.channel = told.channel AND known.occasion = 'recovered'
    );

-- name: is_due
-- Whether there is something to send now.
SELECT EXISTS (
    SELECT FROM shop.alert_deliveries AS delivery
    INNER JOIN shop.alert_channels AS channel USING (channel)
    WHERE delivery.state = 'due' AND delivery.due_at <= statement_timestamp()
        AND channel.retry_at <= statement_timestamp()
);

-- name: claim
-- One message a channel, for %(lease_seconds)s: what its sender does not finish within that time is due again. The one
-- that was tried least, so that a message that a receiver refuses does not keep the others back.
WITH mine AS (
    SELECT delivery.delivery_id
    FROM shop.alert_channels AS channel
    CROSS JOIN LATERAL (
        SELECT due.delivery_id FROM shop.alert_deliveries AS due
        WHERE due.channel = channel.channel AND due.state = 'due' AND due.due_at <= statement_timestamp()
        ORDER BY due.attempts, due.delivery_id
        LIMIT 1
        FOR UPDATE SKIP LOCKED
    ) AS delivery
    WHERE channel.channel = ANY(%(channels)s) AND channel.retry_at <= statement_timestamp()
),
claimed AS (
    UPDATE shop.alert_deliveries AS delivery SET
        attempts = delivery.attempts + 1,
        due_at = clock_timestamp() + make_interval(secs => %(lease_seconds)s)
    FROM mine
    WHERE delivery.delivery_id = mine.delivery_id
    RETURNING delivery.*
)
SELECT
    claimed.delivery_id,
    claimed.channel,
    claimed.occasion,
    alert.alert_id,
    alert.key,
    alert.severity,
    alert.source,
    alert.title,
    alert.detail,
    alert.run_id,
    alert.url,
    alert.owner,
    alert.runbook_url,
    alert.occurrences,
    alert.raised_at,
    alert.last_raised_at,
    alert.resolved_at,
    alert.resolution,
    (
        SELECT count(*) FROM shop.alerts AS earlier
        WHERE earlier.key = alert.key AND earlier.alert_id < alert.alert_id
            AND earlier.raised_at > alert.raised_at - interval '1 day'
    ) AS earlier
FROM claimed
INNER JOIN shop.alerts AS alert USING (alert_id)
ORDER BY claimed.delivery_id;

-- name: sent
WITH delivered AS (
    UPDATE shop.alert_deliveries SET state = 'sent', sent_at = clock_timestamp(), last_error = NULL
    WHERE delivery_id = %(delivery_id)s
    RETURNING channel
)
UPDATE shop.alert_channels AS channel
SET failures = 0, retry_at = clock_timestamp(), last_error = NULL, last_sent_at = clock_timestamp()
FROM delivered
WHERE channel.channel = delivered.channel;

-- name: failed
-- The message is tried again until its attempts are used up; its channel is left alone for longer each time.
WITH refused AS (
    UPDATE shop.alert_deliveries SET
        state = CASE WHEN attempts >= %(attempts)s THEN 'failed' ELSE 'due' END,
        due_at = clock_timestamp(),
        last_error = %(error)s
    WHERE delivery_id = %(delivery_id)s AND state = 'due'
    RETURNING channel
)
UPDATE shop.alert_channels AS channel SET
    failures = channel.failures + 1,
    retry_at = clock_timestamp() + make_interval(
        secs => least(%(first_pause_seconds)s * 2.0 ^ least(channel.failures, 30), %(longest_pause_seconds)s)
    ),
    last_error = %(error)s
FROM refused
WHERE channel.channel = refused.channel
RETURNING channel.failures;

-- name: worked
-- A channel got a message through by another way than the outbox: what waits is due at once.
UPDATE shop.alert_channels
SET failures = 0, retry_at = clock_timestamp(), last_error = NULL, last_sent_at = clock_timestamp()
WHERE channel = %(channel)s;

-- name: channels
SELECT channel FROM shop.alert_channels ORDER BY channel;

-- name: add_channel
INSERT INTO shop.alert_channels (channel, min_severity) VALUES (%(channel)s, %(min_severity)s)
ON CONFLICT (channel) DO UPDATE SET min_severity = excluded.min_severity
WHERE alert_channels.min_severity <> excluded.min_severity;

-- name: remove_channel
-- With what was still to be sent through it.
WITH removed AS (
    DELETE FROM shop.alert_channels WHERE channel = %(channel)s RETURNING channel
)
UPDATE shop.alert_deliveries AS delivery
SET state = 'failed', last_error = 'the Airflow connection is gone'
FROM removed
WHERE delivery.channel = removed.channel AND delivery.state = 'due';
