-- name: raise
-- Opens the alert, or counts one more occurrence of the open one, which then says what was found last. It may get worse,
-- and then it is not acknowledged any more; it never gets milder while it is open.
INSERT INTO shop.alerts AS open (key, severity, source, title, detail, run_id, url, owner, runbook_url)
VALUES (
    %(key)s, %(severity)s, %(source)s, %(title)s, %(detail)s, %(run_id)s, %(url)s, %(owner)s, %(runbook_url)s
)
ON CONFLICT (key) WHERE resolved_at IS NULL DO UPDATE SET
    severity = CASE
        WHEN shop.severity_rank(excluded.severity) > shop.severity_rank(open.severity) THEN excluded.severity
        ELSE open.severity
    END,
    acknowledged_at = CASE
        WHEN shop.severity_rank(excluded.severity) <= shop.severity_rank(open.severity) THEN open.acknowledged_at
    END,
    acknowledged_by = CASE
        WHEN shop.severity_rank(excluded.severity) <= shop.severity_rank(open.severity) THEN open.acknowledged_by
    END,
    source = excluded.source,
    title = excluded.title,
    detail = excluded.detail,
    run_id = excluded.run_id,
    url = excluded.url,
    owner = excluded.owner,
    runbook_url = excluded.runbook_url,
    occurrences = open.occurrences + 1,
    last_raised_at = clock_timestamp()
RETURNING alert_id;

-- name: has_reported
-- For the failure of a whole run: whether one of its tasks, whose source is "dag.task", has an alert as severe that says
-- more than the run could; or one that is open and was raised within the hour, and may since tell of another run. A try
-- that was followed by another is an event, and says nothing of the run.
SELECT EXISTS (
    SELECT FROM shop.alerts
    WHERE starts_with(source, %(source)s || '.')
        AND (
            run_id = %(run_id)s
            OR (resolved_at IS NULL AND last_raised_at > statement_timestamp() - interval '1 hour')
        )
        AND resolution IS DISTINCT FROM 'event'
        AND shop.severity_rank(severity) >= shop.severity_rank(%(severity)s)
)
-- Or it said that others tell: a check that failed is told of once, by whichever DAG saw it first.
OR EXISTS (
    SELECT FROM shop.told_failures
    WHERE starts_with(source, %(source)s || '.') AND run_id = %(run_id)s
);

-- name: has_told
-- For a task that failed: whether an alert tells of it, its own since %(since)s or that its run failed; or it said that
-- others do.
SELECT
    EXISTS (
        SELECT FROM shop.alerts
        WHERE (source = %(source)s AND last_raised_at >= %(since)s) OR (key = %(run_key)s AND run_id = %(run_id)s)
    )
    OR EXISTS (
        SELECT FROM shop.told_failures
        WHERE source = %(source)s AND run_id = %(run_id)s AND told_at >= %(since)s
    );

-- name: forget_told
DELETE FROM shop.told_failures WHERE told_at < statement_timestamp() - interval '1 day';

-- name: tell_elsewhere
INSERT INTO shop.told_failures (source, run_id) VALUES (%(source)s, %(run_id)s)
ON CONFLICT (source, run_id) DO UPDATE SET told_at = clock_timestamp();

-- name: note
-- Something that does not last. Nothing is added while the same is less than %(quiet_seconds)s old.
INSERT INTO shop.alerts (
    key, severity, source, title, detail, run_id, url, owner, runbook_url, raised_at, last_raised_at, resolved_at,
    resolution
)
SELECT
    %(key)s, %(severity)s, %(source)s, %(title)s, %(detail)s, %(run_id)s, %(url)s, %(owner)s, %(runbook_url)s,
    statement_timestamp(), statement_timestamp(), statement_timestamp(), 'event'
WHERE NOT EXISTS (
    SELECT FROM shop.alerts
    WHERE key = %(key)s AND raised_at > clock_timestamp() - make_interval(secs => %(quiet_seconds)s)
);

-- name: resolve
UPDATE shop.alerts SET resolved_at = clock_timestamp(), resolution = %(resolution)s
WHERE key = ANY(%(keys)s) AND resolved_at IS NULL
RETURNING key;

-- name: resolve_others
-- What a judgement no longer finds: the open alerts below a prefix, without those that it still finds.
UPDATE shop.alerts SET resolved_at = clock_timestamp(), resolution = 'recovered'
WHERE resolved_at IS NULL AND starts_with(key, %(prefix)s) AND NOT key = ANY(%(keys)s);

-- name: resolve_earlier
-- The success of a later run ends what was said of an earlier one, not what was said of this one meanwhile.
UPDATE shop.alerts SET resolved_at = clock_timestamp(), resolution = 'recovered'
WHERE resolved_at IS NULL AND key = %(key)s AND run_id IS DISTINCT FROM %(run_id)s
RETURNING key;
