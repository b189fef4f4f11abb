-- name: snapshot
-- All later queries of the transaction see one snapshot, regardless of what the stream commits in the meantime.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;

-- name: clock
SELECT clock_timestamp();

-- name: unfinished
-- The number of named files that were never loaded or quarantined, plus that of files admitted by %(as_of)s that still
-- wait.
SELECT
    (
        SELECT count(*)
        FROM unnest(%(names)s::text[]) AS wanted (name)
        WHERE NOT EXISTS (SELECT FROM shop.files WHERE files.name = wanted.name AND files.state <> 'admitted')
    )
    + (SELECT count(*) FROM shop.files WHERE state = 'admitted' AND admitted_at <= %(as_of)s);

-- name: admitted
-- Files admitted by %(as_of)s that still wait to be loaded.
SELECT name FROM shop.files WHERE state = 'admitted' AND admitted_at <= %(as_of)s ORDER BY file_id;

-- name: finished_files
-- Every load of the named files. Retention removes only events loaded before a recorded time, so the events of a file
-- are complete if the batch of its first slice began after that time. Rejects are removed by age alone.
SELECT
    files.name,
    files.file_id,
    files.fault,
    files.state = 'retracted' AS is_retracted,
    files.read,
    files.accepted,
    files.duplicate,
    files.rejected,
    batches.started_at IS NULL OR batches.started_at >= coalesce(retired.ingested_before, '-infinity')
        AS has_all_events,
    batches.started_at IS NULL OR batches.started_at >= coalesce(%(rejects_since)s::timestamptz, '-infinity')
        AS has_all_rejects
FROM shop.files
LEFT JOIN shop.batches ON batches.batch_id = CASE
    WHEN files.slices > 1 THEN (SELECT min(file_slices.batch_id) FROM shop.file_slices WHERE file_slices.file_id = files.file_id)
    ELSE files.batch_id
END
CROSS JOIN (SELECT max(ingested_before) AS ingested_before FROM shop.retired_partitions) AS retired
WHERE files.name = ANY(%(names)s::text[]) AND files.state <> 'admitted'
ORDER BY files.file_id;

-- name: events_of_files
-- Stored events of the given files, by type and currency. Only purchases have revenue.
SELECT
    file_id,
    event_type,
    currency,
    count(*) AS events,
    coalesce(sum(unit_price * quantity) FILTER (WHERE event_type = 'purchase'), 0) AS revenue
FROM shop.events
WHERE file_id = ANY(%(file_ids)s::bigint[])
GROUP BY file_id, event_type, currency;

-- name: rejects_of_files
SELECT rejects.file_id, reason.code, count(*) AS rows
FROM shop.rejects
CROSS JOIN unnest(rejects.reasons) AS reason (code)
WHERE rejects.file_id = ANY(%(file_ids)s::bigint[])
GROUP BY rejects.file_id, reason.code;

-- name: ledger_totals
-- Sums that must be equal in all tables. Each includes what retention has removed from its table. As in batches.files,
-- a file counts once for each batch that loaded a slice of it.
WITH retired AS (
    SELECT table_name, files, read, accepted, duplicate, rejected FROM shop.retired_ledger
)

SELECT
    batch.files AS batch_files, file.files AS file_files,
    batch.read AS batch_read, file.read AS file_read,
    batch.accepted AS batch_accepted, file.accepted AS file_accepted,
    batch.duplicate AS batch_duplicate, file.duplicate AS file_duplicate,
    batch.rejected AS batch_rejected, file.rejected AS file_rejected,
    kept.events AS daily_events,
    kept.accepted AS daily_accepted,
    stored.events AS retired_events
