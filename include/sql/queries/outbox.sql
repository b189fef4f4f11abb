-- name: lock_plan
-- Only one process plans at a time, and it sees what the previous one has planned.
SELECT pg_advisory_xact_lock(hashtext('shop.alert_deliveries'));

-- name: find_causes
-- Find the alerts that have not been sent yet and that follow from another alert or from planned downtime, and store
-- their cause. The cause is open, or has ended within the last %(debounce_seconds)s seconds. A resolved alert keeps the
-- cause that it had.
WITH rules AS (
    SELECT * FROM unnest(
        %(causes)s::text[], %(consequences)s::text[], %(rules)s::integer[], %(least)s::text[]
    ) AS rule (cause, consequence, number, least)
),

planned AS (
    SELECT times.*, silenced.pattern, silenced.until_caught_up
    FROM unnest(
        %(kinds)s::text[], %(silenced)s::text[], %(until_caught_up)s::boolean[]
    ) AS silenced (kind, pattern, until_caught_up)
    INNER JOIN shop.planned_times AS times ON times.kind = silenced.kind
),

not_notified AS (
    SELECT
        alert.*,
        -- The last moment at which the alert was open.
        coalesce(alert.resolved_at, statement_timestamp()) AS seen_at
    FROM shop.alerts AS alert
    WHERE
        (alert.resolved_at IS NULL OR (alert.raised_at > statement_timestamp() - interval '1 day' AND alert.caused_by IS NULL))
        AND alert.key NOT LIKE 'channel: %%'
        AND NOT EXISTS (
            SELECT FROM shop.alert_deliveries AS notified WHERE notified.alert_id = alert.alert_id AND notified.occasion = 'raised'
        )
),

found AS (
    SELECT not_notified.alert_id, coalesce(
        (
            SELECT format('planned: %%s, by %%s', planned.reason, planned.planned_by)
            FROM planned
            WHERE
                not_notified.key LIKE planned.pattern
                AND planned.began_at <= not_notified.seen_at
                AND CASE WHEN planned.until_caught_up THEN planned.quiet_until ELSE planned.ready_at END
                > CASE WHEN not_notified.resolved_at IS NULL THEN not_notified.seen_at ELSE not_notified.raised_at END
            ORDER BY planned.began_at DESC
            LIMIT 1
        ),
        (
            SELECT cause.key
            FROM rules
            INNER JOIN shop.alerts AS cause ON cause.key LIKE rules.cause
            WHERE
                not_notified.key LIKE rules.consequence
                AND cause.key <> not_notified.key
                AND shop.severity_rank(cause.severity)
                >= greatest(shop.severity_rank(not_notified.severity), shop.severity_rank(rules.least))
                -- An alert that ends immediately, such as a failed try, may be raised before its cause is.
                AND cause.raised_at <= not_notified.seen_at + interval '3 minutes'
                AND (
                    cause.resolved_at IS NULL
                    OR cause.resolved_at
                    > CASE WHEN not_notified.resolved_at IS NULL THEN not_notified.seen_at ELSE not_notified.raised_at END
                    - make_interval(secs => %(debounce_seconds)s)
                )
                AND NOT EXISTS (
                    SELECT FROM rules AS own WHERE own.number = rules.number AND cause.key LIKE own.consequence
                )
            ORDER BY shop.severity_rank(cause.severity) DESC, cause.raised_at
            LIMIT 1
        )
    ) AS caused_by
    FROM not_notified
)

UPDATE shop.alerts AS alert SET caused_by = found.caused_by
FROM found
WHERE alert.alert_id = found.alert_id AND alert.caused_by IS DISTINCT FROM found.caused_by;

-- name: plan_raised
-- Plan a message to each channel that has not been notified of an alert, or of its increased severity. This covers the
-- open alerts, and the newest of each key among the alerts that were raised and resolved within a day. A channel that
-- was added later is notified of open alerts only. A channel is never notified of its own failure, nor of the same key
-- more than %(notified)s times within %(flapping_seconds)s seconds. Consequences of another alert are not sent, and some
-- alerts wait for a while first, because an alert that is their cause may follow.
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
    AND alert.caused_by IS NULL
    AND NOT EXISTS (
        SELECT FROM unnest(%(waiting)s::text[], %(waiting_seconds)s::float8[]) AS wait (pattern, seconds)
        WHERE alert.key LIKE wait.pattern AND alert.raised_at > statement_timestamp() - make_interval(secs => wait.seconds)
    )
    AND NOT EXISTS (
        SELECT FROM shop.alert_deliveries AS notified
        WHERE notified.alert_id = alert.alert_id AND notified.channel = channel.channel AND notified.occasion = 'raised'
            AND shop.severity_rank(notified.severity) >= shop.severity_rank(alert.severity)
    )
    AND (
        SELECT count(*)
        FROM shop.alerts AS same
        INNER JOIN shop.alert_deliveries AS notified USING (alert_id)
        WHERE same.key = alert.key AND notified.channel = channel.channel AND notified.occasion = 'raised'
            AND notified.planned_at > statement_timestamp() - make_interval(secs => %(flapping_seconds)s)
            AND shop.severity_rank(notified.severity) >= shop.severity_rank(alert.severity)
    ) < %(notified)s
