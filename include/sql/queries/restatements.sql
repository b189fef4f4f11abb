-- name: grain
SELECT shop.grain_of(to_regclass(%(view)s));

-- name: cause
-- Why the figures changed since the view was last published, and between which batches. Events of a batch committed
-- since then are late for a closed day; without such a batch, the stored data was changed or repaired by hand.
SELECT
    CASE
        WHEN retracted.ids IS NOT NULL THEN 'retraction'
        WHEN EXISTS (SELECT FROM shop.batches WHERE batch_id > coalesce(before.last_batch_id, 0)) THEN 'late events'
        ELSE 'correction'
    END AS cause,
    jsonb_strip_nulls(jsonb_build_object(
        'after_batch', before.last_batch_id, 'to_batch', refreshes.last_batch_id, 'retractions', retracted.ids
    )) AS detail
FROM shop.refreshes
LEFT JOIN LATERAL (
    SELECT last_batch_id, started_at
    FROM shop.refreshes AS earlier
    WHERE earlier.view_name = refreshes.view_name AND earlier.published_at IS NOT NULL
    ORDER BY earlier.published_at DESC
    LIMIT 1
) AS before ON true
LEFT JOIN LATERAL (
    SELECT jsonb_agg(retraction_id ORDER BY retraction_id) AS ids
    FROM shop.retractions
    WHERE done_at > before.started_at AND done_at < refreshes.started_at
) AS retracted ON true
WHERE refreshes.refresh_id = %(refresh_id)s;

-- name: record
-- Every row of a closed day that differs between the published rows and the candidate.
INSERT INTO shop.restatements (refresh_id, view_name, key, day, old, new, cause, detail)
SELECT
    %(refresh_id)s,
    %(view_name)s,
    differing.key,
    differing.day,
    CASE WHEN was_there THEN differing.old END,
    CASE WHEN is_there THEN differing.new END,
    %(cause)s,
    %(detail)s
FROM (
    SELECT
        jsonb_build_object({pairs}) AS key,
        {day} AS day,
        published.{first} IS NOT NULL AS was_there,
        candidate.{first} IS NOT NULL AS is_there,
        figures.old,
        figures.new
    FROM (SELECT * FROM {published} WHERE {is_changed}) AS published
    FULL JOIN (SELECT * FROM {candidate} WHERE {is_changed}) AS candidate USING ({grain})
    CROSS JOIN LATERAL (
        SELECT
            jsonb_object_agg(coalesce(was.key, now.key), was.value) AS old,
            jsonb_object_agg(coalesce(was.key, now.key), now.value) AS new
        FROM jsonb_each(to_jsonb(published)) AS was
        FULL JOIN jsonb_each(to_jsonb(candidate)) AS now ON now.key = was.key
        WHERE was.value IS DISTINCT FROM now.value AND coalesce(was.key, now.key) <> ALL(%(grain)s)
    ) AS figures
    WHERE published IS DISTINCT FROM candidate
) AS differing
JOIN shop.closed_days ON closed_days.view_name = %(view_name)s AND closed_days.day = differing.day;

-- name: close_days
-- A day is closed once a candidate built after its end is published. A day before the newest closed one can be missing
-- only if it has changed.
INSERT INTO shop.closed_days (view_name, day)
SELECT DISTINCT %(view_name)s, {day}
FROM {candidate} AS candidate
WHERE
    {day} < (SELECT (started_at AT TIME ZONE 'UTC')::date FROM shop.refreshes WHERE refresh_id = %(refresh_id)s)
    AND (
        {is_changed}
        OR {column} >= (SELECT coalesce(max(day), '-infinity') FROM shop.closed_days WHERE view_name = %(view_name)s)
    )
ON CONFLICT (view_name, day) DO NOTHING;
