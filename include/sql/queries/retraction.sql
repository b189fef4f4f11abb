-- name: deliveries
-- The deliveries that meet all given conditions, without those that are already retracted.
SELECT files.file_id, files.name, files.state, files.finished_at, files.read, files.accepted, files.duplicate, files.rejected
FROM shop.files
WHERE
    files.state <> 'retracted'
    AND (%(file_id)s::bigint IS NULL OR files.file_id = %(file_id)s)
    AND (%(name_like)s::text IS NULL OR files.name LIKE %(name_like)s)
    AND (
        %(batch_id)s::bigint IS NULL
        OR files.batch_id = %(batch_id)s
        OR EXISTS (
            SELECT FROM shop.file_slices WHERE file_slices.file_id = files.file_id AND file_slices.batch_id = %(batch_id)s
        )
    )
    AND (%(since)s::timestamptz IS NULL OR files.finished_at >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR files.finished_at < %(until)s)
ORDER BY files.file_id;

-- name: similar_names
-- Names of deliveries to search for one similar to the name that was not found, newest first.
SELECT name FROM shop.files
WHERE state <> 'retracted' AND read > 0
ORDER BY file_id DESC
LIMIT 10000;

-- name: lock_facts
-- Locks out other retractions and the advance of the aggregates, and returns the newest batch in the aggregates.
SELECT batch_id FROM shop.facts_progress FOR UPDATE;

-- name: lock_events
-- Takes the lock for removing rows at the start, because taking it later could deadlock with retention.
LOCK TABLE shop.events IN ROW EXCLUSIVE MODE;

-- name: lock_writer
-- Makes the next batch of the stream wait until the end of the transaction.
SELECT FROM shop.writer FOR UPDATE;

-- name: slices
-- The balance of each slice of the deliveries, by batch.
CREATE TEMPORARY TABLE retracted_slices ON COMMIT DROP AS
SELECT file_id, batch_id, read, accepted, duplicate, rejected
FROM shop.files
WHERE file_id = ANY(%(file_ids)s) AND slices <= 1 AND batch_id IS NOT NULL
UNION ALL
SELECT slice.file_id, slice.batch_id, slice.read, slice.accepted, slice.duplicate, slice.rejected
FROM shop.file_slices AS slice
INNER JOIN shop.files USING (file_id)
WHERE slice.file_id = ANY(%(file_ids)s) AND files.slices > 1;

-- name: retracted
-- The events of the deliveries, found by the time range in which their batches were loaded.
CREATE TEMPORARY TABLE retracted ON COMMIT DROP AS
SELECT event.*
FROM shop.events AS event
WHERE
    event.file_id = ANY(%(file_ids)s)
    AND event.ingested_at BETWEEN
        (SELECT min(started_at) - interval '1 minute' FROM shop.batches WHERE batch_id IN (SELECT batch_id FROM retracted_slices))
        AND (SELECT max(committed_at) + interval '1 minute' FROM shop.batches WHERE batch_id IN (SELECT batch_id FROM retracted_slices));

-- name: analyze_retracted
ANALYZE retracted;

-- name: event_types
SELECT event_type, count(*) FROM retracted GROUP BY event_type ORDER BY event_type;

-- name: successors
-- For each event the first other delivery, in loading order, that brought it too.
CREATE TEMPORARY TABLE successors ON COMMIT DROP AS
SELECT DISTINCT ON (duplicate.event_id)
    duplicate.event_id, duplicate.batch_id, duplicate.file_id, duplicate.line, duplicate.content
FROM shop.duplicates AS duplicate
INNER JOIN retracted USING (event_id)
INNER JOIN shop.files ON files.file_id = duplicate.file_id
WHERE NOT duplicate.file_id = ANY(%(file_ids)s)
ORDER BY duplicate.event_id, duplicate.batch_id, duplicate.file_id, duplicate.line;

-- name: count_successors
SELECT count(*) FROM successors;

-- name: reassigned
-- The events with the content of their successors, as the new batch stores them.
CREATE TEMPORARY TABLE reassigned ON COMMIT DROP AS
SELECT (jsonb_populate_record(
    event, coalesce(successor.content, '{}') || jsonb_build_object(
        'batch_id', %(batch_id)s::bigint, 'file_id', successor.file_id, 'ingested_at', clock_timestamp()
    )
)).*
FROM retracted AS event
INNER JOIN successors AS successor USING (event_id);

-- name: delete_events
DELETE FROM shop.events USING retracted
WHERE events.event_id = retracted.event_id AND events.file_id = retracted.file_id;

