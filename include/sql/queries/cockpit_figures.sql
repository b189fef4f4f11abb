-- name: restatements
-- Return numbers as text, so that no digit is lost.
SELECT
    restatement_id,
    restated_at,
    view_name,
    day,
    key,
    (SELECT jsonb_object_agg(figure.key, figure.value) FROM jsonb_each_text(newest.old) AS figure) AS old,
    (SELECT jsonb_object_agg(figure.key, figure.value) FROM jsonb_each_text(newest.new) AS figure) AS new,
    cause,
    detail
FROM (
    SELECT *
    FROM shop.restatements
    WHERE restatement_id < %(before)s
        AND (%(view_name)s::text IS NULL OR view_name = %(view_name)s)
        AND (%(day)s::date IS NULL OR day = %(day)s)
    ORDER BY restatement_id DESC
    LIMIT %(limit)s
) AS newest
ORDER BY restatement_id DESC;

-- name: grain
SELECT shop.grain_of(to_regclass(%(view)s)) AS grain;
