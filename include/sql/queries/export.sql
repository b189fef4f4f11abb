-- name: relations
-- The tables and views of the schema in which the role can read at least one column.
SELECT relation.relname::text
FROM pg_class AS relation
WHERE relation.relnamespace = 'shop'::regnamespace
    AND relation.relkind IN ('r', 'p', 'v', 'm')
    AND NOT relation.relispartition
    AND has_any_column_privilege(relation.oid, 'SELECT')
ORDER BY 1;

-- name: columns
-- The columns of one table in order, with whether each holds text, which a spreadsheet might run, and may be read.
SELECT
    attribute.attname::text AS name,
    type.typcategory = 'S' AS is_text,
    has_column_privilege(relation.oid, attribute.attnum, 'SELECT') AS is_readable
FROM pg_attribute AS attribute
JOIN pg_class AS relation ON relation.oid = attribute.attrelid
JOIN pg_type AS type ON type.oid = attribute.atttypid
WHERE relation.relnamespace = 'shop'::regnamespace
    AND relation.relname = %(table)s
    AND attribute.attnum > 0
    AND NOT attribute.attisdropped
ORDER BY attribute.attnum;

-- name: neutral
-- A text that a spreadsheet shows instead of running it: text that begins like a formula gets a leading apostrophe.
CASE WHEN {column} ~ '^[-=+@\t\r\n＝＋－＠]' THEN '''' || {column} ELSE {column} END;

-- name: copy
COPY (SELECT {cells} FROM {table}) TO STDOUT (FORMAT csv, HEADER);
