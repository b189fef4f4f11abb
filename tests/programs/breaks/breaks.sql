-- name: foreign_files
-- Files that neither the generator nor a break has made: whoever has such has data of his own.
SELECT name FROM shop.files
WHERE name !~ '^(events-[0-9]{8}T[0-9]{9}Z-[0-9]+-[0-9]{6}|break-[a-z-]+-[0-9]+-[0-9]{4})\.csv(\.gz)?$'
ORDER BY file_id
LIMIT 5;

-- name: has_retired
SELECT EXISTS (SELECT FROM shop.retired_partitions) OR EXISTS (SELECT FROM shop.retired_ledger);

-- name: events_before
-- Events that were loaded before the last ten minutes.
SELECT coalesce(sum(accepted), 0) FROM shop.batches WHERE committed_at < clock_timestamp() - interval '10 minutes';

-- name: per_minute
SELECT coalesce(sum(events), 0) / 15.0
FROM shop.rollup_minute
WHERE minute >= clock_timestamp() - interval '17 minutes' AND minute < clock_timestamp() - interval '2 minutes';

-- name: make_stale
-- As if nobody had been able to refresh it for two hours; and nobody is.
UPDATE shop.refreshes
SET started_at = started_at - interval '2 hours', finished_at = finished_at - interval '2 hours'
WHERE view_name = %(view_name)s;
REVOKE INSERT ON {candidate} FROM shop_ops;

-- name: make_fresh
UPDATE shop.refreshes
SET started_at = started_at + interval '2 hours', finished_at = finished_at + interval '2 hours'
WHERE view_name = %(view_name)s AND refresh_id <= %(last_refresh_id)s;
GRANT INSERT ON {candidate} TO shop_ops;

-- name: last_refresh
SELECT max(refresh_id) FROM shop.refreshes WHERE view_name = %(view_name)s;

-- name: last_candidates
-- The newest refresh, and the oldest of the newest candidates of the views: that one moves on when all have been built.
SELECT coalesce(max(newest), 0), coalesce(min(built), 0)
FROM (
    SELECT max(refresh_id) AS newest, max(refresh_id) FILTER (WHERE row_count IS NOT NULL) AS built
    FROM shop.refreshes
    GROUP BY view_name
) AS views;

-- name: loaded
-- The files of a break that brought rows.
SELECT file_id FROM shop.files WHERE name = ANY(%(names)s) AND state <> 'retracted' AND read > 0 ORDER BY file_id DESC;
