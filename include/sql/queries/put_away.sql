-- name: finished
SELECT file_id, name, finished_at, state = 'quarantined' AS is_quarantined, size_bytes
FROM shop.files
WHERE file_id = ANY(%(file_ids)s) AND state <> 'admitted';