-- name: insert_reassigned
INSERT INTO shop.events ({columns}, extra, batch_id, file_id, ingested_at)
SELECT {columns}, extra, batch_id, file_id, ingested_at FROM reassigned;

-- name: contents
-- Events whose deliveries differ in content: the content of each remaining delivery, and the content stored now.
CREATE TEMPORARY TABLE contents ON COMMIT DROP AS
SELECT
    duplicate.*,
    successor.file_id = duplicate.file_id AND successor.line = duplicate.line AS is_stored,
    coalesce(duplicate.content, said.content) AS says,
    coalesce(successor.content, said.content) AS stored
FROM shop.duplicates AS duplicate
INNER JOIN successors AS successor USING (event_id)
INNER JOIN (
    SELECT event_id, to_jsonb(retracted) - '{batch_id,file_id,ingested_at}'::text[] AS content FROM retracted
) AS said USING (event_id)
WHERE
    NOT duplicate.file_id = ANY(%(file_ids)s)
    AND duplicate.event_id IN (
        SELECT other.event_id FROM shop.duplicates AS other
        WHERE other.content IS NOT NULL AND NOT other.file_id = ANY(%(file_ids)s)
    );

-- name: delete_conflicts
-- Two statements, each of which can use a join. Combined with OR, they would search the contents for every conflict.
WITH of_others AS (
    DELETE FROM shop.conflicts
    WHERE event_id IN (SELECT event_id FROM contents) AND NOT file_id = ANY(%(file_ids)s)
)
DELETE FROM shop.conflicts WHERE file_id = ANY(%(file_ids)s);

-- name: insert_conflicts
-- Conflicts between the remaining deliveries and the content stored now.
INSERT INTO shop.conflicts (event_id, batch_id, file_id, line, columns, duplicate, found_at)
SELECT event_id, batch_id, file_id, line, differing.columns, says - 'extra', found_at
FROM contents
CROSS JOIN LATERAL (
    SELECT array_agg(name ORDER BY position) AS columns
    FROM unnest(%(columns)s::text[]) WITH ORDINALITY AS known (name, position)
    WHERE says -> name IS DISTINCT FROM stored -> name
) AS differing
WHERE NOT is_stored AND differing.columns IS NOT NULL
ORDER BY batch_id, file_id, line;

-- name: update_duplicates
UPDATE shop.duplicates AS duplicate
SET content = nullif(contents.says, contents.stored)
FROM contents
WHERE
    duplicate.event_id = contents.event_id AND duplicate.file_id = contents.file_id AND duplicate.line = contents.line
    AND NOT contents.is_stored;

-- name: delete_duplicates
-- Two statements, as above. A successor is never a row of the retracted deliveries.
WITH of_others AS (
    DELETE FROM shop.duplicates AS duplicate
    USING successors
    WHERE successors.event_id = duplicate.event_id AND successors.file_id = duplicate.file_id
        AND successors.line = duplicate.line
)
DELETE FROM shop.duplicates WHERE file_id = ANY(%(file_ids)s);

-- name: delete_rejects
DELETE FROM shop.rejects WHERE file_id = ANY(%(file_ids)s);

-- name: roll_down
-- Applies the change to the live rollups. A minute that no longer exists there is past the retention of the ledger.
WITH change AS (
    SELECT
        date_trunc('minute', event_time, 'UTC') AS minute,
        event_type,
        category,
        currency,
        sum(sign) AS events,
        sum(sign * coalesce(quantity, 0)) AS quantity,
        sum(sign * coalesce(unit_price * coalesce(quantity, 0), 0)) AS amount
    FROM (
        SELECT -1 AS sign, event_time, event_type, category, currency, quantity, unit_price FROM retracted
        UNION ALL
        SELECT 1, event_time, event_type, category, currency, quantity, unit_price FROM reassigned
    ) AS moved
    GROUP BY 1, 2, 3, 4
    HAVING sum(sign) <> 0 OR sum(sign * coalesce(quantity, 0)) <> 0 OR sum(sign * coalesce(unit_price * quantity, 0)) <> 0
    ORDER BY 1, 2, 3, 4
)
MERGE INTO shop.rollup_minute AS stored
USING change
ON stored.minute = change.minute AND stored.event_type = change.event_type
    AND stored.category = change.category AND stored.currency = change.currency
WHEN MATCHED AND stored.events + change.events = 0 THEN DELETE
WHEN MATCHED THEN UPDATE SET
    events = stored.events + change.events,
    quantity = stored.quantity + change.quantity,
    amount = stored.amount + change.amount
