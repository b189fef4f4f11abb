-- name: lock
-- Held to the end of the transaction: of two processes that apply views, the second then finds nothing to do.
SELECT pg_advisory_xact_lock(%(key)s);

-- name: applied
-- The views that were made from a file and are still there.
SELECT made.name, made.checksum, relation.oid IS NOT NULL AS exists
FROM public.schema_views AS made
LEFT JOIN pg_catalog.pg_class AS relation
    ON relation.relname = made.name AND relation.relkind = 'm' AND relation.relnamespace = 'shop'::regnamespace;

-- name: drop
-- Without CASCADE: what others have built on these views is theirs, and PostgreSQL names it in its refusal.
DROP MATERIALIZED VIEW IF EXISTS {views};

-- name: dependencies
-- What the views read, by view, from the catalog.
SELECT DISTINCT view.relname AS view_name, source.relname AS source_name
FROM pg_catalog.pg_rewrite AS rule
INNER JOIN pg_catalog.pg_class AS view ON view.oid = rule.ev_class
INNER JOIN pg_catalog.pg_depend AS dependency
    ON dependency.classid = 'pg_rewrite'::regclass AND dependency.objid = rule.oid
    AND dependency.refclassid = 'pg_class'::regclass AND dependency.refobjid <> view.oid
INNER JOIN pg_catalog.pg_class AS source ON source.oid = dependency.refobjid
WHERE view.relnamespace = 'shop'::regnamespace AND view.relname = ANY (%(names)s);

-- name: record
INSERT INTO public.schema_views (name, checksum) VALUES (%(name)s, %(checksum)s)
ON CONFLICT (name) DO UPDATE SET checksum = excluded.checksum, applied_at = clock_timestamp();

-- name: forget
DELETE FROM public.schema_views WHERE name = ANY (%(names)s);

-- name: before_refresh
-- Read before the refresh takes its snapshot: batches commit one after the other, so it contains at least these.
SELECT
    clock_timestamp() AS started_at,
    (SELECT max(batch_id) FROM shop.batches) AS last_batch_id,
    (SELECT relispopulated FROM pg_catalog.pg_class WHERE oid = to_regclass(%(view)s) AND relkind = 'm') AS is_populated;

-- name: populate
-- The first time; CONCURRENTLY needs something to compare with.
REFRESH MATERIALIZED VIEW {views};

-- name: refresh
-- Readers go on with the rows as they were; only rows that differ are written.
REFRESH MATERIALIZED VIEW CONCURRENTLY {views};

-- name: count
SELECT count(*) FROM {views};

-- name: record_refresh
INSERT INTO shop.refreshes (view_name, started_at, row_count, last_batch_id, error)
VALUES (%(view_name)s, %(started_at)s, %(row_count)s, %(last_batch_id)s, %(error)s);

-- name: stale
-- Views without a recent successful refresh, and those that lack a batch committed more than %(max_age_seconds)s ago.
SELECT
    view_name,
    extract(epoch FROM clock_timestamp() - latest.finished_at)::float8 AS age_seconds,
    missed.batches AS missing_batches
FROM unnest(%(names)s::text[]) WITH ORDINALITY AS wanted (view_name, position)
LEFT JOIN LATERAL (
    SELECT refreshes.finished_at, refreshes.last_batch_id
    FROM shop.refreshes
    WHERE refreshes.view_name = wanted.view_name AND refreshes.error IS NULL
    ORDER BY refreshes.finished_at DESC
    LIMIT 1
) AS latest ON true
CROSS JOIN LATERAL (
    SELECT
        count(*) AS batches,
        min(batches.committed_at) AS oldest
    FROM shop.batches
    WHERE batches.batch_id > coalesce(latest.last_batch_id, 0)
) AS missed
WHERE
    latest.finished_at IS NULL
    OR latest.finished_at < clock_timestamp() - make_interval(secs => %(max_age_seconds)s)
    OR missed.oldest < clock_timestamp() - make_interval(secs => %(max_age_seconds)s)
ORDER BY wanted.position;
