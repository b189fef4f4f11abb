-- name: key
SELECT shop.grain_of(to_regclass(%(view)s));

-- name: before
CREATE TEMPORARY TABLE {before} ON COMMIT DROP AS TABLE {query};

-- name: changes
-- The rows that differ, each with its key and the differing columns. Values are texts, to keep every digit.
WITH before AS (
    SELECT row.figures, (SELECT jsonb_object_agg(name, row.figures -> name) FROM unnest(%(key)s::text[]) AS name) AS key
    FROM (SELECT to_jsonb(one) AS figures FROM {before} AS one EXCEPT SELECT to_jsonb(one) FROM {query} AS one) AS row
),
after AS (
    SELECT row.figures, (SELECT jsonb_object_agg(name, row.figures -> name) FROM unnest(%(key)s::text[]) AS name) AS key
    FROM (SELECT to_jsonb(one) AS figures FROM {query} AS one EXCEPT SELECT to_jsonb(one) FROM {before} AS one) AS row
)
SELECT
    key,
    (
        SELECT jsonb_object_agg(name, value) FROM jsonb_each_text(before.figures) AS figure (name, value)
        WHERE name <> ALL(%(key)s::text[]) AND value IS DISTINCT FROM after.figures ->> name
    ),
    (
        SELECT jsonb_object_agg(name, value) FROM jsonb_each_text(after.figures) AS figure (name, value)
        WHERE name <> ALL(%(key)s::text[]) AND value IS DISTINCT FROM before.figures ->> name
    )
FROM before
FULL JOIN after USING (key)
ORDER BY key;
