-- name: rows
-- Rows of the batches of the last %(window_seconds)s: read, and rejected.
SELECT coalesce(sum(read), 0)::bigint, coalesce(sum(rejected), 0)::bigint
FROM shop.batches
WHERE committed_at > statement_timestamp() - make_interval(secs => %(window_seconds)s);

-- name: files
-- Files that went to quarantine within the last %(window_seconds)s, by fault.
SELECT fault, count(*)
FROM shop.files
WHERE state = 'quarantined' AND settled_at > statement_timestamp() - make_interval(secs => %(window_seconds)s)
GROUP BY fault
ORDER BY count(*) DESC, fault;