FROM (
    SELECT
        coalesce(sum(files), 0) AS files,
        coalesce(sum(read), 0) AS read,
        coalesce(sum(accepted), 0) AS accepted,
        coalesce(sum(duplicate), 0) AS duplicate,
        coalesce(sum(rejected), 0) AS rejected
    FROM (
        SELECT files, read, accepted, duplicate, rejected FROM shop.batches
        UNION ALL
        SELECT files, read, accepted, duplicate, rejected FROM retired WHERE table_name = 'batches'
    ) AS each_row
) AS batch
CROSS JOIN (
    SELECT
        coalesce(sum(files), 0) AS files,
        coalesce(sum(read), 0) AS read,
        coalesce(sum(accepted), 0) AS accepted,
        coalesce(sum(duplicate), 0) AS duplicate,
        coalesce(sum(rejected), 0) AS rejected
    FROM (
        SELECT
            CASE WHEN batch_id IS NULL THEN 0 ELSE greatest(slices, 1) END AS files,
            read, accepted, duplicate, rejected
        FROM shop.files
        UNION ALL
        SELECT files, read, accepted, duplicate, rejected FROM retired WHERE table_name = 'files'
    ) AS each_row
) AS file
CROSS JOIN (
    -- Batches that are not yet in the daily sums are left out.
    SELECT
        (SELECT coalesce(sum(events), 0) FROM shop.agg_day) AS events,
        (
            SELECT coalesce(sum(accepted), 0) FROM shop.batches
            WHERE batch_id <= (SELECT batch_id FROM shop.facts_progress)
        )
        + (SELECT coalesce(sum(accepted), 0) FROM retired WHERE table_name = 'batches') AS accepted
) AS kept
CROSS JOIN (SELECT coalesce(sum(events), 0) AS events FROM shop.retired_partitions) AS stored;

-- name: stored_events
-- The number of events, and of repeated ids. The primary key prevents repeated ids unless an index is corrupt.
SELECT count(*) AS events, count(*) - count(DISTINCT event_id) AS repeated FROM shop.events;

-- name: batch_differences
-- Batches whose sums differ from those of their files and slices of files. Batches that the retention of the ledger has
-- reached are left out, since some of their files may be gone.
SELECT
    batches.batch_id,
    batches.read, batches.accepted, batches.duplicate, batches.rejected,
    coalesce(file.read, 0) AS file_read,
    coalesce(file.accepted, 0) AS file_accepted,
    coalesce(file.duplicate, 0) AS file_duplicate,
    coalesce(file.rejected, 0) AS file_rejected
FROM shop.batches
LEFT JOIN (
    SELECT
        batch_id,
        sum(read) AS read,
        sum(accepted) AS accepted,
        sum(duplicate) AS duplicate,
        sum(rejected) AS rejected
    FROM (
        SELECT batch_id, read, accepted, duplicate, rejected FROM shop.files WHERE slices <= 1
        UNION ALL
        SELECT file_slices.batch_id, file_slices.read, file_slices.accepted, file_slices.duplicate, file_slices.rejected
        FROM shop.file_slices
        INNER JOIN shop.files USING (file_id)
        WHERE files.slices > 1
    ) AS slice
    GROUP BY batch_id
) AS file USING (batch_id)
WHERE
    (batches.read, batches.accepted, batches.duplicate, batches.rejected) IS DISTINCT FROM (
        coalesce(file.read, 0), coalesce(file.accepted, 0), coalesce(file.duplicate, 0), coalesce(file.rejected, 0)
    )
    AND batches.batch_id > coalesce((SELECT max(up_to_batch) FROM shop.retired_ledger), 0)
ORDER BY batches.batch_id;

-- name: part_differences
-- Files whose balance is not the sum of their slices.
SELECT
    files.name,
    files.read, files.accepted, files.duplicate, files.rejected,
    coalesce(slice.read, 0) AS slice_read,
    coalesce(slice.accepted, 0) AS slice_accepted,
    coalesce(slice.duplicate, 0) AS slice_duplicate,
    coalesce(slice.rejected, 0) AS slice_rejected
FROM shop.files
LEFT JOIN (
    SELECT
        file_id,
        sum(read) AS read,
        sum(accepted) AS accepted,
        sum(duplicate) AS duplicate,
        sum(rejected) AS rejected
    FROM shop.file_slices
    GROUP BY file_id
) AS slice USING (file_id)
WHERE
    files.slices > 1
    AND (files.read, files.accepted, files.duplicate, files.rejected) IS DISTINCT FROM (
        coalesce(slice.read, 0), coalesce(slice.accepted, 0), coalesce(slice.duplicate, 0), coalesce(slice.rejected, 0)
    )