ORDER BY alert.alert_id;

-- name: plan_reminders
-- Plan a reminder of each open critical alert that nobody has acknowledged, %(reminder_seconds)s seconds after the last
-- message about it.
INSERT INTO shop.alert_deliveries (alert_id, channel, occasion, severity)
SELECT alert.alert_id, channel.channel, 'reminder', alert.severity
FROM shop.alerts AS alert
CROSS JOIN shop.alert_channels AS channel
CROSS JOIN LATERAL (
    SELECT
        bool_or(notified.state = 'due') AS is_due,
        max(coalesce(notified.sent_at, notified.planned_at)) AS last_at
    FROM shop.alert_deliveries AS notified
    WHERE notified.alert_id = alert.alert_id AND notified.channel = channel.channel
) AS notified
WHERE
    alert.resolved_at IS NULL AND alert.severity = 'critical' AND alert.acknowledged_at IS NULL
    AND NOT notified.is_due
    AND notified.last_at < statement_timestamp() - make_interval(secs => %(reminder_seconds)s);

-- name: plan_recovered
-- Notify each channel of the end of an alert if it was notified of the beginning. Events have no end.
INSERT INTO shop.alert_deliveries (alert_id, channel, occasion, severity)
SELECT DISTINCT notified.alert_id, notified.channel, 'recovered', alert.severity
FROM shop.alerts AS alert
INNER JOIN shop.alert_deliveries AS notified ON notified.alert_id = alert.alert_id AND notified.state = 'sent'
INNER JOIN shop.alert_channels AS channel ON channel.channel = notified.channel
WHERE
    alert.resolved_at > statement_timestamp() - interval '1 day' AND alert.resolution <> 'event'
    AND NOT EXISTS (
        SELECT FROM shop.alert_deliveries AS known
        WHERE known.alert_id = notified.alert_id AND known.channel = notified.channel AND known.occasion = 'recovered'
    );

-- name: plan_again
-- Make deliveries that used up their attempts due again after %(again_seconds)s seconds, if their alerts are still
-- open. Failed reminders are not repeated, since the next reminder follows anyway.
UPDATE shop.alert_deliveries AS delivery SET state = 'due', attempts = 0, due_at = statement_timestamp()
FROM shop.alerts AS alert, shop.alert_channels AS channel
WHERE
    delivery.state = 'failed' AND delivery.occasion = 'raised'
    AND delivery.due_at < statement_timestamp() - make_interval(secs => %(again_seconds)s)
    AND alert.alert_id = delivery.alert_id AND alert.resolved_at IS NULL
    AND channel.channel = delivery.channel;

-- name: is_due
-- Whether there is something to send now.
SELECT EXISTS (
    SELECT FROM shop.alert_deliveries AS delivery
    INNER JOIN shop.alert_channels AS channel USING (channel)
    WHERE delivery.state = 'due' AND delivery.due_at <= statement_timestamp()
        AND channel.retry_at <= statement_timestamp()
);

-- name: claim
-- Claim one message per channel for %(lease_seconds)s seconds; a message that its sender does not finish within that
-- time is due again. Choose the message with the fewest attempts, so that one that a receiver refuses does not block
-- the others.
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
-- The message is retried until its attempts are used up. Its channel pauses for longer after each failure.
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
-- The channel sent a message without the outbox, so its waiting messages are due immediately.
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
-- Also mark the messages that were still due through this channel as failed.
WITH removed AS (
    DELETE FROM shop.alert_channels WHERE channel = %(channel)s RETURNING channel
)
UPDATE shop.alert_deliveries AS delivery
SET state = 'failed', last_error = 'the Airflow connection is gone'
FROM removed
WHERE delivery.channel = removed.channel AND delivery.state = 'due';

-- name: record_past
-- Record an alert that is over and could not be recorded while it lasted.
INSERT INTO shop.alerts (
    key, severity, source, title, detail, run_id, url, owner, runbook_url, raised_at, last_raised_at, resolved_at,
    resolution
)
VALUES (
    %(key)s, %(severity)s, %(source)s, %(title)s, %(detail)s, %(run_id)s, %(url)s, %(owner)s, %(runbook_url)s,
    %(began_at)s, %(began_at)s, %(ended_at)s, 'event'
)
RETURNING alert_id;

-- name: record_notified
-- Record the messages that were sent without the outbox, so that the outbox does not send them again.
INSERT INTO shop.alert_deliveries (alert_id, channel, occasion, severity, state, attempts, sent_at)
SELECT alert.alert_id, notified.channel, 'raised', alert.severity, 'sent', 1, clock_timestamp()
FROM shop.alerts AS alert
CROSS JOIN unnest(%(channels)s::text[]) AS notified (channel)
WHERE alert.alert_id = %(alert_id)s;
