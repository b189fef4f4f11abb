-- The ledger has an age too: a file a second makes 31 million rows of files and as many of batches a year.

CREATE TABLE shop.retired_ledger (
    day date NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'UTC')::date,
    table_name text NOT NULL CHECK (table_name IN ('batches', 'files', 'rollup_minute')),
    rows bigint NOT NULL,
    files bigint NOT NULL DEFAULT 0,
    read bigint NOT NULL DEFAULT 0,
    accepted bigint NOT NULL DEFAULT 0,
    duplicate bigint NOT NULL DEFAULT 0,
    rejected bigint NOT NULL DEFAULT 0,
    up_to_batch bigint,
    up_to_minute timestamptz,
    PRIMARY KEY (day, table_name)
);

COMMENT ON TABLE shop.retired_ledger IS
    'What retention removed from the ledger and the rollups, added up by the UTC day of its removal: totals still add up.';
COMMENT ON COLUMN shop.retired_ledger.files IS 'As batches.files counts: a file counts once for each of its parts.';
COMMENT ON COLUMN shop.retired_ledger.accepted IS 'Of rollup_minute: the events.';
COMMENT ON COLUMN shop.retired_ledger.up_to_batch IS
    'Nothing was removed that belongs to a later batch; up to it, a batch or a file may be gone while the other is kept.';
COMMENT ON COLUMN shop.retired_ledger.up_to_minute IS 'The last minute of which a rollup was removed.';

-- Deleting a row makes PostgreSQL look for rows that refer to it: without an index that reads the whole table each time.
CREATE INDEX rejects_batch ON shop.rejects (batch_id);
CREATE INDEX conflicts_batch ON shop.conflicts (batch_id);
CREATE INDEX conflicts_file ON shop.conflicts (file_id);

-- Serves reconcile, which looks files up by name, and "the file that came under this name before", which a sender that
-- gives all its files the same name would make a long search.
CREATE INDEX files_name_file ON shop.files (name, file_id);
DROP INDEX shop.files_name;

-- Serves "what is in quarantine", among a month of files that are not.
CREATE INDEX files_quarantined ON shop.files (settled_at) WHERE state = 'quarantined';

GRANT SELECT ON shop.retired_ledger TO shop_ops, shop_quality, shop_analyst;
