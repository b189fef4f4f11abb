-- name: raise
-- Open the alert, or count one more occurrence of the open one and replace its text with the newest finding. While it
-- is open, the severity can rise, which removes the acknowledgement, but it never falls.
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
-- For the failure of a whole run: whether one of its tasks, whose source is "dag.task", has an alert that is at least
-- as severe and therefore says more than an alert of the run could. An open alert that was raised within the last hour
-- also counts, since by now it may refer to another run. Events do not count: a failed try that was followed by another
-- one says nothing about the run.
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
-- A task also counts if it recorded that other alerts cover its failure: a failed check has one alert, raised by
-- whichever DAG found it first.
OR EXISTS (
    SELECT FROM shop.explained_failures
    WHERE starts_with(source, %(source)s || '.') AND run_id = %(run_id)s
        -- Ignore the watcher: it fails together with any other task, even one that was killed before it could report.
        AND source <> %(source)s || '.watcher'
);

-- name: has_notified
-- Whether the failure of a task is reported: by its own alert since %(since)s, by the alert that its run failed, or by
-- its record that other alerts cover the failure.
SELECT
    EXISTS (
        SELECT FROM shop.alerts
        WHERE (source = %(source)s AND last_raised_at >= %(since)s) OR (key = %(run_key)s AND run_id = %(run_id)s)
    )
    OR EXISTS (
        SELECT FROM shop.explained_failures
        WHERE source = %(source)s AND run_id = %(run_id)s AND recorded_at >= %(since)s
    );

-- name: forget_notified
DELETE FROM shop.explained_failures WHERE recorded_at < statement_timestamp() - interval '1 day';

-- name: leave_to_cause
INSERT INTO shop.explained_failures (source, run_id) VALUES (%(source)s, %(run_id)s)
ON CONFLICT (source, run_id) DO UPDATE SET recorded_at = clock_timestamp();

-- name: note
-- Record an event. Nothing is inserted while an alert with the same key is less than %(quiet_seconds)s seconds old.
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
-- End the open alerts with a prefix that a check no longer finds.
UPDATE shop.alerts SET resolved_at = clock_timestamp(), resolution = 'recovered'
WHERE resolved_at IS NULL AND starts_with(key, %(prefix)s) AND NOT key = ANY(%(keys)s);

-- name: resolve_earlier
-- A successful run ends the alert of an earlier run, but not an alert that was raised meanwhile about this run.
UPDATE shop.alerts SET resolved_at = clock_timestamp(), resolution = 'recovered'
WHERE resolved_at IS NULL AND key = %(key)s AND run_id IS DISTINCT FROM %(run_id)s
RETURNING key;

-- name: open_keys
SELECT key FROM shop.alerts WHERE resolved_at IS NULL AND starts_with(key, %(prefix)s) ORDER BY key;
