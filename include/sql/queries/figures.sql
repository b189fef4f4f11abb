-- name: published
-- The rows of some days of a view, newest day first; {rows} is the view, or shop.as_of of it.
SELECT
    figures.day,
    figures.key,
    (
        SELECT jsonb_object_agg(figure.key, figure.value)
        FROM jsonb_each_text(figures.stored) AS figure
        WHERE figure.key <> ALL(%(grain)s)
    ) AS figures,
    (
        SELECT max(restated_at)
        FROM shop.restatements
        WHERE restatements.view_name = %(view_name)s
            AND restatements.day = figures.day
            AND restatements.key = figures.key
            AND restated_at <= %(as_of)s
    ) AS restated_at
FROM (
    SELECT {day} AS day, jsonb_build_object({pairs}) AS key, to_jsonb(stored) AS stored
    FROM {rows} AS stored
    WHERE {day} < %(before)s AND {day} >= %(since)s
) AS figures
WHERE figures.day >= (
    -- The last day of the page: whole days, so that no row is lost between two pages.
    SELECT min(last_days.day)
    FROM (
        SELECT DISTINCT {day} AS day FROM {rows} AS stored
        WHERE {day} < %(before)s AND {day} >= %(since)s
        ORDER BY day DESC LIMIT %(limit)s
    ) AS last_days
)
ORDER BY figures.day DESC, figures.key;
