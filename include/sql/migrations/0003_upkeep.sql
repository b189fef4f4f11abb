-- What keeps the database in shape: which materialized views were made from which file, and which events were retired.

CREATE TABLE public.schema_views (
    name text PRIMARY KEY,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

COMMENT ON TABLE public.schema_views IS
    'The materialized views that were made from include/sql/views, with the SHA-256 of their files.';

CREATE TABLE shop.retired_partitions (
    retired_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    partition_name text NOT NULL,
    day date,
    events bigint NOT NULL,
    ingested_before timestamptz NOT NULL,
    retired_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

COMMENT ON TABLE shop.retired_partitions IS
    'Events that retention removed, so that totals add up: accepted = events + retired. A backfilled day can be retired again.';
COMMENT ON COLUMN shop.retired_partitions.day IS 'The UTC day inside event_id; NULL for events from before the first daily partition.';
COMMENT ON COLUMN shop.retired_partitions.ingested_before IS
    'Only events loaded before this were removed: every file settled later is still complete.';

-- Serves "what was loaded since": the suites' windows, the events of a batch, and the retention of backfilled events.
-- Rows are appended in the order of both columns, so BRIN costs next to nothing.
CREATE INDEX events_ingested ON shop.events USING brin (ingested_at, batch_id) WITH (autosummarize = on);

COMMENT ON COLUMN shop.quality_results.duration_ms IS
    'Milliseconds of the whole run of the suite: its checks share queries, so none has a time of its own.';

GRANT SELECT ON shop.retired_partitions TO shop_ops, shop_quality, shop_analyst;
