-- name: begin
INSERT INTO shop.planned_downtime (kind, reason) VALUES ('platform', %(reason)s)
ON CONFLICT (kind) WHERE ended_at IS NULL DO NOTHING;

-- name: end
UPDATE shop.planned_downtime SET ended_at = clock_timestamp() WHERE kind = 'platform' AND ended_at IS NULL;

-- name: announce
INSERT INTO shop.planned_downtime (kind, began_at, ended_at, reason)
SELECT 'platform', began.at, began.at + %(length)s::interval, %(reason)s
FROM (VALUES (coalesce(%(began_at)s::timestamptz, clock_timestamp()))) AS began (at)
RETURNING ended_at;

-- name: withdraw
DELETE FROM shop.planned_downtime WHERE began_at > clock_timestamp();

-- name: cut_short
UPDATE shop.planned_downtime SET ended_at = clock_timestamp() WHERE kind = 'platform' AND ended_at > clock_timestamp();

-- name: catch_up
-- The stream has caught up once every file that arrived until the end of the downtime, and in the minutes after it, is
-- loaded, which is the case when no file has waited for more than a minute.
UPDATE shop.planned_downtime AS planned SET caught_up_at = asked.at
FROM (VALUES (coalesce(%(now)s::timestamptz, clock_timestamp()))) AS asked (at)
WHERE
    planned.caught_up_at IS NULL AND planned.ended_at < asked.at
    AND coalesce(%(waiting_since)s::timestamptz, 'infinity') > asked.at - interval '1 minute'
    AND NOT EXISTS (
        SELECT FROM shop.files WHERE files.state = 'admitted' AND files.arrived_at < asked.at - interval '1 minute'
    );

-- name: times
-- An unknown end is infinity, which Python's datetime cannot represent, so return a year from now instead.
SELECT began_at, least(ready_at, clock_timestamp() + interval '1 year') AS ready_at
FROM shop.planned_times
WHERE kind = 'platform' AND ready_at > clock_timestamp();
