-- name: snapshot
-- All that follows sees the database as of one moment, whatever the stream commits meanwhile.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;

-- name: clock
SELECT clock_timestamp();

-- name: unsettled
-- How many of the named files have never been settled, and how many files were admitted by %(as_of)s and still wait.
SELECT
    (
        SELECT count(*)
        FROM unnest(%(names)s::text[]) AS wanted (name)
        WHERE NOT EXISTS (SELECT FROM shop.files WHERE files.name = wanted.name AND files.state <> 'admitted')
    )
    + (SELECT count(*) FROM shop.files WHERE state = 'admitted' AND admitted_at <= %(as_of)s);

-- name: admitted
-- Files that were admitted by %(as_of)s and still wait to be loaded.
SELECT name FROM shop.files WHERE state = 'admitted' AND admitted_at <= %(as_of)s ORDER BY file_id;

-- name: settled_files
-- Every load of the named files. Retention removes only what was loaded before a recorded time, so the events of a
-- file are complete when its batch began after that; rejects are removed by their age alone.
SELECT
    files.name,
    files.file_id,
    files.fault,
    files.read,
    files.accepted,
    files.duplicate,
    files.rejected,
    batches.started_at IS NULL OR batches.started_at >= coalesce(retired.ingested_before, '-infinity')
        AS has_all_events,
    batches.started_at IS NULL OR batches.started_at >= coalesce(%(rejects_since)s::timestamptz, '-infinity')
        AS has_all_rejects
FROM shop.files
LEFT JOIN shop.batches USING (batch_id)
CROSS JOIN (SELECT max(ingested_before) AS ingested_before FROM shop.retired_partitions) AS retired
WHERE files.name = ANY(%(names)s::text[]) AND files.state <> 'admitted'
ORDER BY files.file_id;

-- name: events_of_files
-- What is stored of the given files; amount counts purchases only.
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
-- The sums that must be the same whichever table they are taken from.
SELECT
    batch.files AS batch_files, file.files AS file_files,
    batch.read AS batch_read, file.read AS file_read,
    batch.accepted AS batch_accepted, file.accepted AS file_accepted,
    batch.duplicate AS batch_duplicate, file.duplicate AS file_duplicate,
    batch.rejected AS batch_rejected, file.rejected AS file_rejected,
    rollup.events AS rollup_events,
    retired.events AS retired_events
FROM (
    SELECT
        coalesce(sum(files), 0) AS files,
        coalesce(sum(read), 0) AS read,
        coalesce(sum(accepted), 0) AS accepted,
        coalesce(sum(duplicate), 0) AS duplicate,
        coalesce(sum(rejected), 0) AS rejected
    FROM shop.batches
) AS batch
CROSS JOIN (
    SELECT
        count(batch_id) AS files,
        coalesce(sum(read), 0) AS read,
        coalesce(sum(accepted), 0) AS accepted,
        coalesce(sum(duplicate), 0) AS duplicate,
        coalesce(sum(rejected), 0) AS rejected
    FROM shop.files
    WHERE state <> 'admitted'
) AS file
CROSS JOIN (SELECT coalesce(sum(events), 0) AS events FROM shop.rollup_minute) AS rollup
CROSS JOIN (SELECT coalesce(sum(events), 0) AS events FROM shop.retired_partitions) AS retired;

-- name: stored_events
-- All events, and how many of them repeat an id: the primary key rules that out, unless an index is damaged.
SELECT count(*) AS events, count(*) - count(DISTINCT event_id) AS repeated FROM shop.events;

-- name: batch_differences
-- Batches whose sums are not those of their files.
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
    FROM shop.files
    GROUP BY batch_id
) AS file USING (batch_id)
WHERE
    (batches.read, batches.accepted, batches.duplicate, batches.rejected) IS DISTINCT FROM (
        coalesce(file.read, 0), coalesce(file.accepted, 0), coalesce(file.duplicate, 0), coalesce(file.rejected, 0)
    )
ORDER BY batches.batch_id;

-- name: event_differences
-- Files that accepted another number of rows than events are stored of them; those that retention reached are left out,
-- but not events of a file that the ledger does not know.
SELECT
    coalesce(files.name, 'file_id ' || stored.file_id) AS name,
    coalesce(files.accepted, 0) AS accepted,
    coalesce(stored.events, 0) AS events
FROM shop.files
FULL JOIN (SELECT file_id, count(*) AS events FROM shop.events GROUP BY file_id) AS stored USING (file_id)
LEFT JOIN shop.batches ON batches.batch_id = files.batch_id
CROSS JOIN (SELECT max(ingested_before) AS ingested_before FROM shop.retired_partitions) AS retired
WHERE
    coalesce(files.accepted, 0) <> coalesce(stored.events, 0)
    AND (batches.started_at IS NULL OR batches.started_at >= coalesce(retired.ingested_before, '-infinity'))
ORDER BY files.file_id;

-- name: reject_differences
-- Files that rejected another number of rows than rejects are stored of them.
SELECT files.name, files.rejected, coalesce(stored.rejects, 0) AS rejects
FROM shop.files
LEFT JOIN (SELECT file_id, count(*) AS rejects FROM shop.rejects GROUP BY file_id) AS stored USING (file_id)
LEFT JOIN shop.batches ON batches.batch_id = files.batch_id
WHERE
    files.rejected <> coalesce(stored.rejects, 0)
    AND (batches.started_at IS NULL OR batches.started_at >= coalesce(%(rejects_since)s::timestamptz, '-infinity'))
ORDER BY files.file_id;

-- name: rollup_totals
-- The rollup and the same sums over events, for the minutes that retention has not reached; and how many rows differ.
WITH kept AS (
    SELECT coalesce(
        max(coalesce((day + 1)::timestamp AT TIME ZONE 'UTC', TIMESTAMPTZ '2026-01-01 00:00:00Z')), '-infinity'
    ) AS since
    FROM shop.retired_partitions
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
