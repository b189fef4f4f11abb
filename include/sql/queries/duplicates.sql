-- name: newest
-- Order by the column, for which there is an index, and not by its text.
SELECT event_id::text FROM shop.events ORDER BY events.event_id DESC LIMIT 1;

-- name: stored
-- Those of the given ids that are stored, concatenated. The subquery keeps the planner from examining every id, which
-- takes longer than finding them.
SELECT string_agg(uuid_send(event_id), ''::bytea)
FROM shop.events
WHERE event_id = ANY(ARRAY(SELECT unnest(%(event_ids)s::uuid[])));

-- name: stored_between
-- The stored ids of a range, concatenated, up to a limit.
SELECT string_agg(uuid_send(event_id), ''::bytea)
FROM (
    SELECT event_id FROM shop.events WHERE event_id BETWEEN %(first)s::uuid AND %(last)s::uuid LIMIT %(most)s
) AS found;
