-- What the stream needs to know to survive faults: how far it came in a large file, which files it failed with, and
-- what people should be told.

-- Runs ----------------------------------------------------------------------------------------------------------------

ALTER TABLE shop.runs
    ADD COLUMN turned_at timestamptz,
    ADD COLUMN paused text;

COMMENT ON TABLE shop.runs IS
    'One row per start of the streaming query; its epoch is the fence against every earlier one. A driver that recovers from a fault starts its query anew, as the same process.';
COMMENT ON COLUMN shop.runs.heartbeat_at IS 'Last sign of life of the driver process.';
COMMENT ON COLUMN shop.runs.turned_at IS
    'Last time that the micro-batch loop asked for new files; it stops while a batch is being loaded, and when the loop hangs.';
COMMENT ON COLUMN shop.runs.paused IS 'Why no files are taken in at the moment; NULL when they are.';

-- Files ---------------------------------------------------------------------------------------------------------------

ALTER TABLE shop.files
    ADD COLUMN digest text,
    ADD COLUMN parts integer NOT NULL DEFAULT 0,
    ADD COLUMN next_byte bigint NOT NULL DEFAULT 0,
    ADD COLUMN next_line bigint NOT NULL DEFAULT 1,
    ADD COLUMN attempts integer NOT NULL DEFAULT 0,
    ADD COLUMN failures integer NOT NULL DEFAULT 0,
    ADD COLUMN tried_with integer NOT NULL DEFAULT 0,
    ADD COLUMN last_error text;

COMMENT ON COLUMN shop.files.digest IS 'SHA-256 of the file as it was delivered, in hexadecimal digits.';
COMMENT ON COLUMN shop.files.parts IS 'Batches that have loaded a part of the file: more than one for a large file.';
COMMENT ON COLUMN shop.files.next_byte IS 'Where the next part begins, in bytes of the unpacked file; 0 before the first.';
COMMENT ON COLUMN shop.files.next_line IS 'The line on which the next part begins.';
COMMENT ON COLUMN shop.files.attempts IS 'How often a batch with the file was planned since its last part was loaded.';
COMMENT ON COLUMN shop.files.failures IS 'How many of these attempts failed for a reason that may lie in the file.';
COMMENT ON COLUMN shop.files.tried_with IS 'Files in the last batch that was planned with it: a batch that fails is halved.';

COMMENT ON COLUMN shop.files.extra_columns IS 'Columns that the contract does not know; their fields are in events.extra.';

CREATE TABLE shop.file_parts (
    file_id bigint NOT NULL REFERENCES shop.files ON DELETE CASCADE,
    batch_id bigint NOT NULL REFERENCES shop.batches,
    first_line bigint NOT NULL,
    read bigint NOT NULL,
    accepted bigint NOT NULL,
    duplicate bigint NOT NULL,
    rejected bigint NOT NULL,
    PRIMARY KEY (file_id, batch_id),
    CHECK (read = accepted + duplicate + rejected)
);

COMMENT ON TABLE shop.file_parts IS 'The balance of each part of the files that were loaded in more than one.';

-- Serves the balance of one batch.
CREATE INDEX file_parts_batch ON shop.file_parts (batch_id);

-- Events --------------------------------------------------------------------------------------------------------------

ALTER TABLE shop.events ADD COLUMN extra jsonb;

COMMENT ON COLUMN shop.events.extra IS
    'The fields of columns that the contract does not know, as texts by name; NULL when the file has no such columns.';

CREATE TABLE shop.conflicts (
    conflict_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id uuid NOT NULL,
    batch_id bigint NOT NULL REFERENCES shop.batches,
    file_id bigint NOT NULL REFERENCES shop.files,
    line bigint NOT NULL,
    columns text[] NOT NULL CHECK (cardinality(columns) > 0),
    duplicate jsonb NOT NULL,
    found_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

COMMENT ON TABLE shop.conflicts IS
    'Duplicates that say something else than the event that is stored. The first one wins; this one was not stored.';
COMMENT ON COLUMN shop.conflicts.columns IS 'The columns in which the two differ.';
COMMENT ON COLUMN shop.conflicts.duplicate IS 'The duplicate, by column.';

-- Serves retention and "the last hour's conflicts".
CREATE INDEX conflicts_found_at ON shop.conflicts USING brin (found_at);
-- Serves "what was said of this event".
CREATE INDEX conflicts_event ON shop.conflicts (event_id);

-- Roles ---------------------------------------------------------------------------------------------------------------

GRANT SELECT, INSERT ON shop.file_parts, shop.conflicts TO shop_ingest;
-- The stream reports what it meets: files at fault, files that changed after they were read.
GRANT SELECT, INSERT ON shop.alerts TO shop_ingest;

GRANT SELECT ON shop.file_parts, shop.conflicts TO shop_ops, shop_quality;
GRANT SELECT ON shop.file_parts TO shop_analyst;
GRANT SELECT (extra) ON shop.events TO shop_ops, shop_quality;
