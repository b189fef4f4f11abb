-- name: admit
-- Ids follow the order of VALUES; the epoch lock that the caller holds makes them commit in that order too.
INSERT INTO shop.files (name, size_bytes, unpacked_bytes, arrived_at, inode) VALUES %s RETURNING file_id;

-- name: admitted
SELECT file_id, name, inode FROM shop.files WHERE state = 'admitted' ORDER BY file_id;

-- name: plan
-- The next batch: the oldest files that fit into both limits, but at least one file; a large file counts as one slice.
-- A retried batch has the same files. A batch that has used up its attempts is halved, and each half gets one attempt
-- before it is halved in turn. Losing a count in a crash of the server is harmless, so the commit need not wait for the
-- disk.
SET LOCAL synchronous_commit = off;
WITH oldest AS (
    SELECT
        failures >= %(max_failures)s OR attempts >= %(max_attempts)s AS is_suspect,
        CASE
            WHEN failures >= %(max_failures)s OR attempts >= %(max_attempts)s THEN greatest(1, tried_with / 2)
            WHEN attempts > 0 THEN tried_with
            ELSE %(max_files)s
        END AS max_files
    FROM shop.files
    WHERE state = 'admitted'
    ORDER BY file_id
    LIMIT 1
),

summed AS (
    SELECT
        file_id,
        row_number() OVER (ORDER BY file_id) AS position,
        sum(least(%(slice_bytes)s, greatest(0, coalesce(unpacked_bytes, size_bytes) - next_byte)))
            OVER (ORDER BY file_id) AS bytes
    FROM (
        SELECT file_id, size_bytes, unpacked_bytes, next_byte
        FROM shop.files
        WHERE state = 'admitted'
        ORDER BY file_id
        LIMIT (SELECT max_files FROM oldest)
    ) AS next_files
),

chosen AS (
    SELECT file_id, count(*) OVER () AS files FROM summed WHERE bytes <= %(max_bytes)s OR position = 1
)

UPDATE shop.files
SET attempts = CASE
        WHEN tried_with = chosen.files THEN attempts + 1
        WHEN oldest.is_suspect THEN least(attempts, %(max_attempts)s)
        ELSE 1
    END,
    failures = CASE
        WHEN tried_with = chosen.files THEN failures
        WHEN oldest.is_suspect THEN least(failures, %(max_failures)s - 1)
        ELSE 0
    END,
    tried_with = chosen.files
FROM chosen
CROSS JOIN oldest
WHERE files.file_id = chosen.file_id
RETURNING
    files.file_id,
    files.name,
    least(%(slice_bytes)s, greatest(0, coalesce(files.unpacked_bytes, files.size_bytes) - files.next_byte)),
    files.next_byte,
    files.next_line;

-- name: note_failure
-- The failed batch consists of the oldest files, as many as the oldest one was last tried with.
UPDATE shop.files
SET failures = failures + 1, last_error = %(error)s
WHERE file_id IN (
    SELECT file_id FROM shop.files
    WHERE state = 'admitted'
    ORDER BY file_id
    LIMIT (SELECT tried_with FROM shop.files WHERE state = 'admitted' ORDER BY file_id LIMIT 1)
);

-- name: excuse_attempt
-- A batch that failed for an external reason says nothing about its files, so its attempt is not counted.
UPDATE shop.files
SET attempts = greatest(attempts - 1, 0), last_error = %(error)s
WHERE file_id IN (
    SELECT file_id FROM shop.files
    WHERE state = 'admitted'
    ORDER BY file_id
    LIMIT (SELECT tried_with FROM shop.files WHERE state = 'admitted' ORDER BY file_id LIMIT 1)
);

-- name: quarantine_poison
-- Files that failed alone, and files that were being loaded alone each time a driver died without reporting an error.
UPDATE shop.files
SET state = 'quarantined',
    finished_at = clock_timestamp(),
    fault = 'poison',
    fault_detail = coalesce(last_error, format('the driver died %%s times while it loaded this file alone', attempts))
WHERE state = 'admitted' AND tried_with = 1 AND (failures >= %(max_failures)s OR attempts >= %(max_deaths)s)
RETURNING file_id, name, fault_detail;

-- name: turn
-- The caller counts the files that are still in the landing folder; this statement counts those admitted but not
-- loaded.
UPDATE shop.runs
SET heartbeat_at = clock_timestamp(),
    turned_at = clock_timestamp(),
    paused = %(paused)s,
    backlog_files = %(files)s + waiting.files,
    backlog_bytes = %(bytes)s + waiting.bytes,
    ignored_files = %(ignored_files)s,
    ignored_since = %(ignored_since)s,
    ignored_examples = %(ignored_examples)s
FROM (
    -- Bytes on disk; for a partly loaded gzipped file, the share that is left.
    SELECT
        count(*) AS files,
        coalesce(
            sum(
                size_bytes
                * greatest(0, 1 - next_byte::float8 / greatest(coalesce(unpacked_bytes, size_bytes), next_byte, 1))
            ),
            0
        )::bigint AS bytes
    FROM shop.files
    WHERE state = 'admitted'
) AS waiting
WHERE runs.epoch = %(epoch)s;
