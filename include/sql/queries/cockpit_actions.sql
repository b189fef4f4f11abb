-- name: hold_desired_state
-- The desired state, locked against concurrent changes. Before the first change there is no row, which means 'run', and
-- no lock.
SELECT desired_state, requested_at, requested_by FROM shop.stream_control WHERE query = %(query)s FOR UPDATE;

-- name: has_driver
SELECT EXISTS (
    SELECT FROM (SELECT * FROM shop.runs WHERE query = %(query)s ORDER BY epoch DESC LIMIT 1) AS newest
    WHERE ended_at IS NULL AND heartbeat_at > statement_timestamp() - make_interval(secs => %(alive_seconds)s)
) AS has_driver;

-- name: desired_state
INSERT INTO shop.stream_control (query, desired_state, requested_by) VALUES (%(query)s, %(desired_state)s, %(actor)s)
ON CONFLICT (query) DO UPDATE
SET desired_state = excluded.desired_state, requested_at = clock_timestamp(), requested_by = excluded.requested_by;

-- name: hold_alert
SELECT alert_id, resolved_at, resolution, acknowledged_by, note FROM shop.alerts WHERE alert_id = %(alert_id)s FOR UPDATE;

-- name: acknowledge_alert
UPDATE shop.alerts
SET acknowledged_at = coalesce(acknowledged_at, clock_timestamp()), acknowledged_by = %(actor)s, note = %(reason)s
WHERE alert_id = %(alert_id)s;

-- name: resolve_alert
UPDATE shop.alerts SET resolved_at = clock_timestamp(), resolution = %(resolution)s WHERE alert_id = %(alert_id)s;

-- name: hold_miss
SELECT miss_id, acknowledged_by, note FROM shop.objective_misses WHERE miss_id = %(miss_id)s FOR UPDATE;

-- name: acknowledge_miss
UPDATE shop.objective_misses
SET acknowledged_at = coalesce(acknowledged_at, clock_timestamp()), acknowledged_by = %(actor)s, note = %(reason)s
WHERE miss_id = %(miss_id)s;

-- name: file_state
SELECT name, state, read FROM shop.files WHERE file_id = %(file_id)s;

-- name: record
INSERT INTO shop.actions (actor, action, subject, reason) VALUES (%(actor)s, %(action)s, %(subject)s, %(reason)s);
