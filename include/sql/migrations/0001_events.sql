-- Events and everything that is written in the same transaction with them: ledger, per-file balance, rejects, rollups.

CREATE SCHEMA shop;

COMMENT ON SCHEMA shop IS 'Shopstream: events, their ledger, live rollups and materialized views.';

-- The ledger ----------------------------------------------------------------------------------------------------------

CREATE TABLE shop.writer (
    query text PRIMARY KEY,
    epoch bigint NOT NULL
);

COMMENT ON TABLE shop.writer IS
    'The current writer epoch of each streaming query. A batch transaction locks this row and commits only when it holds the epoch.';

CREATE TABLE shop.runs (
    epoch bigint PRIMARY KEY,
    query text NOT NULL,
    mode text NOT NULL CHECK (mode IN ('continuous', 'drain')),
    host text NOT NULL,
    pid integer NOT NULL,
    ui_url text,
    log_path text,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    heartbeat_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    backlog_files bigint NOT NULL DEFAULT 0,
    backlog_bytes bigint NOT NULL DEFAULT 0,
    ended_at timestamptz,
    error text
);

COMMENT ON TABLE shop.runs IS 'One row per start of the stream driver; its epoch is the fence against every earlier driver.';
COMMENT ON COLUMN shop.runs.heartbeat_at IS 'Last time that the micro-batch loop asked for new files: a hung loop stops it.';
COMMENT ON COLUMN shop.runs.error IS 'Why the driver ended, when it did not end by itself.';

CREATE SEQUENCE shop.epochs OWNED BY shop.runs.epoch;

CREATE TABLE shop.batches (
    batch_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    query text NOT NULL,
    epoch bigint NOT NULL,
    spark_batch_id bigint NOT NULL,
    files integer NOT NULL,
    read bigint NOT NULL,
    accepted bigint NOT NULL,
    duplicate bigint NOT NULL,
    rejected bigint NOT NULL,
    warnings jsonb NOT NULL DEFAULT '{}',
    min_event_time timestamptz,
    max_event_time timestamptz,
    oldest_arrival timestamptz,
    started_at timestamptz NOT NULL,
    committed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    lag_seconds double precision,
    durations_ms jsonb NOT NULL DEFAULT '{}',
    CHECK (read = accepted + duplicate + rejected),
    -- Serves the durations that Spark reports later; and no batch of a run is written twice.
    UNIQUE (epoch, spark_batch_id)
);

COMMENT ON TABLE shop.batches IS 'The ledger: one row per committed micro-batch, written in the transaction of its data.';
COMMENT ON COLUMN shop.batches.spark_batch_id IS
    'Spark''s number of the batch. Each run has a checkpoint of its own, so it counts from 0 in each epoch.';
COMMENT ON COLUMN shop.batches.lag_seconds IS 'Commit time minus the arrival of the oldest file of the batch.';

-- Serves "the last minutes" in status, logs and dashboards.
CREATE INDEX batches_committed_at ON shop.batches USING brin (committed_at);

CREATE TABLE shop.files (
    file_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    state text NOT NULL DEFAULT 'admitted' CHECK (state IN ('admitted', 'loaded', 'quarantined')),
    size_bytes bigint NOT NULL,
    unpacked_bytes bigint,
    arrived_at timestamptz NOT NULL,
    admitted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    settled_at timestamptz,
    batch_id bigint REFERENCES shop.batches,
    read bigint NOT NULL DEFAULT 0,
    accepted bigint NOT NULL DEFAULT 0,
    duplicate bigint NOT NULL DEFAULT 0,
    rejected bigint NOT NULL DEFAULT 0,
    extra_columns text[] NOT NULL DEFAULT '{}',
    fault text,
    fault_detail text,
    CHECK (read = accepted + duplicate + rejected),
    CHECK ((state = 'quarantined') = (fault IS NOT NULL)),
    CHECK ((state = 'admitted') = (settled_at IS NULL))
);

COMMENT ON TABLE shop.files IS
    'Every file that was admitted, in order of admission, with the balance of its rows. file_id is the offset of the stream.';
COMMENT ON COLUMN shop.files.name IS 'Its name in the landing folder.';
COMMENT ON COLUMN shop.files.arrived_at IS
    'When the rename into the landing folder made it visible (its inode change time, which no tool can set).';
COMMENT ON COLUMN shop.files.unpacked_bytes IS
    'What a gzip file says of its size unpacked; NULL for others. It bounds the memory that a micro-batch needs.';
COMMENT ON COLUMN shop.files.extra_columns IS 'Columns that the contract does not know; kept in the archived file, not loaded.';

-- Serves the admission, the backlog and the replay guard: only files still waiting are in it, so it stays small.
CREATE INDEX files_admitted ON shop.files (file_id) WHERE state = 'admitted';
-- Serves reconcile, which looks files up by name.
CREATE INDEX files_name ON shop.files (name);
-- Serves the balance of one batch.
CREATE INDEX files_batch ON shop.files (batch_id);

-- Events --------------------------------------------------------------------------------------------------------------

-- Partitioned by the day inside event_id. PostgreSQL enforces a unique key over partitions only when it contains the
-- partition key; a UUIDv7 begins with its time, so ranges of ids are days, and the primary key rules out a second event
-- of the same id in whichever file, batch or day it comes.
CREATE TABLE shop.events (
    event_id uuid PRIMARY KEY,
    event_type text NOT NULL,
    event_time timestamptz NOT NULL,
    user_id text NOT NULL,
    customer_segment text NOT NULL,
    session_id text NOT NULL,
    order_id text,
    product_id text NOT NULL,
    product_name text NOT NULL,
    category text NOT NULL,
    brand text NOT NULL,
    unit_price numeric(12, 2) NOT NULL CHECK (unit_price > 0),
    quantity integer CHECK (quantity BETWEEN 1 AND 1000),
    currency text NOT NULL,
    payment_method text,
    channel text NOT NULL,
    device text NOT NULL,
    country text NOT NULL,
    city text,
    batch_id bigint NOT NULL,
    file_id bigint NOT NULL,
    ingested_at timestamptz NOT NULL DEFAULT clock_timestamp()
) PARTITION BY RANGE (event_id);