ORDER BY files.file_id;

-- name: event_differences
-- Files whose number of accepted rows differs from their number of stored events. Files that retention has reached are
-- left out. Events of a file that is not in the ledger, and was not retired from it, are included.
SELECT
    coalesce(files.name, 'file_id ' || stored.file_id) AS name,
    coalesce(files.accepted, 0) AS accepted,
    coalesce(stored.events, 0) AS events
FROM shop.files
FULL JOIN (
    SELECT file_id, count(*) AS events, max(batch_id) AS last_batch_id FROM shop.events GROUP BY file_id
) AS stored USING (file_id)
LEFT JOIN shop.batches ON batches.batch_id = CASE
    WHEN files.slices > 1 THEN (SELECT min(file_slices.batch_id) FROM shop.file_slices WHERE file_slices.file_id = files.file_id)
    ELSE files.batch_id
END
CROSS JOIN (SELECT max(ingested_before) AS ingested_before FROM shop.retired_partitions) AS retired
WHERE
    coalesce(files.accepted, 0) <> coalesce(stored.events, 0)
    AND (batches.started_at IS NULL OR batches.started_at >= coalesce(retired.ingested_before, '-infinity'))
    AND (
        files.file_id IS NOT NULL
        OR stored.last_batch_id > coalesce((SELECT max(up_to_batch) FROM shop.retired_ledger), 0)
    )
ORDER BY files.file_id;

-- name: reject_differences
-- Files whose number of rejected rows differs from their number of stored rejects.
SELECT files.name, files.rejected, coalesce(stored.rejects, 0) AS rejects
FROM shop.files
LEFT JOIN (SELECT file_id, count(*) AS rejects FROM shop.rejects GROUP BY file_id) AS stored USING (file_id)
LEFT JOIN shop.batches ON batches.batch_id = CASE
    WHEN files.slices > 1 THEN (SELECT min(file_slices.batch_id) FROM shop.file_slices WHERE file_slices.file_id = files.file_id)
    ELSE files.batch_id
END
WHERE
    files.rejected <> coalesce(stored.rejects, 0)
    AND (batches.started_at IS NULL OR batches.started_at >= coalesce(%(rejects_since)s::timestamptz, '-infinity'))
ORDER BY files.file_id;

-- name: rollup_totals
-- The sums of the rollup and of the events, for the minutes that retention has not reached, and the number of rows that
-- differ.
WITH kept AS (
    SELECT greatest(
        (
            SELECT max(coalesce((day + 1)::timestamp AT TIME ZONE 'UTC', TIMESTAMPTZ '2026-01-01 00:00:00Z'))
            FROM shop.retired_partitions
        ),
        (SELECT day::timestamp AT TIME ZONE 'UTC' FROM shop.rollup_horizon)
    ) AS since
),

stored AS (
    SELECT
        date_trunc('minute', event_time, 'UTC') AS minute,
        event_type,
        category,
        currency,
        count(*) AS events,
        coalesce(sum(quantity), 0) AS quantity,
        coalesce(sum(unit_price * quantity), 0) AS amount
    FROM shop.events
    WHERE event_time >= (SELECT since FROM kept)
    GROUP BY 1, 2, 3, 4
),

rollup AS (
    SELECT minute, event_type, category, currency, events, quantity, amount
    FROM shop.rollup_minute
    WHERE minute >= (SELECT since FROM kept)
)

SELECT
    coalesce(sum(stored.events), 0) AS events,
    coalesce(sum(rollup.events), 0) AS rollup_events,
    coalesce(sum(stored.quantity), 0) AS quantity,
    coalesce(sum(rollup.quantity), 0) AS rollup_quantity,
    coalesce(sum(stored.amount), 0) AS amount,
    coalesce(sum(rollup.amount), 0) AS rollup_amount,
    count(*) FILTER (
        WHERE (stored.events, stored.quantity, stored.amount)
        IS DISTINCT FROM (rollup.events, rollup.quantity, rollup.amount)
    ) AS differing
FROM stored
FULL JOIN rollup USING (minute, event_type, category, currency);
