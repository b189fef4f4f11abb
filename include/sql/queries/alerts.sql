-- name: raise
INSERT INTO shop.alerts AS open (key, severity, source, title, detail, run_id, url, owner, runbook_url)
VALUES (%(key)s, %(severity)s, %(source)s, %(title)s, %(detail)s, %(run_id)s, %(url)s, %(owner)s, %(runbook_url)s)
ON CONFLICT (key) WHERE resolved_at IS NULL DO UPDATE
SET occurrences = open.occurrences + 1, last_raised_at = clock_timestamp(), detail = excluded.detail
RETURNING alert_id;

-- name: resolve
UPDATE shop.alerts SET resolved_at = clock_timestamp(), resolution = %(resolution)s
WHERE key = %(key)s AND resolved_at IS NULL;

-- name: insert
-- Nothing is added while the same alert is less than %(quiet_seconds)s old: for findings that every run finds again.
INSERT INTO shop.alerts (key, severity, source, title, detail, run_id, url, resolved_at, resolution)
SELECT
    %(source)s || ': ' || %(title)s, %(severity)s, %(source)s, %(title)s, %(detail)s, %(run_id)s, %(url)s,
    clock_timestamp(), 'event'
WHERE NOT EXISTS (
    SELECT FROM shop.alerts
    WHERE alerts.raised_at > clock_timestamp() - make_interval(secs => %(quiet_seconds)s)
        AND (alerts.source, alerts.title) = (%(source)s, %(title)s)
);

-- name: insert_unless_reported
-- For the failure of a whole run: nothing to add when one of its tasks, whose source is "dag.task", has raised an alert;
-- or while one as severe from any run of the DAG, whose own may have been kept back, is less than %(quiet_seconds)s old.
INSERT INTO shop.alerts (key, severity, source, title, detail, run_id, url, resolved_at, resolution)
SELECT
    %(source)s || ': ' || %(title)s, %(severity)s, %(source)s, %(title)s, %(detail)s, %(run_id)s, %(url)s,
    clock_timestamp(), 'event'
WHERE NOT EXISTS (
    SELECT FROM shop.alerts
    WHERE (alerts.run_id = %(run_id)s AND starts_with(alerts.source, %(source)s || '.'))
        OR (
            alerts.raised_at > clock_timestamp() - make_interval(secs => %(quiet_seconds)s)
            AND (alerts.source = %(source)s OR starts_with(alerts.source, %(source)s || '.'))
            AND alerts.severity = %(severity)s
        )
);
