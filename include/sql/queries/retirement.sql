-- name: window
-- The cutoff, and the last batch before it among the oldest ones: batches are numbered in the order of their commits, so
-- the walk along the key ends early. The newest batch stays, whatever its age: it says when the stream last did something.
SELECT
    cutoff,
    (
        SELECT max(batch_id)
        FROM (SELECT batch_id, committed_at FROM shop.batches ORDER BY batch_id LIMIT %(batches)s) AS oldest
        WHERE committed_at < cutoff AND batch_id < (SELECT max(batch_id) FROM shop.batches)
    ) AS last_batch_id
FROM (VALUES (clock_timestamp() - make_interval(days => %(ledger_days)s))) AS asked (cutoff);

-- name: files
-- Among the next %(rows)s files after %(after)s, those whose last part was loaded by %(last_batch_id)s, and those that were
-- quarantined without a batch before the cutoff. Rejects and conflicts have an age of their own; until then their file stays.
WITH oldest AS (
    SELECT file_id FROM shop.files WHERE file_id > %(after)s ORDER BY file_id LIMIT %(rows)s
),

gone AS (
    DELETE FROM shop.files
    USING oldest
    WHERE files.file_id = oldest.file_id
        AND files.state <> 'admitted'
        AND CASE WHEN batch_id IS NULL THEN settled_at < %(cutoff)s ELSE batch_id <= %(last_batch_id)s END
        AND NOT EXISTS (SELECT FROM shop.rejects WHERE rejects.file_id = files.file_id)
        AND NOT EXISTS (SELECT FROM shop.conflicts WHERE conflicts.file_id = files.file_id)
    RETURNING files.batch_id, parts, read, accepted, duplicate, rejected
),

recorded AS (
    INSERT INTO shop.retired_ledger AS retired (
        table_name, rows, files, read, accepted, duplicate, rejected, up_to_batch
    )
    SELECT
        'files', count(*), coalesce(sum(greatest(parts, 1)) FILTER (WHERE batch_id IS NOT NULL), 0),
        sum(read), sum(accepted), sum(duplicate), sum(rejected), %(last_batch_id)s
    FROM gone
    HAVING count(*) > 0
    ON CONFLICT (day, table_name) DO UPDATE
    SET rows = retired.rows + excluded.rows,
        files = retired.files + excluded.files,
        read = retired.read + excluded.read,
        accepted = retired.accepted + excluded.accepted,
        duplicate = retired.duplicate + excluded.duplicate,
        rejected = retired.rejected + excluded.rejected,
        up_to_batch = greatest(retired.up_to_batch, excluded.up_to_batch)
)

SELECT (SELECT max(file_id) FROM oldest), (SELECT count(*) FROM gone);

-- name: batches
-- Among the next %(rows)s batches after %(after)s, those up to %(last_batch_id)s of which every file is gone.
WITH oldest AS (
    SELECT batch_id FROM shop.batches
    WHERE batch_id > %(after)s AND batch_id <= %(last_batch_id)s
    ORDER BY batch_id
    LIMIT %(rows)s
),

gone AS (
    DELETE FROM shop.batches
    USING oldest
    WHERE batches.batch_id = oldest.batch_id
        AND NOT EXISTS (SELECT FROM shop.files WHERE files.batch_id = batches.batch_id)
        AND NOT EXISTS (SELECT FROM shop.file_parts WHERE file_parts.batch_id = batches.batch_id)
    RETURNING files, read, accepted, duplicate, rejected
),

recorded AS (
    INSERT INTO shop.retired_ledger AS retired (
        table_name, rows, files, read, accepted, duplicate, rejected, up_to_batch
    )
    SELECT
        'batches', count(*), sum(files), sum(read), sum(accepted), sum(duplicate), sum(rejected), %(last_batch_id)s
    FROM gone
    HAVING count(*) > 0
    ON CONFLICT (day, table_name) DO UPDATE
    SET rows = retired.rows + excluded.rows,
        files = retired.files + excluded.files,
        read = retired.read + excluded.read,
        accepted = retired.accepted + excluded.accepted,
        duplicate = retired.duplicate + excluded.duplicate,
        rejected = retired.rejected + excluded.rejected,
        up_to_batch = greatest(retired.up_to_batch, excluded.up_to_batch)
)

SELECT (SELECT max(batch_id) FROM oldest), (SELECT count(*) FROM gone);

-- name: first_old_minute
-- The oldest rollup that no batch has changed since the cutoff.
SELECT minute FROM shop.rollup_minute
WHERE minute >= %(after)s AND minute < %(cutoff)s AND batch_id <= %(last_batch_id)s
ORDER BY minute
LIMIT 1;

-- name: rollups
-- A day of them. A row that the stream changes at this moment has a newer batch by then, and stays.
WITH gone AS (
    DELETE FROM shop.rollup_minute
    WHERE minute >= %(since)s AND minute < least(%(since)s + interval '1 day', %(cutoff)s)
        AND batch_id <= %(last_batch_id)s
    RETURNING minute, events
),

recorded AS (
    INSERT INTO shop.retired_ledger AS retired (table_name, rows, accepted, up_to_minute)
    SELECT 'rollup_minute', count(*), sum(events), max(minute) FROM gone HAVING count(*) > 0
    ON CONFLICT (day, table_name) DO UPDATE
    SET rows = retired.rows + excluded.rows,
        accepted = retired.accepted + excluded.accepted,
        up_to_minute = greatest(retired.up_to_minute, excluded.up_to_minute)
)

SELECT %(since)s + interval '1 day', (SELECT count(*) FROM gone);

-- name: runs
-- The newest runs stay, whatever their age: one of them is running.
DELETE FROM shop.runs
WHERE started_at < %(cutoff)s
    AND epoch NOT IN (SELECT newest.epoch FROM shop.runs AS newest ORDER BY newest.epoch DESC LIMIT %(kept)s);
