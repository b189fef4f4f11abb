-- name: window
-- The cutoff, and the last batch before it among the oldest ones. Batches are numbered in the order of their commits,
-- so the walk along the key ends early. The newest batch stays, whatever its age, because it shows when the stream last
-- committed. A batch that is not yet in the aggregates stays as well. The fourth column says whether there may be more
-- batches before the cutoff than the oldest that this looks at.
WITH oldest AS (
    SELECT batch_id, committed_at FROM shop.batches ORDER BY batch_id LIMIT %(batches)s
)

SELECT
    cutoff,
    (cutoff AT TIME ZONE 'UTC')::date AS first_day,
    (
        SELECT max(batch_id)
        FROM oldest
        WHERE committed_at < cutoff AND batch_id < (SELECT max(batch_id) FROM shop.batches)
            AND batch_id <= (SELECT batch_id FROM shop.facts_progress)
    ) AS last_batch_id,
    (SELECT count(*) = %(batches)s AND max(committed_at) < cutoff FROM oldest) AS has_more
FROM (VALUES (clock_timestamp() - make_interval(days => %(ledger_days)s))) AS asked (cutoff);

-- name: files
-- Among the next %(rows)s files after %(after)s, those whose last slice was loaded by %(last_batch_id)s, and those that
-- were quarantined without a batch before the cutoff. Rejects and conflicts have their own age limit; their file stays
-- until then.
WITH oldest AS (
    SELECT file_id FROM shop.files WHERE file_id > %(after)s ORDER BY file_id LIMIT %(rows)s
),

gone AS (
    DELETE FROM shop.files
    USING oldest
    WHERE files.file_id = oldest.file_id
        AND files.state <> 'admitted'
        AND CASE WHEN batch_id IS NULL THEN finished_at < %(cutoff)s ELSE batch_id <= %(last_batch_id)s END
        AND NOT EXISTS (SELECT FROM shop.rejects WHERE rejects.file_id = files.file_id)
        AND NOT EXISTS (SELECT FROM shop.conflicts WHERE conflicts.file_id = files.file_id)
    RETURNING files.batch_id, slices, read, accepted, duplicate, rejected
),

recorded AS (
    INSERT INTO shop.retired_ledger AS retired (
        table_name, rows, files, read, accepted, duplicate, rejected, up_to_batch
    )
    SELECT
        'files', count(*), coalesce(sum(greatest(slices, 1)) FILTER (WHERE batch_id IS NOT NULL), 0),
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
-- Among the next %(rows)s batches after %(after)s, those up to %(last_batch_id)s whose files are all gone.
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
        AND NOT EXISTS (SELECT FROM shop.file_slices WHERE file_slices.batch_id = batches.batch_id)
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

-- name: raise_horizon
-- From now on a batch adds no minute of an earlier day. This waits for the batch that read the earlier horizon; after
-- that, no batch and no retirement lock the same minute or hour rollups. If the horizon already is at this day, nothing
-- waits.
SELECT pg_advisory_xact_lock(hashtext('shop.rollup_horizon')) FROM shop.rollup_horizon WHERE day < %(first_day)s;
UPDATE shop.rollup_horizon SET day = %(first_day)s WHERE day < %(first_day)s;

-- name: rollups
-- The next whole day before the horizon that has rollups. Rows are locked in key order, as a batch does: in byte order,
-- even on a server that sorts by language.
WITH oldest AS (
    SELECT (min(minute) AT TIME ZONE 'UTC')::date AS day FROM shop.rollup_minute
    WHERE minute < (SELECT day FROM shop.rollup_horizon)::timestamp AT TIME ZONE 'UTC'
),

locked AS (
    SELECT minute, event_type, category, currency FROM shop.rollup_minute
    WHERE minute >= (SELECT day FROM oldest)::timestamp AT TIME ZONE 'UTC'
        AND minute < ((SELECT day FROM oldest) + 1)::timestamp AT TIME ZONE 'UTC'
    ORDER BY minute, event_type COLLATE "C", category COLLATE "C", currency COLLATE "C"
    FOR UPDATE
),

gone AS (
    DELETE FROM shop.rollup_minute
    USING locked
    WHERE (rollup_minute.minute, rollup_minute.event_type, rollup_minute.category, rollup_minute.currency)
        = (locked.minute, locked.event_type, locked.category, locked.currency)
    RETURNING rollup_minute.minute, events
),

recorded AS (
    INSERT INTO shop.retired_ledger AS retired (table_name, rows, accepted, up_to_minute)
    SELECT 'rollup_minute', count(*), sum(events), max(minute) FROM gone HAVING count(*) > 0
    ON CONFLICT (day, table_name) DO UPDATE
    SET rows = retired.rows + excluded.rows,
        accepted = retired.accepted + excluded.accepted,
        up_to_minute = greatest(retired.up_to_minute, excluded.up_to_minute)
)

SELECT NULL, (SELECT count(*) FROM gone);

-- name: runs
-- The newest runs stay, whatever their age, because one of them is active.
DELETE FROM shop.runs
WHERE started_at < %(cutoff)s
    AND epoch NOT IN (SELECT newest.epoch FROM shop.runs AS newest ORDER BY newest.epoch DESC LIMIT %(kept)s);
