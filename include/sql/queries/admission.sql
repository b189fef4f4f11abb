-- name: admit
-- Ids are given in the order of VALUES; the epoch lock that the caller holds makes them commit in that order too.
INSERT INTO shop.files (name, size_bytes, unpacked_bytes, arrived_at) VALUES %s RETURNING file_id;

-- name: admitted
SELECT file_id, name FROM shop.files WHERE state = 'admitted' ORDER BY file_id;

-- name: first_offset
SELECT coalesce(
    (SELECT min(file_id) - 1 FROM shop.files WHERE state = 'admitted'),
    (SELECT max(file_id) FROM shop.files),
    0
);

-- name: pending
SELECT file_id, name, size_bytes FROM shop.files
WHERE state = 'admitted' AND file_id > %(start)s AND file_id <= %(end)s
ORDER BY file_id;

-- name: end_of_batch
-- The last file such that all before it stay within both bounds; the first file always fits.
SELECT max(file_id)
FROM (
    SELECT
        file_id,
        sum(coalesce(unpacked_bytes, size_bytes)) OVER (ORDER BY file_id) AS bytes,
        row_number() OVER (ORDER BY file_id) AS position
    FROM (
        SELECT file_id, size_bytes, unpacked_bytes FROM shop.files
        WHERE state = 'admitted' AND file_id > %(start)s
        ORDER BY file_id
        LIMIT %(max_files)s
    ) AS next_files
) AS summed
WHERE bytes <= %(max_bytes)s OR position = 1;

-- name: beat
-- Files that still lie in the landing folder are counted by the caller; those admitted but not loaded, here.
UPDATE shop.runs
SET heartbeat_at = clock_timestamp(),
    backlog_files = %(files)s + waiting.files,
    backlog_bytes = %(bytes)s + waiting.bytes
FROM (
    SELECT count(*) AS files, coalesce(sum(size_bytes), 0)::bigint AS bytes FROM shop.files WHERE state = 'admitted'
) AS waiting
WHERE runs.epoch = %(epoch)s;
