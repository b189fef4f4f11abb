-- name: retired_days
-- Those of the given days whose events were removed.
SELECT day, first_retired_at FROM shop.retired_days WHERE day = ANY(%(days)s::date[]);

-- name: first_loaded
-- For each of the given files, when a file of the same content was first loaded; retracted files do not count.
SELECT asked.file_id, min(earlier.finished_at)
FROM unnest(%(file_ids)s::bigint[], %(digests)s::text[]) AS asked (file_id, digest)
INNER JOIN shop.files AS this ON this.file_id = asked.file_id
INNER JOIN shop.files AS earlier
    ON earlier.digest = coalesce(asked.digest, this.digest) AND earlier.state = 'loaded'
        AND earlier.file_id <> asked.file_id
GROUP BY asked.file_id;
