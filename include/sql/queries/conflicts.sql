-- name: make_room
-- Once a session; empty again after each transaction. {columns} are those of the contract.
CREATE TEMPORARY TABLE IF NOT EXISTS duplicates ON COMMIT DELETE ROWS AS
SELECT {columns}, file_id, 0::bigint AS line FROM shop.events WITH NO DATA;

-- name: record
-- The duplicates that differ from the stored event. Whole rows are compared first: nearly all are the same.
INSERT INTO shop.conflicts (event_id, batch_id, file_id, line, columns, duplicate)
SELECT
    duplicate.event_id,
    %(batch_id)s,
    duplicate.file_id,
    duplicate.line,
    ARRAY(SELECT name FROM (VALUES {differences}) AS one (name, differs) WHERE differs),
    to_jsonb(duplicate) - '{{file_id,line}}'::text[]
FROM pg_temp.duplicates AS duplicate
INNER JOIN shop.events AS stored USING (event_id)
WHERE ({duplicate_columns}) IS DISTINCT FROM ({stored_columns})
ORDER BY duplicate.file_id, duplicate.line;
