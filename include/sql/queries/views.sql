-- name: lock
-- Held to the end of the transaction: of two processes that apply views, the second one then finds nothing to do.
SELECT pg_advisory_xact_lock(%(key)s);

-- name: applied
-- The views that were created from a file, and whether all three relations of each still exist.
SELECT
    made.name,
    made.checksum,
    EXISTS (
        SELECT FROM pg_catalog.pg_class AS relation
        WHERE relation.relname = made.name AND relation.relkind = 'r' AND relation.relnamespace = 'shop'::regnamespace
    )
    AND to_regclass('shop_next.' || made.name) IS NOT NULL
    AND to_regclass('shop_next.' || made.name || '_query') IS NOT NULL AS exists
FROM public.schema_views AS made;

-- name: drop
-- Without CASCADE: objects that others built on these views are theirs, and PostgreSQL names them when it refuses.
DROP VIEW IF EXISTS {queries};
DROP TABLE IF EXISTS {published}, {candidates};

-- name: before
-- Read before the rows, so that the rows contain at least this change.
SELECT
    clock_timestamp(),
    (SELECT coalesce(max(change_id), 0) FROM shop.changed_days WHERE source = ANY(%(sources)s)) AS change_id;

-- name: make
-- Each refresh rebuilds the candidate, so it need not survive a crash and is unlogged.
CREATE VIEW {query} AS
{select};
CREATE UNLOGGED TABLE {candidate} AS TABLE {query};
CREATE TABLE {published} AS TABLE {candidate};
GRANT SELECT ON {query} TO shop_ops;
GRANT SELECT, INSERT, UPDATE, DELETE ON {published} TO shop_ops;
GRANT SELECT, INSERT, DELETE, TRUNCATE, MAINTAIN ON {candidate} TO shop_ops;
GRANT SELECT ON {candidate} TO shop_quality;
{attributes}

-- name: index_candidate
CREATE INDEX ON {candidate} ({changes_by});

-- name: record_made
-- A view is created with its rows, so it is as fresh as after a refresh.
INSERT INTO shop.refreshes (view_name, started_at, row_count, last_batch_id, change_id, published_at)
VALUES (
    %(view_name)s, %(started_at)s, (SELECT count(*) FROM {published}), (SELECT batch_id FROM shop.facts_progress),
    %(change_id)s, clock_timestamp()
);

-- name: dependencies
-- The relations that the queries of the views read, by view, from the catalog.
SELECT DISTINCT wanted.name AS view_name, source.relname AS source_name
FROM pg_catalog.pg_rewrite AS rule
INNER JOIN pg_catalog.pg_class AS view
    ON view.oid = rule.ev_class AND view.relnamespace = 'shop_next'::regnamespace
INNER JOIN unnest(%(names)s::text[]) AS wanted (name) ON view.relname = wanted.name || '_query'
INNER JOIN pg_catalog.pg_depend AS dependency
    ON dependency.classid = 'pg_rewrite'::regclass AND dependency.objid = rule.oid
    AND dependency.refclassid = 'pg_class'::regclass AND dependency.refobjid <> view.oid
INNER JOIN pg_catalog.pg_class AS source ON source.oid = dependency.refobjid;

-- name: record
INSERT INTO public.schema_views (name, checksum) VALUES (%(name)s, %(checksum)s)
ON CONFLICT (name) DO UPDATE SET checksum = excluded.checksum, applied_at = clock_timestamp();

-- name: forget
DELETE FROM public.schema_views WHERE name = ANY (%(names)s);
