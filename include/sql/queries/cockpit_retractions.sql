-- name: retractions
-- Retractions, newest first, each with the names of its first ten files.
SELECT
    newest.*,
    ARRAY(
        SELECT name FROM shop.retraction_files
        WHERE retraction_files.retraction_id = newest.retraction_id
        ORDER BY file_id LIMIT 10
    ) AS names
FROM (
    SELECT retraction_id, done_at, done_by, reason, selection, files, events, reassigned, rejects, duplicates
    FROM shop.retractions
    WHERE retraction_id < %(before)s
    ORDER BY retraction_id DESC
    LIMIT %(limit)s
) AS newest
ORDER BY retraction_id DESC;

-- name: retraction
SELECT
    retraction_id,
    done_at,
    done_by,
    reason,
    selection,
    files,
    events,
    reassigned,
    rejects,
    duplicates,
    ARRAY(
        SELECT name FROM shop.retraction_files
        WHERE retraction_files.retraction_id = retractions.retraction_id
        ORDER BY file_id LIMIT 10
    ) AS names
FROM shop.retractions
WHERE retraction_id = %(retraction_id)s;

-- name: file_names
SELECT file_id, name FROM shop.files WHERE file_id = ANY(%(file_ids)s);
