-- name: make_room
-- Created once per session and emptied at the end of each transaction. {columns} are those of the contract.
CREATE TEMPORARY TABLE IF NOT EXISTS duplicates ON COMMIT DELETE ROWS AS
SELECT {columns}, extra, file_id, 0::bigint AS line FROM shop.events WITH NO DATA;

-- name: record_duplicates
-- Every duplicate row, with its content if that differs from the stored event.
INSERT INTO shop.duplicates (event_id, batch_id, file_id, line, content)
SELECT
    duplicate.event_id,
    %(batch_id)s,
    duplicate.file_id,
    duplicate.line,
    CASE
        WHEN ({duplicate_columns}, duplicate.extra) IS DISTINCT FROM ({stored_columns}, stored.extra)
            THEN to_jsonb(duplicate) - '{{file_id,line}}'::text[]
    END
FROM pg_temp.duplicates AS duplicate
INNER JOIN shop.events AS stored USING (event_id);

-- name: record_conflicts
-- The duplicates that differ from the stored event. Whole rows are compared first, because nearly all are equal.
INSERT INTO shop.conflicts (event_id, batch_id, file_id, line, columns, duplicate)
SELECT
    duplicate.event_id,
    %(batch_id)s,
    duplicate.file_id,
    duplicate.line,
    ARRAY(SELECT name FROM (VALUES {differences}) AS one (name, differs) WHERE differs),
    to_jsonb(duplicate) - '{{file_id,line,extra}}'::text[]
FROM pg_temp.duplicates AS duplicate
INNER JOIN shop.events AS stored USING (event_id)
WHERE ({duplicate_columns}) IS DISTINCT FROM ({stored_columns})
ORDER BY duplicate.file_id, duplicate.line;
