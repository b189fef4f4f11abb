-- What is new is found by BRIN indexes, which know nothing of pages that nobody has summarized yet: those are read in
-- full, every time. Whoever looks for what is new has them summarized first.
CREATE FUNCTION shop.summarize_events() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
-- Less than deadlock_timeout, after which PostgreSQL ends an autovacuum that is in somebody's way: as it summarizes, too,
-- it is left alone.
SET lock_timeout = '100ms'
AS $$
DECLARE
    brin regclass;
    ranges bigint := 0;
BEGIN
    FOR brin IN
        SELECT index.indexrelid
        FROM pg_inherits AS partition
        INNER JOIN pg_index AS index ON index.indrelid = partition.inhrelid
        INNER JOIN pg_class AS relation ON relation.oid = index.indexrelid
        INNER JOIN pg_am AS method ON method.oid = relation.relam
        WHERE partition.inhparent = 'shop.events'::regclass AND method.amname = 'brin'
        ORDER BY index.indexrelid
    LOOP
        BEGIN
            ranges := ranges + brin_summarize_new_values(brin);
        EXCEPTION
            -- Being vacuumed, or dropped by retention meanwhile.
            WHEN lock_not_available OR undefined_table OR undefined_object THEN NULL;
        END;
    END LOOP;
    RETURN ranges;
END
$$;

COMMENT ON FUNCTION shop.summarize_events IS
    'Brings the BRIN indexes of shop.events up to date, without waiting for autovacuum; returns the ranges of pages that were new.';

REVOKE ALL ON FUNCTION shop.summarize_events FROM PUBLIC;
GRANT EXECUTE ON FUNCTION shop.summarize_events TO shop_ops;

-- The index of 0003 again, without autosummarize: every insert asked autovacuum for it, which comes once a minute and
-- refuses what is more than 256 requests, each with three lines in the log: at 100,000 events a second nearly all of them.
DROP INDEX shop.events_ingested;
CREATE INDEX events_ingested ON shop.events USING brin (ingested_at, batch_id);