WHEN NOT MATCHED AND change.events > 0
    AND change.minute >= (SELECT day FROM shop.rollup_horizon)::timestamp AT TIME ZONE 'UTC' THEN INSERT (minute, event_type, category, currency, events, quantity, amount, batch_id)
VALUES (
    change.minute, change.event_type, change.category, change.currency, change.events, change.quantity, change.amount,
    %(batch_id)s
);

-- name: reduce_batches
UPDATE shop.batches
SET files = batches.files - slice.files,
    read = batches.read - slice.read,
    accepted = batches.accepted - slice.accepted,
    duplicate = batches.duplicate - slice.duplicate,
    rejected = batches.rejected - slice.rejected
FROM (
    SELECT
        batch_id, count(*) AS files, sum(read) AS read, sum(accepted) AS accepted, sum(duplicate) AS duplicate,
        sum(rejected) AS rejected
    FROM retracted_slices
    GROUP BY batch_id
) AS slice
WHERE batches.batch_id = slice.batch_id;

-- name: delete_slices
DELETE FROM shop.file_slices WHERE file_id = ANY(%(file_ids)s);

-- name: retract_files
UPDATE shop.files
SET state = 'retracted', batch_id = NULL, slices = 0, read = 0, accepted = 0, duplicate = 0, rejected = 0
WHERE file_id = ANY(%(file_ids)s);

-- name: record
INSERT INTO shop.retractions (done_by, reason, selection, files, events, reassigned, rejects, duplicates)
VALUES (%(by)s, %(reason)s, %(selection)s, %(files)s, %(events)s, %(reassigned)s, %(rejects)s, %(duplicates)s)
RETURNING retraction_id, done_at;

-- name: record_files
-- Must run before retract_files, which clears the balance of the files.
INSERT INTO shop.retraction_files (retraction_id, file_id, name, loaded_at, read, accepted, duplicate, rejected)
SELECT %(retraction_id)s, file_id, name, finished_at, read, accepted, duplicate, rejected
FROM shop.files
WHERE file_id = ANY(%(file_ids)s);

-- name: open_batch
-- Reassigned events are stored in a batch of their own, so that readers of new batches find them.
INSERT INTO shop.batches (query, epoch, spark_batch_id, files, read, accepted, duplicate, rejected, started_at)
VALUES ('retraction', 0, %(retraction_id)s, 0, 0, 0, 0, 0, clock_timestamp())
RETURNING batch_id;

-- name: first_slices
-- Gives a file that was loaded as a whole a first slice; its second slice is the one in the new batch.
INSERT INTO shop.file_slices (file_id, batch_id, first_line, read, accepted, duplicate, rejected)
SELECT file_id, batch_id, 1, read, accepted, duplicate, rejected
FROM shop.files
WHERE slices <= 1 AND file_id IN (SELECT file_id FROM successors);

-- name: reduce_parts
UPDATE shop.file_slices AS slice
SET read = slice.read - moved.rows, duplicate = slice.duplicate - moved.rows
FROM (SELECT file_id, batch_id, count(*) AS rows FROM successors GROUP BY file_id, batch_id) AS moved
WHERE slice.file_id = moved.file_id AND slice.batch_id = moved.batch_id;

-- name: reduce_batches_of_successors
UPDATE shop.batches
SET read = batches.read - moved.rows, duplicate = batches.duplicate - moved.rows
FROM (SELECT batch_id, count(*) AS rows FROM successors GROUP BY batch_id) AS moved
WHERE batches.batch_id = moved.batch_id;

-- name: new_slices
INSERT INTO shop.file_slices (file_id, batch_id, first_line, read, accepted, duplicate, rejected)
SELECT file_id, %(batch_id)s, min(line), count(*), count(*), 0, 0 FROM successors GROUP BY file_id;

-- name: advance_successors
UPDATE shop.files
SET accepted = files.accepted + moved.rows,
    duplicate = files.duplicate - moved.rows,
    slices = greatest(files.slices, 1) + 1,
    batch_id = %(batch_id)s
FROM (SELECT file_id, count(*) AS rows FROM successors GROUP BY file_id) AS moved
WHERE files.file_id = moved.file_id;

-- name: close_batch
UPDATE shop.batches
SET files = moved.files,
    read = moved.rows,
    accepted = moved.rows,
    min_event_time = moved.min_event_time,
    max_event_time = moved.max_event_time,
    committed_at = clock_timestamp()
FROM (
    SELECT
        count(DISTINCT file_id) AS files, count(*) AS rows, min(event_time) AS min_event_time,
        max(event_time) AS max_event_time
    FROM reassigned
) AS moved
WHERE batches.batch_id = %(batch_id)s;
