-- Expressions about the feed for use in the custom SQL of suites. They must not contain comments.
--
-- rests: the times in which no delivery is expected, which are planned downtime until the stream has caught up, the
-- start of the stream, and quiet days by ISO number. It covers 60 days, since older times are further back than any
-- cadence.

-- name: rests
(
    SELECT coalesce(range_agg(rest), tstzmultirange())
    FROM (
        SELECT tstzrange(began_at, quiet_until) AS rest FROM shop.planned_times WHERE quiet_until > now() - interval '60 days'
        UNION ALL
        SELECT tstzrange(requested_at, requested_at + interval '15 minutes') FROM shop.stream_control
        UNION ALL
        SELECT tstzrange(day AT TIME ZONE 'UTC', (day + interval '1 day') AT TIME ZONE 'UTC')
        FROM generate_series(
            date_trunc('day', now() AT TIME ZONE 'UTC') - interval '60 days', now() AT TIME ZONE 'UTC', interval '1 day'
        ) AS day
        WHERE extract(isodow FROM day) = ANY({quiet_days})
    ) AS resting
);