COMMENT ON TABLE shop.events IS 'Accepted events, each exactly once. Partitioned by the UTC day inside event_id.';

-- Serves ranges of event_time inside a partition; rows arrive nearly in that order, so BRIN costs next to nothing.
CREATE INDEX events_event_time ON shop.events USING brin (event_time);

CREATE FUNCTION shop.first_event_id(instant timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN rpad(lpad(to_hex(floor(extract(epoch FROM instant) * 1000)::bigint), 12, '0'), 32, '0')::uuid;

COMMENT ON FUNCTION shop.first_event_id IS 'The smallest UUIDv7 of an instant (RFC 9562, section 5.7): bounds of partitions.';

-- Everything before the first daily partition, for backfills of old events.
CREATE TABLE shop.events_before_2026 PARTITION OF shop.events
    FOR VALUES FROM (MINVALUE) TO ('019b76da-a800-0000-0000-000000000000');

CREATE FUNCTION shop.ensure_event_partitions(days date[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    day date;
    partition text;
    made integer := 0;
BEGIN
    -- The stream and the maintenance may want the same day at the same moment.
    PERFORM pg_advisory_xact_lock(hashtext('shop.ensure_event_partitions'));
    FOREACH day IN ARRAY days LOOP
        partition := 'events_' || to_char(day, 'YYYYMMDD');
        CONTINUE WHEN day < DATE '2026-01-01' OR to_regclass('shop.' || partition) IS NOT NULL;
        -- ATTACH takes a weaker lock on shop.events than CREATE TABLE ... PARTITION OF: readers go on.
        EXECUTE format('CREATE TABLE shop.%I (LIKE shop.events INCLUDING ALL)', partition);
        EXECUTE format(
            'ALTER TABLE shop.events ATTACH PARTITION shop.%I FOR VALUES FROM (%L) TO (%L)',
            partition,
            shop.first_event_id(day::timestamp AT TIME ZONE 'UTC'),
            shop.first_event_id((day + 1)::timestamp AT TIME ZONE 'UTC')
        );
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

COMMENT ON FUNCTION shop.ensure_event_partitions IS 'Makes the daily partitions that are missing and returns how many it made.';

-- Rejects -------------------------------------------------------------------------------------------------------------

CREATE TABLE shop.rejects (
    reject_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    batch_id bigint NOT NULL REFERENCES shop.batches,
    file_id bigint NOT NULL REFERENCES shop.files,
    file_name text NOT NULL,
    line bigint NOT NULL,
    raw text NOT NULL,
    reasons text[] NOT NULL CHECK (cardinality(reasons) > 0),
    rejected_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

COMMENT ON TABLE shop.rejects IS 'Rows that broke the contract: where they stood, as they stood, and every reason.';
COMMENT ON COLUMN shop.rejects.raw IS 'The row as it stood in the file; bytes that are not UTF-8 and NUL are written as \xNN.';

-- Serves retention and "the last hour's rejects".
CREATE INDEX rejects_rejected_at ON shop.rejects USING brin (rejected_at);
-- Serves the rejects of one file in reconcile.
CREATE INDEX rejects_file ON shop.rejects (file_id);

-- Live rollups --------------------------------------------------------------------------------------------------------

CREATE TABLE shop.rollup_minute (
    minute timestamptz NOT NULL,
    event_type text NOT NULL,
    category text NOT NULL,
    currency text NOT NULL,
    events bigint NOT NULL,
    quantity bigint NOT NULL,
    amount numeric(18, 2) NOT NULL,
    batch_id bigint NOT NULL,
    PRIMARY KEY (minute, event_type, category, currency)
) WITH (fillfactor = 70);

COMMENT ON TABLE shop.rollup_minute IS
    'Events per minute of event_time, kept by the batch transaction. amount is unit_price times quantity, in the currency.';
COMMENT ON COLUMN shop.rollup_minute.batch_id IS 'The last batch that changed the row.';

-- Roles ---------------------------------------------------------------------------------------------------------------

GRANT USAGE ON SCHEMA shop TO shop_ingest, shop_ops, shop_quality, shop_analyst;

REVOKE ALL ON FUNCTION shop.ensure_event_partitions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION shop.ensure_event_partitions TO shop_ingest;

GRANT SELECT, INSERT ON shop.events, shop.rejects TO shop_ingest;
GRANT SELECT, INSERT, UPDATE ON
    shop.writer, shop.runs, shop.batches, shop.files, shop.rollup_minute TO shop_ingest;
GRANT USAGE ON SEQUENCE shop.epochs TO shop_ingest;

GRANT SELECT ON ALL TABLES IN SCHEMA shop TO shop_ops, shop_quality;

-- Analysts see everything but who the customer is.
GRANT SELECT ON shop.batches, shop.files, shop.runs, shop.rollup_minute TO shop_analyst;
GRANT SELECT (
    event_id, event_type, event_time, customer_segment, session_id, order_id, product_id, product_name, category,
    brand, unit_price, quantity, currency, payment_method, channel, device, country, batch_id, file_id, ingested_at
) ON shop.events TO shop_analyst;
