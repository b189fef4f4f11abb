-- name: rows
-- Rows of the batches of the last %(window_seconds)s: read, and rejected.
SELECT coalesce(sum(read), 0)::bigint, coalesce(sum(rejected), 0)::bigint
FROM shop.batches
WHERE committed_at > statement_timestamp() - make_interval(secs => %(window_seconds)s);

-- name: files
-- Files that went to quarantine within the last %(window_seconds)s, by fault.
SELECT fault, count(*)
FROM shop.files
WHERE state = 'quarantined' AND finished_at > statement_timestamp() - make_interval(secs => %(window_seconds)s)
GROUP BY fault
ORDER BY count(*) DESC, fault;

-- name: conflicts
-- Deliveries of which more than a share of the rows contradict a stored event, as found within the last
-- %(window_seconds)s.
SELECT files.file_id, files.name, files.read, found.conflicts
FROM (
    SELECT file_id, count(*) AS conflicts
    FROM shop.conflicts
    WHERE found_at > statement_timestamp() - make_interval(secs => %(window_seconds)s)
    GROUP BY file_id
) AS found
INNER JOIN shop.files USING (file_id)
WHERE found.conflicts > %(share)s * files.read
ORDER BY found.conflicts DESC, files.file_id;

-- name: left_out
-- The worth of the purchases among those rows, by currency.
SELECT
    duplicate ->> 'currency' AS currency,
    sum((duplicate ->> 'unit_price')::numeric * (duplicate ->> 'quantity')::bigint) AS amount
FROM shop.conflicts
WHERE found_at > statement_timestamp() - make_interval(secs => %(window_seconds)s)
    AND file_id = ANY(%(file_ids)s::bigint[])
    AND duplicate ->> 'event_type' = 'purchase'
GROUP BY currency
ORDER BY currency;
