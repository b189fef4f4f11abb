-- What a row is, once its day is gone: events of retired days are never stored a second time. What was found in a rejected
-- row stands beside its reasons. Analysts read no text in which a sender's row could stand.

-- Retired days --------------------------------------------------------------------------------------------------------

CREATE TABLE shop.retired_days (
    day date PRIMARY KEY,
    first_retired_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

COMMENT ON TABLE shop.retired_days IS
    'The UTC days inside event_id of which retention has removed events. Their ids are forgotten, so an event of such a day that is not stored is rejected: nothing tells whether it was counted before.';
COMMENT ON COLUMN shop.retired_days.first_retired_at IS
    'When the first events of the day were removed. A file that was loaded before that was compared with all of them.';

-- The days before 2026 that were removed so far are not on record.
INSERT INTO shop.retired_days (day, first_retired_at)
SELECT day, min(retired_at) FROM shop.retired_partitions WHERE day IS NOT NULL AND events > 0 GROUP BY day;

-- Serves "was this content loaded before", which is asked when a file holds events of retired days.
CREATE INDEX files_digest ON shop.files (digest) WHERE state = 'loaded';

-- Rejects -------------------------------------------------------------------------------------------------------------

ALTER TABLE shop.rejects
    ALTER COLUMN raw DROP NOT NULL,
    ADD COLUMN detail jsonb;

COMMENT ON COLUMN shop.rejects.raw IS
    'The row as it stood in the file; bytes that are not UTF-8 and NUL are written as \xNN. NULL when the file no longer had the row, because it was changed after it was read.';
COMMENT ON COLUMN shop.rejects.detail IS
    'What was found, by reason: the value that is refused, or how many fields the row has. NULL when the reasons say it all.';

-- Roles ---------------------------------------------------------------------------------------------------------------

GRANT SELECT ON shop.retired_days TO shop_ingest, shop_ops, shop_quality, shop_analyst;

-- Whoever runs the platform reads what went wrong in full; analysts read that it did.
REVOKE SELECT ON shop.files, shop.runs FROM shop_analyst;

DO $$
DECLARE
    columns text;
    hidden record;
BEGIN
    FOR hidden IN
        SELECT * FROM (VALUES ('files', '{fault_detail,last_error}'::name[]), ('runs', '{error}'::name[])) AS one (name, columns)
    LOOP
        SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO columns
        FROM pg_attribute
        WHERE attrelid = format('shop.%I', hidden.name)::regclass
            AND attnum > 0 AND NOT attisdropped AND attname <> ALL (hidden.columns);
        EXECUTE format('GRANT SELECT (%s) ON shop.%I TO shop_analyst', columns, hidden.name);
    END LOOP;
END
$$;
